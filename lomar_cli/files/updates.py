"""Client updates as the science sees them: named tensors over clients, and label blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Tensor(Protocol):
    """What a NumPy array and an HDF5 data set have in common: sliced reading."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, key: Any) -> Any: ...


@dataclass(frozen=True)
class OutputLayer:
    """Which parameters hold a block per output label.

    ``weight`` has the label along ``label_axis`` (0 in torch, 1 in Keras and JAX kernels);
    ``bias``, if any, is a vector over labels.
    """

    weight: str
    bias: str | None = None
    label_axis: int = 0


@dataclass(frozen=True)
class Updates:
    """The updates ``u_i = w_i - w_previous`` of one round.

    ``tensors[name]`` has shape (clients, \\*parameter shape). They may be arrays in memory or data
    sets of an open file: everything here only slices them. ``magnitudes[name]`` (clients,) are the
    largest absolute values in a tensor, where they are known already. ``buffers`` are tensors that
    take part in aggregation but not in the comparison of clients.
    """

    clients: Sequence[str]
    num_examples: NDArray[np.int64]
    tensors: Mapping[str, Tensor]
    output: OutputLayer | None = None
    labels: Sequence[str] = field(default_factory=tuple)
    magnitudes: Mapping[str, NDArray[np.float64]] | None = None

    buffers: frozenset[str] = frozenset()

    @property
    def streamed(self) -> bool:
        """True when a tensor stays in its file."""
        return not all(isinstance(tensor, np.ndarray) for tensor in self.tensors.values())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type to compute in: float64 if any tensor is, otherwise float32."""
        widest = np.result_type(*(t.dtype for t in self.tensors.values()), np.float32)
        return np.dtype(widest)

    @property
    def size(self) -> int:
        """Parameters of one client."""
        return sum(math.prod(t.shape[1:]) for t in self.tensors.values())

    @property
    def label_count(self) -> int:
        """Number of label blocks R; 1 (the whole update) when no output layer is named."""
        if self.output is None:
            return 1
        return int(self.tensors[self.output.weight].shape[1 + self.output.label_axis])

    def label_name(self, label: int) -> str:
        return self.labels[label] if self.labels else str(label)

    def select(self, names: Sequence[str]) -> Updates:
        """The same clients with only the parameters ``names``."""
        output = self.output
        if output is not None and output.weight not in names:
            output = None
        elif output is not None and output.bias is not None and output.bias not in names:
            output = OutputLayer(output.weight, None, output.label_axis)
        tensors = {name: self.tensors[name] for name in self.tensors if name in names}
        known = self.magnitudes
        return replace(
            self,
            tensors=tensors,
            output=output,
            magnitudes=None if known is None else {name: known[name] for name in tensors},
            buffers=self.buffers & set(tensors),
        )

    def scored(self) -> Updates:
        """The same clients without the buffers."""
        if not self.buffers:
            return self
        return self.select([name for name in self.tensors if name not in self.buffers])

    def rows(self, rows: NDArray[np.intp]) -> Updates:
        """Only the clients at these positions; tensors in a file stay there."""
        if len(rows) == len(self.clients) and (rows == np.arange(len(rows))).all():
            return self
        tensors = {
            name: tensor[rows] if isinstance(tensor, np.ndarray) else _Rows(tensor, rows)
            for name, tensor in self.tensors.items()
        }
        clients = [self.clients[int(row)] for row in rows]
        magnitudes = None
        if self.magnitudes is not None:
            magnitudes = {name: known[rows] for name, known in self.magnitudes.items()}
        return replace(
            self,
            clients=clients,
            num_examples=self.num_examples[rows],
            tensors=tensors,
            magnitudes=magnitudes,
        )

    def mix(self, matrix: Floats, names: Sequence[str] | None = None) -> Updates:
        """New updates ``v_i = sum_j matrix[i, j] u_j``; ``matrix`` is (new clients, clients).

        Tensors in a file stay there and are mixed as they are read. ``names`` are needed when the
        number of clients changes.
        """
        clients = list(names) if names is not None else list(self.clients)
        dtype = self.dtype
        tensors: dict[str, Tensor] = {}
        for name, tensor in self.tensors.items():
            lazy = _Mixed(tensor, matrix, dtype)
            tensors[name] = lazy[:] if isinstance(tensor, np.ndarray) else lazy
        counts = np.ones(len(clients), np.int64)
        return replace(self, clients=clients, num_examples=counts, tensors=tensors)

    def label_block(self, label: int) -> Floats:
        """Updates of the parameters that label ``label`` owns, shape (clients, d_label)."""
        if self.output is None:
            return np.concatenate(list(self.shared_blocks(2**62)), axis=1)
        axis = self.output.label_axis
        key = (slice(None),) * (1 + axis) + (label,)
        weight = np.asarray(self.tensors[self.output.weight][key])
        parts = [weight.reshape(len(weight), -1)]
        if self.output.bias is not None:
            parts.append(np.asarray(self.tensors[self.output.bias][:, label : label + 1]))
        return np.concatenate(parts, axis=1)

    def label_tensors(self, label: int) -> dict[str, Tensor]:
        """What label ``label`` owns, as tensors that stay where they are until they are sliced."""
        if self.output is None:
            return dict(self.tensors)
        weight = self.tensors[self.output.weight]
        owned: dict[str, Tensor] = {
            self.output.weight: _OneLabel(weight, 1 + self.output.label_axis, label)
        }
        if self.output.bias is not None:
            owned[self.output.bias] = _OneLabel(self.tensors[self.output.bias], 1, label)
        return owned

    def only_labels(self, labels: range) -> Updates:
        """The output layer's parameters of consecutive labels alone, read into memory."""
        if self.output is None:
            raise ValueError("there is no output layer")
        axis = 1 + self.output.label_axis
        key = (slice(None),) * axis + (slice(labels.start, labels.stop),)
        read = {self.output.weight: np.asarray(self.tensors[self.output.weight][key])}
        if self.output.bias is not None:
            bias = self.tensors[self.output.bias]
            read[self.output.bias] = np.asarray(bias[:, labels.start : labels.stop])
        return Updates(self.clients, self.num_examples, read, self.output)

    def shared_blocks(self, max_bytes: int) -> Iterator[Floats]:
        """Updates of every scored parameter outside the output layer, in blocks of columns.

        Each block has shape (clients, columns) and at most ``max_bytes`` (but at least one column
        of the leading axis of a parameter).
        """
        owned = {self.output.weight, self.output.bias} if self.output else set()
        for name, tensor in self.tensors.items():
            if name in owned or name in self.buffers:
                continue
            clients = tensor.shape[0]
            if len(tensor.shape) == 1:
                yield np.asarray(tensor[:]).reshape(clients, 1)
                continue
            row = math.prod(tensor.shape[2:]) * clients * np.dtype(tensor.dtype).itemsize
            step = max(1, max_bytes // max(1, row))
            for start in range(0, tensor.shape[1], step):
                block = np.asarray(tensor[:, start : start + step])
                yield block.reshape(clients, -1)


def held(tensor: Tensor) -> int:
    """How many clients' numbers are read where those of a tensor's own are asked for."""
    return int(getattr(tensor, "held", tensor.shape[0]))


class _OneLabel:
    """One label's part of a tensor, without the axis of labels."""

    def __init__(self, tensor: Tensor, axis: int, label: int) -> None:
        self.held = held(tensor)
        self._tensor, self._axis, self._label = tensor, axis, label
        self.shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
        self.dtype = tensor.dtype

    def __getitem__(self, key: Any) -> Any:
        given = key if isinstance(key, tuple) else (key,)
        given = (*given, *(slice(None),) * (len(self.shape) - len(given)))
        return self._tensor[(*given[: self._axis], self._label, *given[self._axis :])]


class _Rows:
    """Some rows of a tensor that lies in a file."""

    def __init__(self, tensor: Tensor, rows: NDArray[np.intp]) -> None:
        self._tensor, self._rows, self.held = tensor, rows, held(tensor)
        self.shape = (len(rows), *tensor.shape[1:])
        self.dtype = tensor.dtype

    def __getitem__(self, key: Any) -> Any:
        """The key's first entry takes all clients, or one, which alone is read then."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, (int, np.integer)):
            return self._tensor[(int(self._rows[first]), *rest)]
        if first != slice(None):
            return self[(slice(None), *rest)][first]
        return self._tensor[(slice(None), *rest)][self._rows]


class _Mixed:
    """Linear combinations of the rows of a tensor, made as they are read."""

    def __init__(self, tensor: Tensor, matrix: Floats, dtype: np.dtype[Any]) -> None:
        self._tensor, self._matrix = tensor, matrix
        self.shape = (len(matrix), *tensor.shape[1:])
        self.dtype = dtype

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first != slice(None):
            return self[(slice(None), *rest)][first]
        values = np.asarray(self._tensor[(slice(None), *rest)])
        flat = values.reshape(len(values), -1).astype(np.float64)
        mixed = (self._matrix.astype(np.float64) @ flat).astype(self.dtype)
        return mixed.reshape(len(mixed), *values.shape[1:])
