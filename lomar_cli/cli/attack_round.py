"""The subcommands of all attacks on rounds, made from the fields of the attacks' classes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.attacks.base import RoundAttack
from lomar_cli.attacks.registry import round_attack
from lomar_cli.cli import options
from lomar_cli.cli.console import say, warn
from lomar_cli.cli.from_fields import own_options, parameter, shaped

File = Path | None
ConvertNamed = Annotated[
    File,
    typer.Option(
        "--convert-named",
        metavar="FILE",
        help="Turn the clients that this truth file names: what they sent is what they want.",
    ),
]
AlsoMalicious = Annotated[
    File,
    typer.Option(
        "--also-malicious",
        metavar="FILE",
        help="The truth of an earlier attack on this round, to be merged.",
    ),
]
AttackKnowledge = Annotated[
    str,
    typer.Option(
        "--knowledge",
        help="Honest updates that the attacker knows: all, or own (its own clients' only).",
    ),
]
FILES = {
    "target": (
        "target_update",
        Annotated[
            File,
            typer.Option(
                "--target-update",
                metavar="ROUND",
                help="The mean update of this round is the direction that is wanted.",
            ),
        ],
    ),
    "replay": (
        "replay",
        Annotated[
            File,
            typer.Option("--replay", metavar="ROUND", help="An earlier round of the same model."),
        ],
    ),
}
WHO = ("malicious", "convert", "convert_named")
FRAME = (
    ("truth", options.Truth, None),
    ("also_malicious", AlsoMalicious, None),
    ("memory", options.Memory, "2G"),
    ("seed", options.Seed, 0),
    ("force", options.Force, False),
    *options.EVERYWHERE,
)


def build(name: str) -> Callable[..., None]:
    """The function behind ``lomar attack NAME``, with a parameter for every option."""
    kind = round_attack(name)
    fields = [field.name for field in dataclasses.fields(kind)]

    def command(**given: Any) -> None:
        from lomar_cli.stages.attack_round import Sources, Who, attack_round

        done = attack_round(
            given["path"],
            given["output"],
            name,
            {key: given[key] for key in fields},
            Who(*(given[key] for key in WHO)),
            given.get("knowledge", "all"),
            Sources(given.get("target_update"), given.get("replay"), given["also_malicious"]),
            given["truth"],
            options.parse_size(given["memory"], "--memory"),
            given["seed"],
            given["force"],
        )
        say(
            f"{given['output']}: {done.clients} clients, {len(done.turned)} of them attack; "
            f"{len(done.malicious)} are malicious, as {done.truth} says"
        )
        for note in done.notes:
            warn(note)

    words = f"round.h5 --convert 10% {kind.example} -o poisoned.h5"
    return shaped(command, name, _parameters(kind), kind, words)


def _parameters(kind: type[RoundAttack]) -> list[inspect.Parameter]:
    """Every parameter in the order of the help: files, who, the attack's own, the rest."""
    path = Annotated[Path, typer.Argument(metavar="ROUND", help="A round file.")]
    found = [parameter("path", path), parameter("output", options.Output)]
    who = (options.Malicious, options.Convert, ConvertNamed)
    found += [parameter(name, one, None) for name, one in zip(WHO, who, strict=True)]
    found += own_options(kind)
    if kind.knows:
        found.append(parameter("knowledge", AttackKnowledge, "all"))
    found += [parameter(*FILES[one], None) for one in kind.takes]
    return found + [parameter(*one) for one in FRAME]
