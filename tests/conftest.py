"""What several tests look at: a small pipeline on scikit-learn's digits, made by the commands."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from lomar_cli.files.model import parameters_sha256
from lomar_cli.files.split import read_split
from tests.commands import Ran, works
from tests.making import tensors, write_round

# A job that a shell starts in the background ignores Ctrl-C, and so would all that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CLIENTS, SAMPLES, FLIPPERS = 12, 30, 3


class Pipeline:
    """The files of one small pipeline. They are shared: no test may change them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.split = folder / "split.h5"
        self.poisoned = folder / "poisoned.h5"
        self.truth = folder / "truth.json"
        self.round = folder / "round.h5"
        self.scores = folder / "scores.h5"
        self.model = folder / "model.h5"
        self.metrics = folder / "metrics.json"
        self.ran: dict[str, Ran] = {}

    @property
    def malicious(self) -> list[str]:
        found: list[str] = json.loads(self.truth.read_text())["malicious"]
        return found


@pytest.fixture(scope="session")
def split(tmp_path_factory):
    """A split of 12 clients x 30 samples of digits, and the same with 3 label flippers added."""
    made = Pipeline(tmp_path_factory.mktemp("pipeline"))
    size = ("--clients", CLIENTS, "--samples-per-client", SAMPLES)
    made.ran["partition"] = works("partition", "digits", *size, "--seed", 1, "-o", made.split)
    flip = ("--flip", "1:7", "--malicious", FLIPPERS)
    flipped = ("attack", "label-flip", made.split, *flip, "--seed", 1, "-o", made.poisoned)
    made.ran["attack"] = works(*flipped)
    return made


def judge(made):
    """Score a round, aggregate what is kept, evaluate both."""
    ran = made.ran
    ran["score"] = works("score", made.round, "-o", made.scores)
    scored = ("--scores", made.scores)
    ran["aggregate"] = works("aggregate", made.round, *scored, "-o", made.model)
    truth = ("--flip", "1:7", "--truth", made.truth)
    measured = ("evaluate", made.model, "--split", made.poisoned, *scored, *truth)
    ran["evaluate"] = works(*measured, "-o", made.metrics)
    return made


@pytest.fixture(scope="session")
def pipeline(split):
    """That split, trained for three local steps, scored, aggregated and evaluated."""
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    steps = ("--local-steps", 3, "--seed", 1)
    split.ran["train"] = works("train", split.poisoned, *steps, "-o", split.round)
    return judge(split)


@pytest.fixture(scope="session")
def untrained(split, tmp_path_factory):
    """The same files without torch: the updates are random."""
    made = Pipeline(tmp_path_factory.mktemp("untrained"))
    for path in (split.split, split.poisoned, split.truth):
        shutil.copy(path, made.folder)
    clients = read_split(made.poisoned).clients
    updates = tensors(len(clients), labels=10, features=64)
    zeros = {name: np.zeros(array.shape[1:], array.dtype) for name, array in updates.items()}
    write_round(
        made.round,
        updates,
        clients,
        labels=[str(digit) for digit in range(10)],
        base_sha256=parameters_sha256(zeros),
        architecture="logistic",
    )
    return judge(made)


@pytest.fixture
def round_file(tmp_path):
    """A round of eight clients with random updates; needs no torch."""
    return write_round(tmp_path / "round.h5")
