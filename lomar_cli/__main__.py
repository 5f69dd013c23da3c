"""Entry point of the ``lomar`` command and of ``python -m lomar_cli``."""

from __future__ import annotations


def main() -> None:
    import sys

    try:
        _run()
    except KeyboardInterrupt:
        # Before the command has begun: while the program itself is read.
        from lomar_cli.errors import EXIT_INTERRUPTED, INTERRUPTED

        print(f"lomar: error: {INTERRUPTED}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _run() -> None:
    import os
    import sys
    from typing import Any

    from lomar_cli.cli.app import build
    from lomar_cli.cli.guard import Stdout

    guarded: Any = Stdout(sys.stdout)
    sys.stdout = guarded
    # A shell that completes a line may ask for any command.
    words = None if "_LOMAR_COMPLETE" in os.environ else sys.argv[1:]
    build(words)(prog_name="lomar")


if __name__ == "__main__":
    main()
