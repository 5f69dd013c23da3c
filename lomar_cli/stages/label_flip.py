"""Label flipping by its own name: ``attack_split`` with the options spelled out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lomar_cli.stages.attack_split import AttackedSplit, attack_split


def label_flip(
    path: Path,
    output: Path,
    flips: Sequence[str],
    malicious: str | None = None,
    convert: str | None = None,
    style: str = "pure",
    fraction: float = 1.0,
    truth: Path | None = None,
    seed: int = 0,
    data_dir: Path | None = None,
    force: bool = False,
    data_file: Path | None = None,
) -> AttackedSplit:
    """Add label flippers to the split in ``path``, or turn some of its clients into them."""
    options = {"flip": list(flips), "style": style, "poison_fraction": fraction}
    return attack_split(
        path,
        output,
        "label-flip",
        options,
        malicious,
        convert,
        truth,
        seed,
        data_dir,
        data_file,
        force,
    )
