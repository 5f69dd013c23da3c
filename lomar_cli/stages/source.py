"""The data set that a split speaks of, checked against its checksum."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lomar_cli.data import registry
from lomar_cli.data.dataset import Dataset
from lomar_cli.errors import InputError, LomarError, UsageError
from lomar_cli.files.split import Split
from lomar_cli.files.text import printable


def load_for(
    split: Split, path: Path, data_dir: Path | None, data_file: Path | None = None
) -> Dataset:
    """Load the data set of ``split`` (read from ``path``); raise InputError when it is another.

    A person's own file may lie anywhere: without ``data_file`` it is the one in ``data_dir`` that
    has the split's checksum.
    """
    if split.dataset not in registry.DATASETS:
        raise InputError(
            f"{printable(str(path))}: dataset: '{printable(split.dataset)}' is not known here"
        )
    _check_options(split, path)
    if registry.entry(split.dataset).endings and data_file is None:
        return _search(split, path, data_dir)
    data = registry.load(split.dataset, data_dir, data_file, split.data_options)
    if list(split.labels) != list(data.labels):
        raise InputError(
            f"{printable(str(path))}: labels: are not those of '{split.dataset}'; "
            "the file was changed, partition again"
        )
    if data.sha256 != split.dataset_sha256 or len(data.y_train) != split.train_size:
        raise InputError(
            f"{printable(str(path))}: dataset_sha256: the split was made from other data named "
            f"'{split.dataset}' (checksum {split.dataset_sha256[:12]}, found {data.sha256[:12]}); "
            f"point {'--data-file' if data_file else '--data-dir'} at the same files"
        )
    return data


def check_stamp(split: Split, path: Path, data: Dataset) -> None:
    """Refuse a pattern that goes beyond the data set's features."""
    if split.stamp is not None and split.stamp.feature.max() >= data.x_train.shape[1]:
        raise InputError(
            f"{printable(str(path))}: stamp/feature: goes beyond the {data.x_train.shape[1]} "
            f"features of {split.dataset}"
        )


def _search(split: Split, path: Path, data_dir: Path | None) -> Dataset:
    files = registry.own_files(split.dataset, data_dir)
    for found in files:
        with contextlib.suppress(LomarError):
            data = registry.load(split.dataset, None, found, split.data_options)
            if data.sha256 == split.dataset_sha256:
                return load_for(split, path, data_dir, found)
    raise UsageError(
        f"{printable(str(path))}: the split was made from a file of your own (checksum "
        f"{split.dataset_sha256[:12]}), which is not in --data-dir ({len(files)} looked at); name "
        "it with --data-file, or its folder with --data-dir"
    )


def _check_options(split: Split, path: Path) -> None:
    """The split's word on how the data set was loaded: known options, of the right type."""
    kinds = {"size": int, "label_column": str, "group_column": str}
    known = registry.entry(split.dataset).options
    for key, value in split.data_options.items():
        if key not in known or isinstance(value, bool) or not isinstance(value, kinds[key]):
            raise InputError(
                f"{printable(str(path))}: data_options: '{printable(key)}' is no option of "
                f"{split.dataset}, or has a wrong value"
            )
