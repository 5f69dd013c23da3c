"""``lomar watch``."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.cli import aggregate_options, dump_options, options, score_options
from lomar_cli.cli.console import detail, say, warn


def command(
    incoming: Annotated[
        Path, typer.Argument(metavar="INCOMING", help="The folder that client files appear in.")
    ],
    output: options.Folder,
    expect: Annotated[
        int, typer.Option("--expect", metavar="N", min=1, help="A round is full with N clients.")
    ],
    base_model: dump_options.BaseModel = None,
    differences: dump_options.Differences = False,
    gradients: dump_options.Gradients = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="A round is over so long after its first client (10m, 2h; default: never).",
        ),
    ] = None,
    least: Annotated[
        int | None,
        typer.Option(
            "--least",
            metavar="N",
            min=1,
            help="With fewer clients a round waits on when its time is over (half of --expect).",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", metavar="N", min=1, help="How many rounds."),
    ] = None,
    settle: Annotated[
        str,
        typer.Option(
            "--settle",
            metavar="TIME",
            help="A file is complete when it did not change for so long; 0 where all are renamed "
            "into place.",
        ),
    ] = "2s",
    poll: Annotated[str, typer.Option("--poll", metavar="TIME", help="How often to look.")] = "1s",
    client_pattern: dump_options.ClientPattern = None,
    output_layer: dump_options.OutputLayer = None,
    label_axis: dump_options.LabelAxis = None,
    include: dump_options.Include = None,
    exclude: dump_options.Exclude = None,
    method: score_options.Method = score_options.DEFAULT_METHOD,
    false_alarm: score_options.FalseAlarm = None,
    settings: options.Settings = None,
    root: options.Root = None,
    remember: Annotated[
        int,
        typer.Option(
            "--remember",
            metavar="N",
            min=0,
            help="The last N rounds of this watch are the history of what remembers, as --history "
            "is to 'lomar score'; their round files stay.",
        ),
    ] = 0,
    rule: aggregate_options.Rule = "fedavg",
    pre: aggregate_options.Pre = None,
    weights: aggregate_options.Weights = "examples",
    max_weight_share: aggregate_options.MaxWeightShare = None,
    assume_malicious: options.AssumeMalicious = None,
    no_aggregate: Annotated[
        bool,
        typer.Option(
            "--no-aggregate",
            help="The server averages by itself, and puts each round's model where --base-model "
            "says: it is read anew when a round is over.",
            show_default=False,
        ),
    ] = False,
    hook: Annotated[
        str | None,
        typer.Option(
            "--exec",
            metavar="COMMAND",
            help="Run after each round, without a shell; {} is the verdict's file (else it is the "
            "last argument). May run again after a kill.",
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(
            "--metrics",
            metavar="FILE",
            help="Where a line of JSON goes each round (default: metrics.jsonl in -o).",
        ),
    ] = None,
    prometheus: Annotated[
        Path | None,
        typer.Option(
            "--prometheus",
            metavar="FILE",
            help="The last round's figures for node_exporter's textfile collector (FILE.prom; "
            "extra 'metrics').",
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            "--keep-files",
            help="Whose client files and round files stay: none, last or all. Scores and models "
            "stay always.",
        ),
    ] = "last",
    seed: options.Seed = 0,
    max_bytes: dump_options.MaxBytes = "2G",
    memory: options.Memory = "2G",
    jobs: options.Jobs = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Judge rounds beside a running server: take client files up as they come, go on for ever.

    Complete files are moved out of INCOMING. When a round is full, or its time is over, -o gets a
    folder with its verdict, scores and the next model, and the next round begins. A file that
    cannot be used is set aside with its reason. Killed and started again, the watch goes on.
    It ends after --rounds in all, or never. Round 1 starts from --base-model, the next from what
    was aggregated; with --differences or --gradients as well, updates are added to it. --root is
    read anew when a round is over. An option of the rule is set by --set rule.NAME=VALUE, of what
    --pre names by --set rule.PRE.NAME=VALUE.

    \b
    Examples:
      lomar watch incoming/ --base-model model.safetensors --expect 100 --timeout 10m -o verdicts/
      lomar watch in/ --differences --no-aggregate --expect 20 --exec './next-round {}' -o out/
    """
    from lomar_cli.files.text import counted
    from lomar_cli.watching.job import Job, Judging, Voice
    from lomar_cli.watching.loop import watch

    given = score_options.method_options(settings, false_alarm=false_alarm)
    rule_head = "rule."
    judging = Judging(
        method=method,
        rule=rule,
        options={k: v for k, v in given.items() if not k.startswith(rule_head)},
        rule_options={
            k.removeprefix(rule_head): v for k, v in given.items() if k.startswith(rule_head)
        },
        assume_malicious=assume_malicious,
        weights_by=weights,
        max_weight_share=max_weight_share,
        output_layer=output_layer,
        label_axis=label_axis,
        include=options.split_list(include) or (),
        exclude=options.split_list(exclude) or (),
        pre=options.split_list(pre) or (),
        root=root,
        remember=remember,
        aggregate=not no_aggregate,
        seed=seed,
        memory=options.parse_size(memory, "--memory"),
        jobs=options.default_jobs(jobs),
    )
    job = Job(
        incoming=incoming,
        verdicts=output,
        judging=judging,
        expect=expect,
        least=least if least is not None else (expect + 1) // 2,
        base_model=base_model,
        differences=differences,
        gradients=gradients,
        timeout=None if timeout is None else options.parse_duration(timeout, "--timeout"),
        settle=options.parse_duration(settle, "--settle"),
        poll=options.parse_duration(poll, "--poll", 0.01),
        rounds=rounds,
        client_pattern=client_pattern,
        max_bytes=options.parse_size(max_bytes, "--max-bytes"),
        keep=keep,
        metrics=metrics,
        prometheus=prometheus,
        hook=_words(hook),
    )
    voice = Voice(
        lambda line: say(f"{_now()} {line}"),
        lambda line: detail(f"{_now()} {line}"),
        lambda line: warn(f"{_now()} {line}"),
    )
    with _stoppable() as sleep:
        done = watch(job, voice, sleep=sleep)
    say(f"{_now()} {counted(done, 'round')} done, as --rounds asks")


def _words(hook: str | None) -> list[str]:
    from lomar_cli.errors import UsageError

    if hook is None:
        return []
    try:
        found = shlex.split(hook)
    except ValueError as error:
        raise UsageError(f"--exec: {str(error).lower()}") from None
    if not found:
        raise UsageError("--exec: names no command")
    return found


def _now() -> str:
    """The date and time, for people: nothing is reckoned with it."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[float], None]]:
    """SIGTERM, by which service managers stop a program, ends it as Ctrl-C does.

    Yields a sleep that ends, too, where a library took the interrupt for itself.
    """
    stopped = threading.Event()

    def stop(number: int, frame: Any) -> None:
        stopped.set()
        raise KeyboardInterrupt

    def sleep(seconds: float) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        time.sleep(seconds)

    if threading.current_thread() is not threading.main_thread():
        yield time.sleep
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield sleep
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
