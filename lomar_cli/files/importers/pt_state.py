"""Which tensors of a torch file are a model's, by what its pickle says (``pt_pickle``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import (
    CLIENT_IDS,
    NUM_EXAMPLES,
    check_declared,
    fault,
    whole_count,
)
from lomar_cli.files.importers.pt_pickle import Tensor
from lomar_cli.files.text import printable

# Where trainers keep a state_dict; NVFlare says "model", Lightning "state_dict".
KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "updates")
# Modules that share a parameter name it again and again; so many times what is stored is a bomb.
_MOST_TIED = 64


@dataclass(frozen=True)
class State:
    """A model's tensors by name, and under which key of the file they lie (None: of it itself)."""

    key: str | None
    tensors: Mapping[str, Tensor]


def state_of(shown: str, document: Any, max_bytes: int) -> State:
    """The dict of tensors under a common key, or the document itself when it holds tensors.

    In this order: a checkpoint may hold a tensor beside its model, such as the last loss. Raises
    InputError where there is none, where something else lies among them, or where they declare more
    numbers than their storages hold or ``max_bytes`` allows.
    """
    state = _find(shown, as_dict(shown, document))
    for name, tensor in state.tensors.items():
        # A stride of 0 would let a few bytes stand for any number of values.
        if tensor.nbytes > tensor.storage.nbytes:
            raise fault(
                shown, name, "declares more numbers than the file stores; save it contiguous"
            )
    declared = sum(tensor.nbytes for tensor in state.tensors.values())
    stored = {t.storage.record: t.storage.nbytes for t in state.tensors.values()}
    if declared > _MOST_TIED * sum(stored.values()):
        raise fault(
            shown,
            "data",
            f"declares more than {_MOST_TIED} times the numbers that the file stores; save each "
            "tensor by itself",
        )
    check_declared(shown, "data", declared, max_bytes)
    return state


def as_dict(shown: str, document: Any) -> dict[Any, Any]:
    if type(document) is not dict:
        kind = "tensor" if isinstance(document, Tensor) else type(document).__name__
        raise InputError(f"{shown}: holds no dict but a {printable(kind)}; save model.state_dict()")
    return document


def clients(shown: str, document: Mapping[Any, Any]) -> list[str] | None:
    """The names of its clients, where a file holds many."""
    names = document.get(CLIENT_IDS)
    if names is None:
        return None
    if type(names) is not list or not all(type(name) is str for name in names):
        raise fault(shown, CLIENT_IDS, "must be a list of names")
    return list(names)


def count(shown: str, document: Mapping[Any, Any], names: list[str] | None) -> Any:
    """The numbers of samples: None, a number, an array, or a tensor that the file holds.

    ``names`` are the clients', None where the file is one client's.
    """
    found = document.get(NUM_EXAMPLES)
    if found is None or type(found) in (int, float):
        return found
    if isinstance(found, Tensor):
        if math.prod(found.shape) != (1 if names is None else len(names)):
            raise fault(shown, NUM_EXAMPLES, f"must be one number a client, not {found.shape}")
        return found
    if type(found) is list and all(type(one) in (int, float) for one in found):
        return np.array([whole_count(shown, one) for one in found], np.int64)
    raise fault(shown, NUM_EXAMPLES, "must be a whole number, or a list of them")


def _find(shown: str, document: Mapping[Any, Any]) -> State:
    for key in (*(key for key in KEYS if key in document), None):
        place = document if key is None else document[key]
        found = _tensors(place)
        if not found:
            continue
        rest = [n for n in place if n not in found and n not in (NUM_EXAMPLES, CLIENT_IDS)]
        if rest and key is not None:
            raise fault(shown, str(rest[0]), "is no tensor, but lies among them")
        seen: set[int] = set()
        within = next((name for name in rest if _holds_tensors(place[name], seen)), None)
        if within is not None:
            raise fault(
                shown,
                str(within),
                "holds tensors, and there are others beside it; save model.state_dict() alone",
            )
        return State(key, found)
    raise InputError(
        f"{shown}: holds no state_dict, neither by itself nor under {', '.join(KEYS)}; save "
        "model.state_dict()"
    )


def _tensors(place: Any) -> dict[str, Tensor]:
    """The named tensors right in a dict; none if there is no other than the count."""
    if type(place) is not dict:
        return {}
    found = {n: t for n, t in place.items() if isinstance(n, str) and isinstance(t, Tensor)}
    return found if set(found) - {NUM_EXAMPLES} else {}


def _holds_tensors(place: Any, seen: set[int]) -> bool:
    """Whether there is a tensor in dicts and lists at any depth, but those ``seen`` already."""
    pending = [place]
    while pending:
        one = pending.pop()
        if isinstance(one, Tensor):
            return True
        if id(one) in seen:
            continue
        if isinstance(one, dict | list | tuple):
            seen.add(id(one))
            pending.extend(one.values() if isinstance(one, dict) else one)
    return False
