"""Help of a subcommand, in panels where the terminal is wide enough for their five columns."""

from __future__ import annotations

import shutil
from typing import Any

from typer.core import TyperCommand

# Below this panels cut the names of options short.
_WIDE = 100


class Command(TyperCommand):
    """A subcommand whose help is plain text on narrow terminals and in pipes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        narrow = shutil.get_terminal_size().columns < _WIDE
        self.rich_markup_mode = None if narrow else "rich"
        super().format_help(ctx, formatter)
