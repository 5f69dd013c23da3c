"""The subcommands of all attacks on splits, made from the fields of the attacks' classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.attacks.registry import split_attack
from lomar_cli.cli import options
from lomar_cli.cli.console import say, warn
from lomar_cli.cli.from_fields import EMPTY, own_options, parameter, shaped

FRAME = (
    ("truth", options.Truth, None),
    ("seed", options.Seed, 0),
    ("data_dir", options.DataDir, None),
    ("data_file", options.DataFile, None),
    ("force", options.Force, False),
    *options.EVERYWHERE,
)


def build(name: str) -> Callable[..., None]:
    """The function behind ``lomar attack NAME``, with a parameter for every option."""
    kind = split_attack(name)
    fields = [field.name for field in dataclasses.fields(kind)]

    def command(**given: Any) -> None:
        from lomar_cli.stages.attack_split import attack_split

        done = attack_split(
            given["path"],
            given["output"],
            name,
            {key: given[key] for key in fields},
            given["malicious"],
            given["convert"],
            given["truth"],
            given["seed"],
            given["data_dir"],
            given["data_file"],
            given["force"],
        )
        say(
            f"{given['output']}: {len(done.split.clients)} clients, {len(done.malicious)} of them "
            f"{kind.verb} {done.samples} samples; truth in {done.truth}"
        )
        if done.harmless:
            warn(
                f"{len(done.harmless)} chosen clients {kind.harmless}: the truth lists them as "
                "harmless"
            )

    own = own_options(kind)
    path = Annotated[Path, typer.Argument(metavar="SPLIT", help="A split file.")]
    parameters = [
        parameter("path", path),
        parameter("output", options.Output),
        *(one for one in own if one.default is EMPTY),
        parameter("malicious", options.Malicious, None),
        parameter("convert", options.Convert, None),
        *(one for one in own if one.default is not EMPTY),
        *(parameter(*one) for one in FRAME),
    ]
    words = f"split.h5 {kind.example} --malicious 10% -o poisoned.h5"
    return shaped(command, name, parameters, kind, words)
