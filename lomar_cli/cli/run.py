"""``lomar run``."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from lomar_cli.cli import options
from lomar_cli.cli.cluster import engine as cluster_engine
from lomar_cli.cli.console import duration, progress, say, size


def command(
    experiment: Annotated[
        str,
        typer.Argument(help="A preset ('lomar list experiments') or an experiment's .toml file."),
    ],
    output: options.FolderOrNone = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The reduced version.", show_default=False)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what would be run, and about how long it would take.",
            show_default=False,
        ),
    ] = False,
    keep: Annotated[
        str, typer.Option("--keep", help="Which files of the cells stay: none, last or all.")
    ] = "none",
    jobs: options.Jobs = None,
    cluster: options.Cluster = None,
    data_dir: options.DataDir = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> int:
    """Run an experiment: a sweep of settings, defenses and seeds over rounds.

    Killed and run again, it goes on where it was and ends with the same results. Cells that fail
    do not stop it; they are listed at the end, and the exit code is 1.

    With --cluster the cells run on Dask, whose workers must see the results folder and the data
    sets; the results are the same (docs/scale.md).

    \b
    Examples:
      lomar run table3 --quick -o results
      lomar run my-sweep.toml -o results --jobs 4
      lomar run my-sweep.toml -o /shared/results --cluster tcp://head:8786
    """
    from lomar_cli.errors import UsageError
    from lomar_cli.experiments import sweep
    from lomar_cli.experiments.cell import KEEPS
    from lomar_cli.experiments.estimate import estimate
    from lomar_cli.experiments.plan import read_plan

    if keep not in KEEPS:
        raise UsageError(f"--keep {keep}: must be one of {', '.join(KEEPS)}")
    plan = read_plan(experiment, quick)
    rounds = sum(cell.rounds for cell in plan.cells)
    if dry_run:
        print(f"{plan.title}: {len(plan.cells)} cells, {rounds:,} rounds")
        for cell in plan.cells:
            print(f"{cell.key}  {cell.rounds:4d} rounds  {cell.label}")
        workers = min(options.default_jobs(jobs), len(plan.cells))
        left = [cell for cell in plan.cells if output is None or not sweep.is_done(output, cell)]
        need = estimate(left, data_dir, keep, workers)
        total = sum(need.seconds.values()) / workers
        print(
            f"{len(left)} cells to do: about {duration(total)} with --jobs {workers}, and "
            f"{size(need.bytes)} of disk at the most (--keep {keep})"
        )
        if len(need.seconds) > 1:
            each = (f"{name} {duration(s / workers)}" for name, s in need.seconds.items())
            print(f"of that {', '.join(each)}")
        return 0
    if output is None:
        raise UsageError("-o FOLDER is needed: where the results go")
    left = sweep.prepare(plan, output, force)
    if len(left) < len(plan.cells):
        say(f"{len(plan.cells) - len(left)} of {len(plan.cells)} cells are done already")
    again = {cell.key for cell in left}
    troubles = sweep.refused(output, [cell for cell in plan.cells if cell.key not in again])
    with (
        cluster_engine(cluster, jobs, most=len(left)) as engine,
        progress(f"running {plan.name}, rounds") as (begin, advance),
    ):
        begin(sum(cell.rounds for cell in left))
        for outcome in sweep.run_cells(left, output, data_dir, keep, engine, advance):
            if outcome.status != "done":
                troubles.append(outcome)
    place = {cell.key: number for number, cell in enumerate(plan.cells)}
    troubles.sort(key=lambda one: place[one.cell.key])
    statuses = Counter(one.status for one in troubles)
    counts = [f"{len(plan.cells)} cells", *(f"{n} {status}" for status, n in statuses.items())]
    say(f"{output}: {', '.join(counts)}; 'lomar report {output} -o report' shows them")
    told: dict[str, str] = {}
    for outcome in troubles:
        label = outcome.cell.label
        first = told.setdefault(outcome.reason, label)
        say(f"{outcome.status}: {label}: {outcome.reason if first == label else f'as {first}'}")
    return 1 if any(outcome.status == "failed" for outcome in troubles) else 0
