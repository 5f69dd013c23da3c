"""The head of a round: all of it but the numbers, read from an open file and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.text import name_fault, printable
from lomar_cli.files.updates import OutputLayer


@dataclass(frozen=True)
class RoundHead:
    """All of a round but the numbers.

    ``shapes`` and ``dtypes`` are of one client's parameters, in order. ``base_sha256`` identifies
    the model that the updates start from (``model.parameters_sha256``); "" when unknown.
    ``buffers`` are the parameters that are aggregated but not scored (``buffers.find_buffers``).
    """

    clients: Sequence[str]
    num_examples: NDArray[np.int64]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, np.dtype[Any]]
    output: OutputLayer | None
    labels: Sequence[str]
    round_number: int
    base_sha256: str
    architecture: str = ""
    buffers: frozenset[str] = frozenset()


def encode_name(name: str) -> str:
    """A parameter's name as an HDF5 link name: ``/`` and ``%`` (and a lone ``.``) escaped."""
    if name in (".", ".."):
        return name.replace(".", "%2E")
    return name.replace("%", "%25").replace("/", "%2F")


def decode_name(name: str) -> str:
    return name.replace("%2F", "/").replace("%2E", ".").replace("%25", "%")


def read_output(
    reader: h5.Reader, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[OutputLayer | None, list[str]]:
    """Return the output layer and the label names, checked against the parameter shapes."""
    weight = reader.string("output_weight")
    labels = reader.strings("labels") if "labels" in reader.handle else []
    check_labels(reader, labels)
    if not weight:
        return None, labels
    bias = reader.string("output_bias") or None
    axis = reader.integer("label_axis")
    if weight not in shapes:
        raise reader.fault("output_weight", f"names '{printable(weight)}', which is not there")
    if not 0 <= axis < len(shapes[weight]):
        raise reader.fault("label_axis", f"is {axis}, but the weight has shape {shapes[weight]}")
    count = shapes[weight][axis]
    if bias is not None and shapes.get(bias) != (count,):
        raise reader.fault("output_bias", f"must name a vector over the {count} labels")
    if labels and len(labels) != count:
        raise reader.fault("labels", f"has {len(labels)} names for {count} labels")
    return OutputLayer(weight, bias, axis), labels


def read_parameters(
    reader: h5.Reader, group: str, skip: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, np.dtype[Any]]]:
    """Return shapes and dtypes of a group of parameters in order, less ``skip`` leading axes."""
    found = []
    for link in reader.names(group):
        data = reader.dataset(f"{group}/{link}")
        if data.dtype.kind != "f" or data.dtype.itemsize > 8:
            raise reader.fault(
                f"{group}/{link}", f"must hold float16, float32 or float64, holds {data.dtype}"
            )
        if data.ndim < skip or 0 in data.shape[skip:]:
            raise reader.fault(f"{group}/{link}", f"has the shape {data.shape}")
        name = decode_name(link)
        fault = name_fault(name)
        if encode_name(name) != link:
            fault = "it is not spelled as docs/format.md says"
        if fault:
            raise reader.fault(f"{group}/{link}", f"the name is refused: {fault}")
        found.append((reader.integer("position", f"{group}/{link}"), name, data))
    if not found:
        raise reader.fault(group, "holds no parameters")
    found.sort(key=lambda item: item[0])
    if [place for place, _, _ in found] != list(range(len(found))):
        raise reader.fault(group, "the positions of its parameters must count from 0")
    shapes = {name: tuple(data.shape[skip:]) for _, name, data in found}
    return shapes, {name: data.dtype for _, name, data in found}


def check_labels(reader: h5.Reader, labels: Sequence[str]) -> None:
    """Refuse label names that could do harm when shown, and one name for two labels."""
    for label in labels:
        fault = name_fault(label)
        if fault:
            raise reader.fault("labels", f"the name '{printable(label, 40)}' is refused: {fault}")
    if len(set(labels)) != len(labels):
        raise reader.fault("labels", "two labels have the same name")


def check_clients(names: Sequence[str], where: str) -> None:
    """Refuse empty lists, duplicate ids and ids that could do harm when shown."""
    if not names:
        raise InputError(f"{where}: holds no clients; at least one is needed")
    seen: set[str] = set()
    for name in names:
        fault = name_fault(name)
        if fault:
            raise InputError(f"{where}: the client id '{printable(name, 40)}' is refused: {fault}")
        if name in seen:
            raise InputError(f"{where}: the client id '{printable(name, 40)}' is there twice")
        seen.add(name)


def read_head(reader: h5.Reader) -> RoundHead:
    """All of an open round but the numbers, checked."""
    clients = reader.strings("clients/id")
    check_clients(clients, f"{printable(str(reader.path))}: clients/id")
    counts = reader.integers("clients/num_examples", len(clients))
    if (counts < 0).any():
        raise reader.fault("clients/num_examples", "holds negative counts")
    shapes, dtypes = read_parameters(reader, "updates", 1)
    for name in shapes:
        rows = reader.dataset(f"updates/{encode_name(name)}").shape[0]
        if rows != len(clients):
            raise reader.fault(f"updates/{name}", f"has {rows} rows for {len(clients)} clients")
    output, labels = read_output(reader, shapes)
    return RoundHead(
        clients=clients,
        num_examples=counts,
        shapes=shapes,
        dtypes=dtypes,
        output=output,
        labels=labels,
        round_number=reader.integer("round_number"),
        base_sha256=reader.string("base_sha256"),
        architecture=reader.string("architecture"),
        buffers=_read_buffers(reader, shapes, output),
    )


def _read_buffers(
    reader: h5.Reader, shapes: Mapping[str, tuple[int, ...]], output: OutputLayer | None
) -> frozenset[str]:
    found = set()
    for name in shapes:
        where = f"updates/{encode_name(name)}"
        if "buffer" in reader.dataset(where).attrs and reader.integer("buffer", where):
            found.add(name)
    if len(found) == len(shapes) or (output and {output.weight, output.bias} & found):
        raise reader.fault("updates", "a round whose output layer, or all of it, is a buffer")
    return frozenset(found)
