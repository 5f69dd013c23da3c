"""Files of every kind and every version of our formats, as they once were written: read for ever.

``python -m tests.files.test_archived FOLDER`` writes those of the present version to a new folder,
once, when a version is new. What is committed is never written again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lomar_cli.files.truth import read_json, read_truth
from tests.commands import works
from tests.files.contents import CONTENT
from tests.making import Tensors, write_base, write_round

ARCHIVE = Path(__file__).parent.parent / "golden" / "format1"
FILES = {
    "split.h5": "split",
    "poisoned.h5": "split",
    "backdoor.h5": "split",
    "model.h5": "model",
    "round.h5": "round",
    "wide-round.h5": "round",
    "scores.h5": "scores",
    "scores.csv": "scores",
    "scores.tsv": "scores",
    "scores.json": "scores",
    "truth.json": "truth",
    "metrics.json": "metrics",
}
EXPECTED = json.loads((ARCHIVE / "expected.json").read_text()) if ARCHIVE.is_dir() else {}


def plain(value: Any) -> Any:
    """What a reader gave, as JSON can hold it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def content(path: Path) -> Any:
    kind = FILES[path.name]
    if kind == "truth":
        found = read_truth(path)
        return plain([list(found.malicious), found.about])
    return plain(read_json(path) if kind == "metrics" else CONTENT[kind](path))


@pytest.mark.parametrize("name", FILES)
def test_an_archived_file_is_read_as_ever(name):
    assert content(ARCHIVE / name) == EXPECTED[name]


@pytest.mark.parametrize("name", FILES)
def test_an_archived_file_is_valid(name):
    kind = json.loads(works("info", ARCHIVE / name, "--json").stdout)["kind"]
    assert kind == FILES[name]


def test_the_numbers_of_the_archived_round():
    """By hand, for a reader and an expectation could be wrong together."""
    _, counts, shapes, *_, tensors = CONTENT["round"](ARCHIVE / "round.h5")
    assert counts == [1, 2, 3, 4]
    assert shapes == {"fc.weight": (3, 2), "fc.bias": (3,)}
    expected = made(np.dtype("f4"))
    assert {n: np.frombuffer(raw, "f4").tolist() for n, raw in tensors.items()} == {
        n: array.ravel().tolist() for n, array in expected.items()
    }


def test_archived_files_lead_on(tmp_path):
    """Other commands take them as they take new ones."""
    both = ("--scores", ARCHIVE / "scores.h5", "--model", ARCHIVE / "model.h5")
    works("aggregate", ARCHIVE / "round.h5", *both, "-o", tmp_path / "next.h5")
    truth = ("--truth", ARCHIVE / "truth.json", "--json")
    for kind in ("h5", "csv", "tsv", "json"):
        works("evaluate", "--scores", ARCHIVE / f"scores.{kind}", *truth)
    flip = ("--flip", "1:7", "--malicious", 1, "-o", tmp_path / "p.h5")
    works("attack", "label-flip", ARCHIVE / "split.h5", *flip)


def test_the_archive_is_small():
    assert sum(path.stat().st_size for path in ARCHIVE.iterdir()) < 200_000


def made(dtype: np.dtype[Any]) -> Tensors:
    """Four clients, the last one apart: quarters, which every type of float holds exactly."""
    steps = np.arange(24).reshape(4, 3, 2) % 7 / 4
    steps[3] += 8
    return {"fc.weight": steps.astype(dtype), "fc.bias": (steps[:, :, 0] / 2).astype(dtype)}


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    clients = ["a", "b/c", "=d", "é"]
    labels = ["cat", "50%", "名前"]
    zeros = {name: np.zeros(array.shape[1:], "f4") for name, array in made(np.dtype("f4")).items()}
    write_base(folder / "model.h5", zeros, labels=labels, architecture="")
    base = json.loads(works("info", folder / "model.h5", "--json").stdout)["parameters_sha256"]
    more = {"num_examples": [1, 2, 3, 4], "labels": labels, "base_sha256": base}
    write_round(folder / "round.h5", made(np.dtype("f4")), clients, **more)
    wide = made(np.dtype(">f8"))
    wide["fc.weight"][1, 0, 0] = np.nan
    write_round(folder / "wide-round.h5", wide, clients, [0, 0, 5, 2**62], output=None)
    for kind in ("h5", "csv", "tsv", "json"):
        works("score", folder / "round.h5", "-o", folder / f"scores.{kind}")
    (folder / "truth.json").write_text('{\n  "malicious": [\n    "é"\n  ]\n}\n')
    judged = ("--scores", folder / "scores.h5", "--truth", folder / "truth.json")
    works("evaluate", *judged, "-o", folder / "metrics.json")
    size = ("--clients", 4, "--samples-per-client", 15, "--seed", 1)
    works("partition", "digits", *size, "-o", folder / "split.h5")
    aside = ("--truth", folder / "aside.json", "--seed", 1)
    flip = ("--flip", "1:7", "--malicious", 1, *aside)
    works("attack", "label-flip", folder / "split.h5", *flip, "-o", folder / "poisoned.h5")
    parts = ("--target", "7", "--malicious", 2, "--parts", 2, *aside, "-f")
    works("attack", "backdoor", folder / "split.h5", *parts, "-o", folder / "backdoor.h5")
    (folder / "aside.json").unlink()
    expected = {name: content(folder / name) for name in FILES}
    text = json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True)
    (folder / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
