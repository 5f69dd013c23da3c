"""A figure as a file: PNG, SVG or PDF, complete or absent, and the same bytes every time."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.atomic import check_output
from lomar_cli.files.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 150
# No date, no program's version: the same input gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}
# Names are text, whatever dollars they hold; ids in an SVG do not depend on chance.
_STYLE: Any = {"svg.hashsalt": "lomar", "font.size": 9.5, "text.parse_math": False}


def check_figure(path: Path, option: str, force: bool) -> None:
    """Refuse a figure that could not be written, before anything is computed.

    ``option`` is the one that names it. Raises UsageError for another ending than .png, .svg or
    .pdf, LomarError without matplotlib, and what ``check_output`` raises.
    """
    if _kind(path) not in _METADATA:
        raise UsageError(
            f"{option} {printable(str(path))}: a figure is written as png, svg or pdf; "
            "use one of these endings"
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise LomarError(f"{option}: figures need matplotlib: pip install 'lomar-cli[plot]'")
    check_output(path, force, option)


def rendered(path: Path, draw: Callable[[], Figure]) -> bytes:
    """The bytes of the figure that ``draw`` makes, in the format that ``path`` ends in."""
    import matplotlib

    kind, stream = _kind(path), io.BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # A name may hold characters that the font lacks: a box in their place is answer enough.
        warnings.filterwarnings("ignore", message="Glyph")
        draw().savefig(stream, format=kind, dpi=DOTS, metadata=_METADATA[kind])
    return stream.getvalue()


def _kind(path: Path) -> str:
    return path.suffix.lower().lstrip(".")
