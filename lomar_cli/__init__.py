"""LoMar (Local Malicious Factor): find poisoned client updates in federated learning.

``score_updates`` judges updates that are in memory; it is loaded when it is first asked for, so
that ``import lomar_cli`` stays light.
"""

from typing import TYPE_CHECKING, Any

from lomar_cli._version import __version__

if TYPE_CHECKING:
    from lomar_cli.api import score_updates
    from lomar_cli.files.scores import Scores

__all__ = ["Scores", "__version__", "score_updates"]

_LAZY = {"score_updates": "lomar_cli.api", "Scores": "lomar_cli.files.scores"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'lomar_cli' has no attribute '{name}'")
