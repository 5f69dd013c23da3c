"""The watch itself: collect a round, judge it, tell of it, go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.text import counted, listed, printable
from lomar_cli.stages.layout import Layout, unlike
from lomar_cli.watching import state as stages
from lomar_cli.watching.admit import read_layout
from lomar_cli.watching.after import add_line, call, clear
from lomar_cli.watching.base import layout_of, start_model
from lomar_cli.watching.beside import check_root, start_root
from lomar_cli.watching.collect import Clock, Closed, Collector
from lomar_cli.watching.inbox import Inbox
from lomar_cli.watching.job import Job, Voice
from lomar_cli.watching.judge import FAILED, VERDICT, UnreadableError, Verdict, judge
from lomar_cli.watching.prepare import check_job, check_model, held
from lomar_cli.watching.prometheus import write_prometheus
from lomar_cli.watching.state import State, read_state, write_state

_SHOWN = 3


def watch(
    job: Job,
    voice: Voice | None = None,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Watch until ``job.rounds`` rounds are over, in this process or earlier ones; their number.

    Whoever is killed and started again goes on: files lie where they were moved to, the state says
    which round is how far, and what was half done is done again to the same bytes. Only ``clock``
    (seconds, which must not jump) counts time; the date is for people.
    """
    check_job(job)
    voice = voice or Voice()
    with held(job):
        found = read_state(job.verdicts)
        check_root(job)
        if found is None:
            check_model(job)
            found = State()
            write_state(job.verdicts, found)
        return _Watch(job, voice, clock, sleep, found).run()


class _Watch:
    def __init__(
        self,
        job: Job,
        voice: Voice,
        clock: Clock,
        sleep: Callable[[float], None],
        state: State,
    ) -> None:
        self.job, self.voice, self.clock, self.sleep = job, voice, clock, sleep
        self.state = state
        self.base = self._base()

    def run(self) -> int:
        self._greet()
        while self.job.rounds is None or self.state.round <= self.job.rounds:
            if self.state.stage == stages.COLLECTING:
                self._collect()
            elif self.state.stage == stages.CLOSED:
                self._judge()
            else:
                self._tell()
        return self.state.round - 1

    def _collect(self) -> None:
        voice = self._numbered()
        inbox = Inbox(self.job.incoming, self.state.round)
        closed = Collector(self.job, inbox, self.base, voice, self.clock, self.sleep).run()
        if not self.job.judging.aggregate and not self.job.updates_sent:
            # The server's own model, as it is now: it may be replaced while the round is judged.
            start_model(self.job, self.state, fresh=True)
        start_root(self.job, self.state, fresh=True)
        voice.say(_closing(closed, self.job))
        self._go(stages.CLOSED, files=closed.files, waited=round(closed.waited, 3))

    def _judge(self) -> None:
        inbox = Inbox(self.job.incoming, self.state.round)
        try:
            verdict = judge(self.job, self.state, inbox)
        except UnreadableError as error:
            if not self._changed(inbox):
                raise InputError(str(error)) from None
            self._numbered().warn("a client's file changed after it was taken up; looking again")
            self._go(stages.COLLECTING, files=(), waited=0.0)
            return
        self._announce(verdict)
        self._go(stages.JUDGED, model=verdict.model, line=self._line(verdict))

    def _tell(self) -> None:
        """What follows a verdict: all of it may be done twice, the metrics are told once."""
        job, number = self.job, self.state.round
        add_line(job.metrics_file, self.state.line)
        if job.prometheus is not None:
            write_prometheus(job.prometheus, self.state.line)
        call(job, number, self.voice)
        clear(job, number, self.state.files)
        self._go(stages.COLLECTING, round=number + 1, files=(), waited=0.0, line={})

    def _go(self, stage: str, **changes: Any) -> None:
        self.state = replace(self.state, stage=stage, **changes)
        write_state(self.job.verdicts, self.state)

    def _base(self) -> Layout | None:
        if self.job.judging.aggregate:
            return layout_of(start_model(self.job, self.state), self.job.max_bytes)
        return layout_of(self.job.base_model, self.job.max_bytes)

    def _changed(self, inbox: Inbox) -> bool:
        """True when one of the round's files is gone, or would not be taken up as it is now."""
        layouts = {}
        for name in self.state.files:
            try:
                layouts[name] = read_layout(inbox.taken / name, self.job.max_bytes, self.base)
            except InputError:
                return True
        return bool(unlike(layouts))

    def _line(self, verdict: Verdict) -> dict[str, Any]:
        document = verdict.document
        return {
            "round": self.state.round,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "status": document["status"],
            "clients": document["clients"],
            "expected": self.job.expect,
            "flagged": len(verdict.flagged),
            "set_aside": len(document["set_aside"]),
            "seconds": {"waiting": self.state.waited, **verdict.seconds},
            "method": document["method"],
            "model": verdict.model,
            "verdict": f"{self.job.folder(self.state.round).name}/{VERDICT}",
        }

    def _numbered(self) -> Voice:
        """A voice that says which round it speaks of."""
        head, voice = f"round {self.state.round}: ", self.voice
        return Voice(
            lambda line: voice.say(head + line),
            lambda line: voice.detail(head + line),
            lambda line: voice.warn(head + line),
        )

    def _greet(self) -> None:
        state, job = self.state, self.job
        doing = {
            stages.COLLECTING: f"collecting round {state.round}",
            stages.CLOSED: f"judging round {state.round}, which was closed",
            stages.JUDGED: f"telling of round {state.round}, which was judged",
        }[state.stage]
        follows = state.model is not None and job.judging.aggregate
        start = f", which starts from {state.model}" if follows else ""
        shown, out = printable(str(job.incoming)), printable(str(job.verdicts))
        self.voice.say(f"watching {shown}, verdicts in {out}; {doing}{start}")

    def _announce(self, verdict: Verdict) -> None:
        voice, document, job = self._numbered(), verdict.document, self.job
        for warning in document["warnings"]:
            voice.warn(warning)
        if document["status"] == FAILED:
            voice.warn(f"{document['problem']}; no model comes of it, the next starts as this did")
        aside = len(document["set_aside"])
        files = f", {counted(aside, 'file')} set aside" if aside else ""
        voice.say(
            f"{len(verdict.flagged)} of {document['clients']} clients flagged by "
            f"{document['method']}{_named(verdict.flagged)}{files}: "
            f"{job.folder(self.state.round) / VERDICT}"
        )


def _closing(closed: Closed, job: Job) -> str:
    count, waited = len(closed.files), f"{closed.waited:.0f} s after the first"
    if count >= job.expect:
        return f"full, {count} clients, {waited}; judging"
    return f"time is over, {count} of {job.expect} clients, {waited}; judging"


def _named(clients: Sequence[str]) -> str:
    if not clients:
        return ""
    return f" ({listed([printable(name, 40) for name in clients], _SHOWN)})"
