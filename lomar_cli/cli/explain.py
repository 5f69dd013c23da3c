"""``lomar explain``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lomar_cli.cli import options, score_options
from lomar_cli.cli.console import out, print_json, say


@options.common
def command(
    rounds: options.Rounds,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="A client's name.")],
    scores: options.ScoresOrNone = None,
    method: score_options.MethodOrNone = None,
    views: score_options.Views = None,
    false_alarm: score_options.FalseAlarm = None,
    neighbors: score_options.Neighbors = None,
    bandwidth: score_options.Bandwidth = None,
    kernel: score_options.Kernel = None,
    epsilon: score_options.Epsilon = None,
    assume_malicious: options.AssumeMalicious = None,
    history: options.History = None,
    root: options.Root = None,
    holdout: options.Holdout = None,
    model: score_options.StartModel = None,
    data_dir: options.DataDir = None,
    data_file: options.DataFile = None,
    seed: options.Seed = 0,
    layers: options.Layers = None,
    client_groups: score_options.ClientGroups = None,
    settings: options.Settings = None,
    plot: score_options.Plot = None,
    json: options.Json = False,
    memory: options.Memory = "2G",
    jobs: options.Jobs = None,
    force: options.Force = False,
) -> None:
    """Tell why one client is kept or removed, and how it lies among the others.

    The round is judged as by 'lomar score' with the same options, or, with --scores, not again.
    Beside the verdict: which views and which labels say so, its nearest neighbours, near-copies,
    length and direction. Works with every method.

    \b
    Examples:
      lomar explain round.h5 site-23
      lomar explain round.h5 site-23 --scores scores.h5 --plot site-23.png
      lomar explain round.h5 site-23 --json | jq '.labels[0]'
    """
    from lomar_cli.stages.explain import explain

    found = explain(
        rounds,
        client,
        scores,
        method,
        score_options.method_options(
            settings,
            views=views,
            neighbors=neighbors,
            bandwidth=bandwidth,
            kernel=kernel,
            epsilon=epsilon,
            false_alarm=false_alarm,
            assume_malicious=assume_malicious,
        ),
        options.split_list(layers),
        options.parse_size(memory, "--memory"),
        options.default_jobs(jobs),
        seed,
        history or [],
        root,
        options.held_out(holdout, data_dir, data_file),
        model,
        plot,
        client_groups,
        force,
    )
    if json:
        print_json(found)
    else:
        _show(found)
    if plot is not None:
        say(f"{plot}: views or suspicions, labels, and a map with the client marked")


_LABELS = 12


def _show(found: dict[str, Any]) -> None:
    from rich.text import Text

    from lomar_cli.files.text import printable

    console = out()
    keep = found["keep"]
    head = Text(printable(found["client"]), style="bold")
    head.append(": ")
    head.append("keep" if keep else "remove", style="green" if keep else "bold red")
    if found["method"]:
        head.append(f" (by {printable(found['method'], 40)})")
    console.print(head)
    if found["reason"]:
        console.print(Text(printable(found["reason"], 300)))
    console.print()
    for sentence in found["words"]:
        console.print(Text(f"- {sentence}"), soft_wrap=not console.is_terminal)
    for note in found["notes"]:
        console.print(Text(f"- of the round: {note}"), soft_wrap=not console.is_terminal)
    if found.get("labels") and found["few"]:
        _labels(found, console)
    if found.get("neighbours"):
        _neighbours(found["neighbours"], console)


def _labels(found: dict[str, Any], console: Any) -> None:
    from rich.text import Text

    from lomar_cli.files.text import printable

    labels = found["labels"]
    factors = any("log_factor" in one for one in labels)
    table = _table(["label"], [f"to {found['few']} nearest", "to half", *["log factor"] * factors])
    for one in labels[:_LABELS]:
        numbers = [f"{one['near_z']:+.1f}", f"{one['far_z']:+.1f}"]
        if factors:
            value = one.get("log_factor")
            numbers.append("-" if value is None else f"{value:.3g}")
        table.add_row(Text(printable(one["label"], 30)), *numbers)
    console.print()
    console.print("Distance by label, as robust z: below -3 is unusually tight, above 3 thin.")
    console.print(table)
    if len(labels) > _LABELS:
        console.print(f"... and {len(labels) - _LABELS} more labels, closer to what is usual")


def _neighbours(nearest: list[dict[str, Any]], console: Any) -> None:
    from rich.text import Text

    from lomar_cli.cli.score_table import number, verdict
    from lomar_cli.files.text import printable

    table = _table(["nearest"], ["distance", "of usual", "suspicion"])
    table.add_column("verdict", no_wrap=True)
    for one in nearest:
        usual = "-" if one["of_usual"] is None else f"{one['of_usual']:.0%}"
        table.add_row(
            Text(printable(one["client"], 36)),
            number(one["distance"]),
            usual,
            number(one["suspicion"]),
            verdict(one["keep"]),
        )
    console.print()
    console.print(table)


def _table(left: list[str], right: list[str]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
