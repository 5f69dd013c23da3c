"""One cell of a sweep: rounds of train, attack, defend, aggregate, by the commands' own stages.

What a cell has done is on disk after every round (the model, and the measurements so far), so a
run that was killed goes on from its last complete round and ends with the same result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lomar_cli.errors import LomarError, NeedsHistoryError, NotApplicableError, UsageError
from lomar_cli.experiments.attackers import Attackers
from lomar_cli.experiments.measured import Measured, measure
from lomar_cli.experiments.plan import Cell
from lomar_cli.experiments.schema import LOADER, SCHEME, training_of, who_hears
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.model import read_model
from lomar_cli.files.truth import read_json
from lomar_cli.stages.aggregate import Aggregated, aggregate
from lomar_cli.stages.elsewhere import Place
from lomar_cli.stages.holdout import HeldOut
from lomar_cli.stages.init_model import init_model
from lomar_cli.stages.partition import partition
from lomar_cli.stages.score import score
from lomar_cli.stages.train import train

KEEPS = ("none", "last", "all")


class CellRun:
    """Runs one cell in ``folder``; ``keep`` says which of its files stay."""

    def __init__(self, cell: Cell, folder: Path, place: Place, keep: str) -> None:
        self.cell, self.folder, self.keep = cell, folder, keep
        self.data_dir, self.data_file = place.folder(), place.file(cell.data.get("file"))
        self.attackers = Attackers(cell, folder, self.data_dir)
        self.hears = who_hears(cell.defense)
        # Whether this went on from an earlier run, and whether what that left could not be read.
        self.resumed = self.damaged = False
        self.architecture = cell.training.get("model", "logistic")

    def __call__(
        self, advance: Callable[[int], None] = lambda rounds: None
    ) -> list[dict[str, Any]]:
        """Run (or go on with) all rounds; return a row of measurements per evaluated round."""
        self.folder.mkdir(parents=True, exist_ok=True)
        split = self._split()
        done, rows = self._resume()
        self.resumed = done > 0
        if not done:
            self._first(split)
        advance(done)
        for number in range(done + 1, self.cell.rounds + 1):
            row = self._round(split, number)
            if row is not None:
                rows.append(row)
            state = json.dumps({"round": number, "rows": rows}).encode()
            atomic_bytes(self.folder / "state.json", state, force=True)
            if self.keep != "all":
                self._forget(number)
            advance(1)
        return rows

    def time_training(self) -> float:
        """Prepare the cell and train its first round: the seconds of computing that this took."""
        self.folder.mkdir(parents=True, exist_ok=True)
        split = self._split()
        self._first(split)
        began = time.process_time()
        self._train(split, self._made(1), self._model(0), 1)
        return time.process_time() - began

    def _resume(self) -> tuple[int, list[dict[str, Any]]]:
        """The last complete round and its rows; from the start when they cannot be trusted."""
        state = self.folder / "state.json"
        if not state.exists():
            return 0, []
        try:
            found = read_json(state)
            number, rows = int(found["round"]), list(found["rows"])
            read_model(self._model(number))
        except (LomarError, KeyError, TypeError, ValueError):
            return 0, []
        if not all(path.exists() for path in self._before(number + 1)):
            return 0, []
        return number, rows

    def _split(self) -> Path:
        """The split that the clients train on, and the truth beside it."""
        data, clean = self.cell.data, self.folder / "clean.h5"
        self._partition(
            clean,
            data.get("clients"),
            data.get("samples_per_client"),
            data.get("scheme", "paper"),
            {key: data[key] for key in SCHEME if key in data},
            self.cell.seed,
        )
        if (samples := self.cell.defense.get("root_samples")) is not None:
            # Data of the defender's own, drawn apart from the clients'.
            self._partition(self._root_split, 1, samples, "iid", {}, self.cell.derived_seed(0, 1))
        return self.attackers.split(clean, self.data_file)

    def _first(self, split: Path) -> None:
        """The model that the first round starts from."""
        init_model(
            str(split),
            self._model(0),
            self.architecture,
            self.cell.seed,
            self.data_dir,
            self.data_file,
            force=True,
        )

    def _partition(
        self,
        output: Path,
        clients: int | None,
        samples: int | None,
        scheme: str,
        options: dict[str, Any],
        seed: int,
    ) -> None:
        data = self.cell.data
        partition(
            data["name"],
            output,
            clients,
            samples,
            scheme,
            options,
            seed,
            self.data_dir,
            force=True,
            data_file=self.data_file,
            data_options={key: data[key] for key in LOADER if key in data},
        )

    def _round(self, split: Path, number: int) -> dict[str, Any] | None:
        """One round; its measurements if it is one to evaluate."""
        cell, defense = self.cell, self.cell.defense
        before, made, scores = self._model(number - 1), self._made(number), self._scores(number)
        self._train(split, made, before, number)
        try:
            self.attackers.round(made, number, self._made(number - 1) if number > 1 else None)
        except UsageError as error:
            raise NotApplicableError(f"{cell.attack['name']}: {error}") from None
        options = dict(defense.get("options", {}))
        beside, told = self._beside(number, before), self._told()
        judged = "method" in defense and self._score(number, options, told, beside)
        result = self._aggregate(
            made,
            self._model(number),
            scores if judged else None,
            defense.get("rule", "fedavg"),
            {} if "method" in defense else options,
            base_model=before,
            force=True,
            pre=list(defense.get("pre", [])),
            assume_malicious=told if self.hears.rule else None,
            **beside,
        )
        if number % cell.evaluate_every and number != cell.rounds:
            return None
        return measure(
            Measured(
                cell,
                number,
                self._model(number),
                split,
                made,
                scores if judged else None,
                self.attackers.truth,
                # Nothing is known of a verdict that there was none of.
                result.used if judged or "method" not in defense else None,
                self.data_dir,
                self.data_file,
            )
        )

    def _score(
        self, number: int, options: dict[str, Any], told: str | None, beside: dict[str, Any]
    ) -> bool:
        """Judge the round; False while a method waits for rounds to look back at."""
        defense = self.cell.defense
        if told is not None and self.hears.method:
            options = {**options, "assume_malicious": told}
        made, scores = self._made(number), self._scores(number)
        if "held_out" in beside:
            beside = {**beside, "base_model": self._model(number - 1)}
        try:
            score(made, scores, defense["method"], options, kind="h5", jobs=1, force=True, **beside)
        except NeedsHistoryError as error:
            if number > defense.get("history", 0) or number == self.cell.rounds:
                raise NotApplicableError(str(error)) from None
            return False
        except UsageError as error:
            raise NotApplicableError(str(error)) from None
        return True

    def _aggregate(self, *args: Any, **options: Any) -> Aggregated:
        try:
            return aggregate(*args, **options)
        except UsageError as error:
            raise NotApplicableError(str(error)) from None

    def _train(self, split: Path, made: Path, before: Path, number: int) -> None:
        train(
            split,
            made,
            self.architecture,
            before,
            # A seed of its own for every round, so that batches differ between rounds.
            training_of(self.cell.training, seed=self.cell.derived_seed(number), jobs=1),
            self.data_dir,
            force=True,
            data_file=self.data_file,
        )

    def _beside(self, number: int, before: Path) -> dict[str, Any]:
        """What a defense looks at beside the round: earlier rounds, and a round of its own."""
        found: dict[str, Any] = {}
        if history := self.cell.defense.get("history"):
            found["history"] = self._earlier(number, history)
        if "root_samples" in self.cell.defense:
            root = self.folder / "root.h5"
            self._train(self._root_split, root, before, number)
            found["root"] = root
            found["held_out"] = HeldOut(self._root_split, self.data_dir, self.data_file)
        return found

    def _told(self) -> str | None:
        """What the defense is told of the attackers' number; ``true`` makes it an oracle."""
        said: str | None = self.cell.defense.get("assume_malicious")
        return str(self.attackers.number) if said == "true" else said

    def _before(self, number: int) -> Sequence[Path]:
        """The earlier rounds that round ``number`` needs, oldest first."""
        needed = max(self.cell.defense.get("history", 0), int(self.attackers.replays))
        return self._earlier(number, needed)

    def _earlier(self, number: int, many: int) -> list[Path]:
        return [self._made(one) for one in range(max(1, number - many), number)]

    def _forget(self, number: int) -> None:
        """Remove what no later round needs once round ``number`` is done."""
        needed = set(self._before(number + 1)) | {self._made(number)}
        for path in self.folder.glob("round-*.h5"):
            if path not in needed:
                path.unlink()
        self._scores(number - 1).unlink(missing_ok=True)
        self._model(number - 1).unlink(missing_ok=True)

    @property
    def _root_split(self) -> Path:
        return self.folder / "root-split.h5"

    def _made(self, number: int) -> Path:
        return self.folder / f"round-{number:04d}.h5"

    def _scores(self, number: int) -> Path:
        return self.folder / f"scores-{number:04d}.h5"

    def _model(self, number: int) -> Path:
        return self.folder / f"model-{number:04d}.h5"
