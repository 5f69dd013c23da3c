"""Wait for a round's clients: take up what is complete, set aside what cannot be used."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files.text import printable
from lomar_cli.stages.layout import Layout, unlike
from lomar_cli.watching.admit import client_of, fault_of, read_layout
from lomar_cli.watching.inbox import Inbox, Seen, Steady, look
from lomar_cli.watching.job import Job, Voice

# Seconds between two lines about how many clients there are.
_QUIET = 60.0
Clock = Callable[[], float]


@dataclass(frozen=True)
class Closed:
    """The files of a full round, by name; seconds since its first client."""

    files: list[str]
    waited: float


@dataclass
class Collector:
    """One round while it is collected. ``base`` is what the base model looks like, if any."""

    job: Job
    inbox: Inbox
    base: Layout | None
    voice: Voice
    clock: Clock = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _admitted: dict[str, Layout] = field(default_factory=dict)
    _first: float | None = None
    _waiting_on: int | None = None
    _told: tuple[int, float] = (0, 0.0)

    def __post_init__(self) -> None:
        self._steady = Steady(self.job.settle, self.clock)
        pattern = self.job.client_pattern
        self._pattern = re.compile(pattern) if pattern is not None else None

    def run(self) -> Closed:
        """Return when the round is over; files that come later are the next round's."""
        self.inbox.prepare()
        while True:
            self._look()
            closed = self._closed()
            if closed is not None:
                return closed
            self._progress()
            self.sleep(self.job.poll)

    def _look(self) -> None:
        """One look at both folders."""
        here = {Path(seen.path.name).stem: seen for seen in self.inbox.lying()}
        arrived = self.inbox.arrived()
        steady = [seen for seen in arrived if self._steady.is_steady(_key(seen), seen)]
        for seen in steady:
            if len(here) >= self.job.expect:
                # The round may be full with these: what else there is may be the next one's.
                break
            self._take(seen, here)
        lying = self.inbox.lying()
        for seen in lying:
            name = seen.path.name
            if name not in self._admitted and self._steady.is_steady(_key(seen), seen):
                self._admit(seen)
        self._steady.only({_key(seen) for seen in (*arrived, *lying)})

    def _take(self, seen: Seen, here: dict[str, Seen]) -> None:
        path = seen.path
        try:
            client = client_of(path, self._pattern)
        except InputError as error:
            self._aside(path, str(error))
            return
        twice = f"client '{printable(client, 40)}' sent already in this round: the first counts"
        fault = fault_of(seen, self.job.max_bytes) or (twice if client in here else None)
        if fault is not None:
            self._aside(path, fault)
            return
        try:
            moved = self.inbox.take(path, client)
        except FileNotFoundError:
            return  # whoever sent it took it away again
        except FileExistsError:
            # A file system that takes 'A' and 'a' for one.
            self._aside(path, twice)
            return
        self._steady.rename(_key(seen), str(moved))
        here[client] = seen

    def _admit(self, seen: Seen) -> None:
        """Read a file that was taken, and count it or set it aside."""
        path = seen.path
        fault = fault_of(seen, self.job.max_bytes)
        if fault is None:
            try:
                layout = read_layout(path, self.job.max_bytes, self.base)
            except InputError as error:
                fault = str(error)
            else:
                if look(path) != seen:
                    return  # it changed while it was read: it has to settle anew
                self._admitted[path.name] = layout
                count = len(self._admitted)
                self.voice.detail(f"client {count} of {self.job.expect}: {printable(path.stem)}")
                if self._first is None:
                    self._first = self.clock()
                    self._begun()
        if fault is not None:
            self._aside(path, fault)

    def _closed(self) -> Closed | None:
        """The round, if it is over."""
        while self._over():
            odd = unlike(self._admitted)
            if not odd:
                self.inbox.settle()
                waited = 0.0 if self._first is None else self.clock() - self._first
                return Closed(sorted(self._admitted), waited)
            for name, reason in odd.items():
                del self._admitted[name]
                self._aside(self.inbox.taken / name, reason)
        return None

    def _over(self) -> bool:
        count, job = len(self._admitted), self.job
        if count >= job.expect:
            return True
        if job.timeout is None or self._first is None or self.clock() - self._first < job.timeout:
            return False
        if count >= job.least:
            return True
        if self._waiting_on != count:
            self._waiting_on = count
            self.voice.say(
                f"time is over with {count} of {job.expect} clients, and the least is {job.least} "
                "(--least): waiting on"
            )
        return False

    def _progress(self) -> None:
        """Now and then, how many there are, so that nobody wonders what it waits for."""
        count, now = len(self._admitted), self.clock()
        if count != self._told[0] and now - self._told[1] >= _QUIET:
            self._told = (count, now)
            self.voice.say(f"{count} of {self.job.expect} clients are here")

    def _begun(self) -> None:
        self._told = (len(self._admitted), self.clock())
        until = "" if self.job.timeout is None else f" or {self.job.timeout:g} s are over"
        self.voice.say(f"the first client is here; waiting until {self.job.expect} are{until}")

    def _aside(self, path: Path, reason: str) -> None:
        try:
            self.inbox.set_aside(path, reason)
        except FileNotFoundError:
            return  # whoever sent it took it away again
        self.voice.say(f"set aside '{printable(path.name, 80)}': {reason}")


def _key(seen: Seen) -> str:
    return str(seen.path)
