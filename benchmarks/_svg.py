"""Save a figure as SVG, so that the same numbers give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lomar_cli.files.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_svg(page: Figure, path: Path) -> None:
    """No date and fixed names inside."""
    import matplotlib

    with (
        matplotlib.rc_context({"svg.hashsalt": "lomar", "svg.fonttype": "none"}),
        atomic_path(path, force=True) as temporary,
    ):
        page.savefig(temporary, format="svg", metadata={"Date": None})
