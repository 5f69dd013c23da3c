"""The last round's figures as Prometheus text, for node_exporter's textfile collector.

prometheus-client (the extra 'metrics') writes the format; nothing listens on a port.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lomar_cli.errors import UsageError
from lomar_cli.files.atomic import atomic_bytes, check_output
from lomar_cli.files.text import printable

# The metric's name less its prefix, the key in a line of metrics, what it means.
_GAUGES = (
    ("clients", "clients", "Clients in the last round."),
    ("expected_clients", "expected", "Clients that the round waited for."),
    ("flagged_clients", "flagged", "Clients of the last round that were flagged."),
    ("set_aside_files", "set_aside", "Files that were set aside in the last round."),
)
_PREFIX = "lomar_watch"


def check_prometheus(path: Path) -> None:
    """UsageError when the file cannot be written, would not be read, or the extra is missing."""
    check_output(path, force=True, option="--prometheus")
    if path.suffix != ".prom":
        raise UsageError(
            f"--prometheus {printable(str(path))}: must end in .prom; the collector reads no other"
        )
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise UsageError(
            "--prometheus needs the extra 'metrics': pip install 'lomar-cli[metrics]'"
        ) from None


def write_prometheus(path: Path, line: Mapping[str, Any]) -> None:
    """Replace ``path`` by the figures of a line of metrics (``after.add_line``)."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

    registry = CollectorRegistry()
    rounds = Counter(f"{_PREFIX}_rounds", "Rounds that are over.", registry=registry)
    rounds.inc(line["round"])
    for name, key, about in _GAUGES:
        Gauge(f"{_PREFIX}_{name}", about, registry=registry).set(line[key])
    failed = Gauge(
        f"{_PREFIX}_failed", "1 when the last round could not be judged.", registry=registry
    )
    failed.set(line["status"] == "failed")
    ended = Gauge(
        f"{_PREFIX}_ended_timestamp_seconds", "When the last round was over.", registry=registry
    )
    ended.set(datetime.fromisoformat(line["ended"]).timestamp())
    seconds = Gauge(
        f"{_PREFIX}_seconds", "Seconds of the last round.", ["phase"], registry=registry
    )
    for phase, spent in line["seconds"].items():
        seconds.labels(phase).set(spent)
    # The rounds' time of creation would be that of this process, and is of no use.
    text = b"".join(
        row
        for row in generate_latest(registry).splitlines(keepends=True)
        if f"{_PREFIX}_rounds_created".encode() not in row
    )
    atomic_bytes(path, text, force=True)
