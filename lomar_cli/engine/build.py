"""Which lomar_cli, and which libraries, a process runs: workers must run the same."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

from lomar_cli._version import __version__

# Those whose version may change the last digits of a result.
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch")


@dataclass(frozen=True)
class Build:
    """The package's version, a digest of its code, and the libraries beside it."""

    version: str
    code: str
    libraries: tuple[tuple[str, str], ...]

    @property
    def package(self) -> str:
        return f"lomar_cli {self.version} ({self.code[:12]})"


@functools.cache
def this_build() -> Build:
    """What this process runs."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    libraries = [("python", ".".join(platform.python_version_tuple()[:2]))]
    for name in _LIBRARIES:
        try:
            libraries.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            libraries.append((name, "none"))
    return Build(__version__, digest.hexdigest(), tuple(libraries))
