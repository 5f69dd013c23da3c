"""Divide a data set among clients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.attacks.budget import fresh_ids
from lomar_cli.data import partition as schemes
from lomar_cli.data import registry
from lomar_cli.errors import UsageError
from lomar_cli.files.atomic import check_output
from lomar_cli.files.provenance import extend
from lomar_cli.files.split import Split, write_split


def partition(
    dataset: str,
    output: Path,
    clients: int | None = None,
    samples: int | None = None,
    scheme: str = "paper",
    options: dict[str, Any] | None = None,
    seed: int = 0,
    data_dir: Path | None = None,
    force: bool = False,
    data_file: Path | None = None,
    data_options: Mapping[str, Any] | None = None,
) -> Split:
    """Write a split of ``dataset`` and return it.

    ``clients`` and ``samples`` are the paper's by default; with a scheme by groups, all there are.
    ``options`` are the scheme's own (``imbalance``, ``rare``, ``alpha``, ``shards``); one that the
    scheme does not take is refused, as in ``data_options``, the data set's own (``size``,
    ``label_column``). Where a person's ``data_file`` lies is not kept: its checksum is. Client
    ids are neutral and sorted, so that neither order nor name says anything of a client.
    """
    check_output(output, force)
    about = registry.entry(dataset)
    known = schemes.scheme_entry(scheme)
    if any(number is not None and number < 1 for number in (clients, samples)):
        raise UsageError("--clients and --samples-per-client must be at least 1")
    options = {key: value for key, value in (options or {}).items() if value is not None}
    for key in options:
        if key not in known.options:
            raise UsageError(f"--{key}: --scheme {scheme} has no such option")
    settings = {**known.options, **options}
    if "rare" in settings:
        settings["rare"] = options.get("rare", about.rare)
    given = registry.checked_options(dataset, data_options or {})
    data_options = {k: v for k, v in {**about.options, **given}.items() if v is not None}
    data = registry.load(dataset, data_dir, data_file, data_options)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    if known.grouped:
        if data.groups is None:
            raise UsageError(
                f"--scheme {scheme}: {dataset} does not say who its samples come from; npz files "
                "do by an array 'group', csv files by --group-column"
            )
        drawn = schemes.by_group(scheme, data.y_train, data.groups, clients, samples, rng)
    else:
        clients = about.clients if clients is None else clients
        samples = about.samples if samples is None else samples
        settings["samples"] = max(1, len(data.y_train) // clients) if samples is None else samples
        drawn = schemes.draw(scheme, data.y_train, clients, rng=rng, **settings)
    ids = sorted(fresh_ids(len(drawn), (), rng))
    # Refusing is what every split without a word on it does.
    if settings.get("rare") == "refuse":
        del settings["rare"]
    said = {"dataset": dataset, "clients": len(drawn), "scheme": scheme, **settings, **data_options}
    split = Split(
        dataset=dataset,
        dataset_sha256=data.sha256,
        labels=data.labels,
        train_size=len(data.y_train),
        clients=ids,
        samples=drawn,
        scheme=scheme,
        options=settings,
        data_options=data_options,
        provenance=extend("partition", said, {"dataset": data.sha256}, seed=seed),
    )
    write_split(output, split, force)
    return split
