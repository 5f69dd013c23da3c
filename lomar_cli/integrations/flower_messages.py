"""Flower's reply messages as replies to judge, and messages that weigh as the verdict says.

What a message holds was chosen by its client: nothing in it may stop a round.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import MAX_COUNT, fault
from lomar_cli.files.text import name_fault
from lomar_cli.integrations.replies import SHOWN, Reply, from_npy

Name = Callable[[Message], str]
_NUMPY = "numpy.ndarray"
# Leaves room for a node's number within what a client id may have.
_LONGEST_NAME = 200


def read_replies(
    messages: Sequence[Message], name: Name | None, record: str | None, weight: str
) -> list[Reply]:
    """What each message, which has content, says.

    Args:
        messages: replies to one round of training.
        name: what names a client; None takes the number of its node.
        record: the ArrayRecord to look at, where there are several.
        weight: the metric that says how many samples a client has. Where most clients do not send
            it, all have 1.
    """
    layouts = [_layout(message.content, record) for message in messages]
    usual = Counter(layouts).most_common(1)[0][0]
    replies = []
    for message, layout, client in zip(
        messages, layouts, client_names(messages, name), strict=True
    ):
        arrays: dict[str, NDArray[Any]] = {}
        count, wrong = 1, None
        try:
            arrays = _read_arrays(_chosen(message.content, record))
            if layout != usual:
                raise InputError("its reply holds other records or metrics than most clients' do")
            claimed = claim(message, weight)
            count = 1 if claimed is None else samples(claimed, weight)
        except InputError as error:
            wrong = str(error)
        replies.append(Reply(client, arrays, count, wrong))
    return replies


def client_names(messages: Sequence[Message], name: Name | None) -> list[str]:
    """A name for each message, of its own.

    By default it is the node's number, which Flower's server gives. Another name may come from
    the content: a client that takes somebody else's must not take the other's verdict along.
    """
    nodes = [str(message.metadata.src_node_id) for message in messages]
    names = list(nodes) if name is None else [_named(message, name) for message in messages]
    counts = Counter(names)
    taken: set[str] = set()
    for row, found in enumerate(names):
        if counts[found] > 1 and found != nodes[row]:
            found = f"{found} (node {nodes[row]})"
        number, free = 1, found
        while free in taken:
            number += 1
            free = f"{found} #{number}"
        taken.add(free)
        names[row] = free
    return names


def claim(message: Message, key: str) -> float | None:
    """The number that a message gives under ``key``; None where it gives none."""
    for metrics in message.content.metric_records.values():
        value = metrics.get(key)
        if isinstance(value, (int, float)):
            return float(value)
    return None


def weighing(message: Message, key: str, value: float) -> Message:
    """The same message with another number under ``key``; the one given stays as it is."""
    content = RecordDict(dict(message.content.items()))
    for name, metrics in message.content.metric_records.items():
        if key in metrics:
            content[name] = MetricRecord({**metrics, key: value})
    made = copy.copy(message)
    made.content = content
    return made


def samples(claimed: float, weight: str) -> int:
    """A claimed number of samples; InputError where no client can have it."""
    if not 0 <= claimed < MAX_COUNT:
        raise InputError(f"its reply says {weight} is {claimed:g}; a number of samples is not")
    return round(claimed)


def _named(message: Message, name: Name) -> str:
    try:
        found = name(message)
    except Exception:
        # Whatever a client sent instead of its name.
        found = ""
    fits = isinstance(found, str) and len(found) <= _LONGEST_NAME and not name_fault(found)
    return found if fits else str(message.metadata.src_node_id)


def _layout(content: RecordDict, record: str | None) -> tuple[Any, ...]:
    """What Flower's strategies want to be the same in all replies, as something to compare.

    The names within the record that is judged are compared with the model's instead.
    """
    arrays = content.array_records
    judged = record if record is not None or len(arrays) != 1 else next(iter(arrays))
    others = {key: () if key == judged else tuple(sorted(arrays[key])) for key in arrays}
    metrics = {
        key: tuple(sorted((n, len(v) if isinstance(v, list) else -1) for n, v in found.items()))
        for key, found in content.metric_records.items()
    }
    return tuple(sorted(others.items())), tuple(sorted(metrics.items()))


def _chosen(content: RecordDict, record: str | None) -> ArrayRecord:
    found = content.array_records
    if record is not None:
        if record not in found:
            raise InputError(f"its reply holds no ArrayRecord '{record}'")
        return found[record]
    if len(found) != 1:
        raise InputError(
            f"its reply holds {len(found)} ArrayRecords; arrayrecord_key says which one to judge"
        )
    return next(iter(found.values()))


def _read_arrays(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for name, array in record.items():
        if array.stype != _NUMPY:
            raise fault(SHOWN, name, "is no serialised numpy.ndarray")
        arrays[name] = from_npy(name, array.data)
    return arrays
