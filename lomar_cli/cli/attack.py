"""``lomar attack``: a subcommand an attack."""

from __future__ import annotations

import typer

from lomar_cli.cli.command import Command

CONTEXT = {"help_option_names": ["-h", "--help"]}


def group(whole: bool = True) -> typer.Typer:
    """The command group; without its subcommands when not ``whole``, as --help needs it."""
    made = typer.Typer(
        help="Poison a split or a round; the truth goes to a file of its own.",
        no_args_is_help=True,
    )
    if not whole:
        made.callback()(lambda: None)
        return made
    from lomar_cli.attacks.registry import ATTACKS
    from lomar_cli.cli import attack_round, attack_split

    for name, entry in ATTACKS.items():
        kind = attack_round if entry.on == "round" else attack_split
        made.command(name, cls=Command, context_settings=CONTEXT)(kind.build(name))
    return made
