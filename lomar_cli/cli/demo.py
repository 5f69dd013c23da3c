"""``lomar demo``: the whole pipeline by its own commands."""

from __future__ import annotations

import importlib.util
import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import Settings, out
from lomar_cli.errors import LomarError, OutputExistsError
from lomar_cli.files.text import printable

CLIENTS, FLIPPERS, FLIP = 60, 10, "1:7"
# Few local steps, so that the attackers' pull is seen before the model saturates.
TRAINING = ("--local-steps", "5", "--lr", "0.1")
RUNS = (
    ("no attack", "clean.h5", "none"),
    ("no defense", "poisoned.h5", "none"),
    ("lomar", "poisoned.h5", "lomar"),
    ("lomar-auto", "poisoned.h5", "lomar-auto"),
)


def command(
    output: options.Folder = Path("lomar-demo"),
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How many rounds.")] = 15,
    seed: options.Seed = 0,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Attack and defend a small system, by the real commands, in under a minute.

    60 clients train on scikit-learn's digits and 10 label flippers pass 1s off as 7s. Every
    command is printed before it runs. Needs the extra 'train'.

    \b
    Example:
      lomar demo -o lomar-demo
    """
    if importlib.util.find_spec("torch") is None:
        raise LomarError("the demo trains, which needs torch: pip install 'lomar-cli[train]'")
    if output.exists() and not (force and output.is_dir()):
        raise OutputExistsError(
            f"{printable(str(output))}: exists already; use -f to replace its files, or another -o"
        )
    output.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    shell = _Shell(output, quiet, force)
    shell("partition", "digits", "--clients", str(CLIENTS), "--seed", str(seed), "-o", "clean.h5")
    flip = ("--flip", FLIP, "--malicious", str(FLIPPERS))
    shell("attack", "label-flip", "clean.h5", *flip, "--seed", str(seed), "-o", "poisoned.h5")
    results = [_run(shell, *run, rounds=rounds, seed=seed) for run in RUNS]
    _table(results, output, time.perf_counter() - began)


class _Shell:
    """Prints a command line as a person would type it, then runs it in this process."""

    def __init__(self, folder: Path, quiet: bool, force: bool) -> None:
        self.folder, self.quiet, self.force = folder, quiet, force

    def __call__(self, *words: str) -> None:
        from lomar_cli.cli.app import app

        full = [self._place(word) for word in words] + ["-q"] + (["-f"] if self.force else [])
        if not self.quiet:
            out().print(f"$ lomar {shlex.join(full)}", style="dim", soft_wrap=True)
        debug = Settings.debug
        code = app(args=full, standalone_mode=False)
        Settings.debug = debug
        if code:
            # The command said why already.
            raise typer.Exit(code)

    def _place(self, word: str) -> str:
        return str(self.folder / word) if word.endswith((".h5", ".json")) else word


def _run(
    shell: _Shell, name: str, split: str, method: str, rounds: int, seed: int
) -> tuple[str, dict[str, Any]]:
    from lomar_cli.files.truth import read_json

    tag = name.replace(" ", "-")
    model: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    for number in range(1, rounds + 1):
        made, scores, after = (
            f"{tag}-round-{number}.h5",
            f"{tag}-scores-{number}.h5",
            (f"{tag}-model-{number}.h5"),
        )
        shell("train", split, *model, *TRAINING, "--seed", str(seed + number), "-o", made)
        shell("score", made, "--method", method, "-o", scores)
        shell("aggregate", made, "--scores", scores, *base, "-o", after)
        model, base = ("--init", after), ("--model", after)
    # Without an attack there is nobody to find, so only the model is measured.
    verdict = () if name == "no attack" else ("--scores", scores, "--truth", "truth.json")
    metrics = f"{tag}-metrics.json"
    shell("evaluate", after, "--split", split, "--flip", FLIP, *verdict, "-o", metrics)
    return name, read_json(shell.folder / metrics)


def _table(results: list[tuple[str, dict[str, Any]]], folder: Path, seconds: float) -> None:
    from rich.table import Table

    source = FLIP.split(":", maxsplit=1)[0]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("defense")
    for heading in ("accuracy", f"accuracy on {source}s", "AUC", "found", "false alarms"):
        table.add_column(heading, justify="right")
    for name, metrics in results:
        accuracy, verdict = metrics["accuracy"], metrics.get("detection", {})
        row = [accuracy["overall"], accuracy["source"]]
        row += [verdict.get(key) for key in ("auc", "found", "false_alarms")]
        table.add_row(name, *("-" if value is None else f"{value:.3f}" for value in row))
    console = out()
    console.print()
    console.print(table)
    console.print()
    console.print(
        f"{CLIENTS} clients, {FLIPPERS} more that pass {source}s off as {FLIP.split(':')[1]}s. "
        "'found' is the share of them that the last round's scores flag, 'false alarms' the share "
        "of honest clients.",
        soft_wrap=True,
    )
    look = f"lomar score {folder}/lomar-auto-round-1.h5"
    console.print(f"Files: {folder}/ ({seconds:.0f} s). Look into one: {look}", soft_wrap=True)
