"""``lomar score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.cli import options, score_options
from lomar_cli.cli.console import err, out, print_json, say, warn
from lomar_cli.errors import EXIT_FLAGGED, UsageError


def command(
    rounds: options.Rounds,
    output: options.OutputOrNone = None,
    method: score_options.Method = score_options.DEFAULT_METHOD,
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
    neighbors_search: score_options.NeighborsSearch = None,
    device: options.Device = "cpu",
    kind: options.Format = None,
    settings: options.Settings = None,
    plot: score_options.Plot = None,
    json: options.Json = False,
    fail_on_flagged: Annotated[
        bool,
        typer.Option(
            "--fail-on-flagged", help="Exit 10 if any client is flagged.", show_default=False
        ),
    ] = False,
    memory: options.Memory = "2G",
    jobs: options.Jobs = None,
    cluster: options.Cluster = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> int:
    """Judge every client of a round: how suspicious it is, whether to keep it, and why.

    By lomar-auto, which takes most of the clients to be honest and needs no number of attackers;
    --method lomar is the paper's, --method all judges by every method that can. Needs neither
    torch nor training data (but for a few methods that ask for some of your own).

    Without -o and --json the most suspicious clients are shown as a table. -o takes .h5, .csv,
    .tsv or .json, or - for stdout; with --method all, a folder.

    \b
    Examples:
      lomar score round.h5
      lomar score round.h5 -o scores.h5
      lomar score round-*.h5 -o scores.h5
      lomar score round.h5 --json | jq '.clients[] | select(.keep | not) | .client'
      lomar score round.h5 -o - --format csv | sort -t, -k3 -g -r | head
      lomar score round.h5 --plot scores.png
      lomar score round.h5 --client-groups devices.csv
      lomar score round.h5 --method lomar -k 0.5n --bandwidth 0.1x
      lomar score round.h5 --method all -o scores/
      lomar score round-*.h5 --cluster tcp://scheduler:8786 -o scores.h5
    """
    stream = output is not None and str(output) == "-"
    if stream and json:
        raise UsageError("give either --json or -o -")
    if kind is not None and output is None:
        raise UsageError("--format: says how -o is written; give -o FILE, or -o - for stdout")
    given = score_options.method_options(
        settings,
        views=views,
        neighbors=neighbors,
        bandwidth=bandwidth,
        kernel=kernel,
        epsilon=epsilon,
        false_alarm=false_alarm,
        neighbors_search=neighbors_search,
        assume_malicious=assume_malicious,
    )
    common: dict[str, Any] = {
        "options": given,
        "layers": options.split_list(layers),
        "kind": kind,
        "memory": options.parse_size(memory, "--memory"),
        "jobs": options.default_jobs(jobs),
        "force": force,
        "seed": seed,
        "history": history or [],
        "root": root,
        "held_out": options.held_out(holdout, data_dir, data_file),
        "base_model": model,
        "groups": client_groups,
        "device": device,
    }
    if method == "all":
        if stream:
            raise UsageError("--method all: writes a folder, a file a method; give -o FOLDER")
        if plot is not None:
            raise UsageError("--plot: shows the verdict of one method; name one with --method")
        if cluster is not None:
            raise UsageError(
                "--cluster: most methods read the updates themselves; name one with --method"
            )
        flagged = _all(rounds, output, json, common)
    else:
        common |= {"plot": plot, "cluster": cluster, "tell": say, "note": warn}
        flagged = _one(rounds, None if stream else output, method, stream, json, quiet, common)
    return EXIT_FLAGGED if fail_on_flagged and flagged else 0


def _way(
    rounds: list[Path], output: Path | None, method: str, common: dict[str, Any]
) -> list[str] | None:
    """What ``lomar explain`` has to be told to judge alike; None where that is more than a hint."""
    if len(rounds) > 1:
        return None
    if output is not None:
        return ["--scores", str(output)]
    beside = ("layers", "history", "root", "held_out", "base_model")
    if any(common[name] for name in beside):
        return None
    if any(value is not None for value in common["options"].values()):
        return None
    way = [] if method == score_options.DEFAULT_METHOD else ["--method", method]
    return way if common["groups"] is None else [*way, "--client-groups", str(common["groups"])]


def _one(
    rounds: list[Path],
    output: Path | None,
    method: str,
    stream: bool,
    json: bool,
    quiet: bool,
    common: dict[str, Any],
) -> int:
    """Judge by one method; how many clients it flags."""
    from lomar_cli.cli.score_table import show
    from lomar_cli.files.scores import as_document, render
    from lomar_cli.stages.score import score

    scores = score(rounds, output, method, **common)
    way = _way(rounds, output, method, common)
    flagged = int((~scores.keep).sum())
    if stream:
        print(render(scores, common["kind"] or "csv"), end="")
    elif json:
        print_json(as_document(scores))
    elif output is None:
        show(scores, out(), options.named(rounds), way)
    if output is not None:
        console = err()
        if console.is_terminal and not quiet:
            show(scores, console, options.named(rounds), way)
        else:
            # Not every format holds them.
            for note in scores.notes:
                say(f"note: {note}")
        say(f"{output}: {flagged} of {len(scores.clients)} clients flagged by {method}")
    if common["plot"] is not None:
        say(f"{common['plot']}: suspicions and a map of the updates")
    return flagged


def _all(rounds: list[Path], output: Path | None, json: bool, common: dict[str, Any]) -> int:
    """Judge by every method; the most clients that any of them flags."""
    from lomar_cli.cli.score_table import show_all
    from lomar_cli.stages.score_all import document, score_all

    outcomes = score_all(rounds, output, **common)
    if json:
        print_json(document(outcomes))
    else:
        show_all(outcomes, out())
    found = [outcome.scores for outcome in outcomes if outcome.scores is not None]
    if output is not None:
        say(f"{output}: scores of {len(found)} methods; {len(outcomes) - len(found)} do not apply")
    return max((int((~scores.keep).sum()) for scores in found), default=0)
