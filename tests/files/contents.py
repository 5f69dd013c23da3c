"""What a file of ours holds, for comparing two of them.

``python -m tests.files.contents`` flips bytes and reads again: a process of its own, as a damaged
file may take the HDF5 library down with it.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files.model import read_model
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from lomar_cli.files.split import read_split

SECONDS = 5


def round_content(path: Path) -> Any:
    with open_round(path) as found:
        head = found.head
        tensors = {name: np.asarray(t[:]).tobytes() for name, t in found.updates.tensors.items()}
        return (
            *(list(head.clients), head.num_examples.tolist(), dict(head.shapes)),
            *(str(head.dtypes), head.output, list(head.labels), head.round_number),
            *(head.base_sha256, head.architecture, found.sha256, tensors),
        )


def model_content(path: Path) -> Any:
    found = read_model(path)
    arrays = {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in found.parameters.items()}
    return arrays, found.output, list(found.labels), found.architecture, found.round_number


def split_content(path: Path) -> Any:
    found = read_split(path)
    return (
        *(found.dataset, found.dataset_sha256, list(found.labels), found.train_size),
        *(list(found.clients), [own.tolist() for own in found.samples], found.scheme),
        *(found.options, str(found.overlay), str(found.stamp), found.sha256),
    )


def scores_content(path: Path) -> Any:
    found = read_scores(path)
    # NaN differs from itself, its text does not.
    return (
        found.method,
        repr(found.threshold),
        found.round_sha256,
        repr(dict(found.columns)),
        (*(found.options.items(), found.notes, found.sha256),),
    )


CONTENT = {
    "round": round_content,
    "model": model_content,
    "split": split_content,
    "scores": scores_content,
}


def flip_bytes(kind: str, path: Path, work: Path, count: int) -> None:
    """Print what became of ``count`` damaged copies: position, and how the reader took it."""
    content = CONTENT[kind]
    whole = path.read_bytes()
    expected = content(path)
    filled = [position for position, byte in enumerate(whole) if byte]
    for number in range(count):
        position = filled[number * len(filled) // count]
        damaged = bytearray(whole)
        damaged[position] ^= (0xFF, 0x01, 0x80)[number % 3]
        work.write_bytes(damaged)
        print(position, end=" ", flush=True)
        signal.alarm(SECONDS)
        try:
            print("same" if content(work) == expected else "DIFFERENT", flush=True)
        except InputError:
            print("refused", flush=True)
        except Exception as error:
            print(f"{type(error).__name__}: {error}".splitlines()[0], flush=True)
        signal.alarm(0)


if __name__ == "__main__":
    flip_bytes(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
