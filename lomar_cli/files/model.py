"""The model file: named parameters and which of them is the output layer (lomar/model)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files import h5
from lomar_cli.files.round import (
    encode_name,
    read_output,
    read_parameters,
    write_output,
)
from lomar_cli.files.updates import OutputLayer


@dataclass(frozen=True)
class Model:
    """Parameters by name, in order, and what they belong to."""

    parameters: Mapping[str, NDArray[Any]]
    output: OutputLayer | None = None
    labels: Sequence[str] = ()
    architecture: str = ""
    round_number: int = 0
    provenance: h5.Provenance | None = None

    @property
    def sha256(self) -> str:
        return parameters_sha256(self.parameters)


def parameters_sha256(parameters: Mapping[str, NDArray[Any]]) -> str:
    """Identity of a set of parameters: the same in every file format that can hold them."""
    digest = hashlib.sha256()
    for name in sorted(parameters):
        array = np.ascontiguousarray(parameters[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        head = json.dumps([name, array.dtype.str, list(parameters[name].shape)])
        digest.update(head.encode() + b"\n")
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_model(path: Path, model: Model, force: bool = False) -> None:
    with h5.create(path, "model", model.provenance or [], force) as handle:
        h5.write_text(handle, "architecture", model.architecture)
        handle.attrs["round_number"] = np.int64(model.round_number)
        h5.write_text(handle, "parameters_sha256", model.sha256)
        write_output(handle, model.output)
        if model.labels:
            h5.write_strings(handle, "labels", model.labels)
        group = handle.create_group("parameters")
        for position, (name, values) in enumerate(model.parameters.items()):
            made = group.create_dataset(encode_name(name), data=values)
            made.attrs["position"] = np.int64(position)


def read_model(path: Path, max_bytes: int = h5.DEFAULT_MAX_BYTES) -> Model:
    """Read one of our model files; every parameter must be finite."""
    with h5.open_read(path, "model", max_bytes) as reader:
        reader.check_digest()
        shapes, _ = read_parameters(reader, "parameters", 0)
        output, labels = read_output(reader, shapes)
        parameters = {name: reader.array(f"parameters/{encode_name(name)}") for name in shapes}
        if reader.string("parameters_sha256") != parameters_sha256(parameters):
            raise reader.fault("parameters_sha256", "does not match the parameters")
        return Model(
            parameters=parameters,
            output=output,
            labels=labels,
            architecture=reader.string("architecture"),
            round_number=reader.integer("round_number"),
            provenance=reader.provenance(),
        )
