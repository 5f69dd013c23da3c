"""Attack a split: a split file in, the poisoned split out, the truth to a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.attacks.budget import count, fresh_ids
from lomar_cli.attacks.on_split import Holdings, Pattern, Tampered
from lomar_cli.attacks.registry import make_split_attack
from lomar_cli.data import partition as schemes
from lomar_cli.data import registry
from lomar_cli.data.dataset import Ints
from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.provenance import extend
from lomar_cli.files.split import Overlay, Split, Stamp, read_split, write_split
from lomar_cli.files.text import printable
from lomar_cli.stages.source import load_for
from lomar_cli.stages.truth_beside import truth_beside, truth_path


@dataclass(frozen=True)
class AttackedSplit:
    """What was done: the new split, its malicious clients, those chosen that do no harm.

    ``samples`` are the poisoned samples of all malicious clients.
    """

    split: Split
    malicious: list[str]
    harmless: list[str]
    samples: int
    truth: Path


def attack_split(
    path: Path,
    output: Path,
    name: str,
    options: Mapping[str, Any],
    malicious: str | None = None,
    convert: str | None = None,
    truth: Path | None = None,
    seed: int = 0,
    data_dir: Path | None = None,
    data_file: Path | None = None,
    force: bool = False,
) -> AttackedSplit:
    """Poison the split in ``path`` as the attack ``name`` says; write the new one and the truth.

    ``malicious`` adds that many clients (of the kind the split's scheme draws), ``convert`` takes
    them from the split's own; exactly one of the two. Ids of added clients are drawn like all
    others and clients are sorted by id. A chosen client whose samples the attack has no use for
    does no harm: it is no attacker, and the truth lists it under ``harmless``.
    """
    truth = truth_path(truth, output, force)
    if (malicious is None) == (convert is None):
        raise UsageError("give either --malicious (clients added) or --convert (clients turned)")
    attack = make_split_attack(name, options)
    split = read_split(path)
    if split.overlay.position.size or split.stamp is not None:
        raise UsageError(
            "this split holds poisoned (relabelled or stamped) samples already; start from the "
            "clean one"
        )
    data = load_for(split, path, data_dir, data_file)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    owned = dict(zip(split.clients, split.samples, strict=True))
    if malicious is not None:
        number = count(malicious, len(owned), "--malicious")
        drawn = draw_again(split, path, data.y_train, number, rng)
        attackers = fresh_ids(number, owned, rng)
        owned |= dict(zip(attackers, drawn, strict=True))
    else:
        number = count(convert or "", len(owned), "--convert")
        if number > len(owned):
            raise UsageError(f"--convert {convert}: the split has only {len(owned)} clients")
        attackers = [split.clients[i] for i in rng.permutation(len(owned))[:number]]
    held = Holdings(
        split.dataset,
        data.y_train,
        split.labels,
        data.shape,
        [owned[one] for one in attackers],
        rng,
        _repeats(split),
    )
    done = attack(held)
    tampered = dict(zip(attackers, done.clients, strict=True))
    owned |= {client: one.samples for client, one in tampered.items()}
    names = sorted(owned)
    samples = [owned[client] for client in names]
    overlay, part = _changes(names, samples, tampered, data.y_train)
    said = {"malicious" if malicious is not None else "convert": number, **done.said}
    result = replace(
        split,
        clients=names,
        samples=samples,
        overlay=overlay,
        stamp=None if done.pattern is None else _stamp(done.target, done.pattern, overlay, part),
        provenance=extend(
            f"attack {name}", said, {"split": split.sha256}, [split.provenance], seed
        ),
    )
    harmless = sorted(client for client, one in tampered.items() if not len(one.places))
    guilty = sorted(set(attackers) - set(harmless))
    with truth_beside(truth, guilty, {"attack": name, **said, "harmless": harmless}, force):
        write_split(output, result, force)
    return AttackedSplit(result, guilty, harmless, len(overlay.position), truth)


def draw_again(
    split: Split, path: Path, labels: Ints, number: int, rng: np.random.Generator
) -> list[Ints]:
    """Further clients of the kind that the split's own scheme and options draw."""
    shown = printable(str(path))
    scheme = schemes.SCHEMES.get(split.scheme)
    if scheme is None:
        raise InputError(f"{shown}: scheme: '{printable(split.scheme)}' is not known here")
    if scheme.grouped:
        raise UsageError(
            f"--malicious: the clients of {shown} are the data set's own groups, and there are no "
            "further ones; --convert turns some of them"
        )
    known = {"samples": 1, **scheme.options}
    for key, value in split.options.items():
        kind = (int, float) if isinstance(known.get(key), float) else type(known.get(key))
        if key not in known or not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{shown}: options: '{printable(key)}' is not one of {split.scheme}")
    size = split.options.get("samples", 0)
    if not 1 <= size <= len(labels):
        raise InputError(f"{shown}: options: samples: must lie between 1 and {len(labels)}")
    return schemes.draw(split.scheme, labels, number, rng=rng, **split.options)


def _repeats(split: Split) -> bool:
    """Whether a client may hold a sample twice: the scheme's --rare, or the data set's default."""
    scheme = schemes.SCHEMES.get(split.scheme)
    if scheme is not None and "rare" in scheme.options:
        return bool(split.options.get("rare", scheme.options["rare"]) == "repeat")
    return registry.entry(split.dataset).rare == "repeat"


def _changes(
    names: Sequence[str], samples: Sequence[Ints], tampered: Mapping[str, Tampered], labels: Ints
) -> tuple[Overlay, Ints]:
    """The relabelled samples, and the part of a pattern that each of them would carry."""
    none = np.empty(0, np.int64)
    position, original, label, part = [none], [none], [none], [none]
    start = 0
    for name, own in zip(names, samples, strict=True):
        if name in tampered:
            one = tampered[name]
            position.append(start + one.places)
            original.append(labels[own[one.places]])
            label.append(np.full(len(one.places), one.label))
            part.append(np.full(len(one.places), one.part))
        start += len(own)
    joined = [np.concatenate(each).astype(np.int64) for each in (position, original, label, part)]
    return Overlay(*joined[:3]), joined[3]


def _stamp(target: int, pattern: Pattern, overlay: Overlay, part: Ints) -> Stamp:
    """The relabelled samples carry the pattern: the target's own are left alone."""
    return Stamp(target, pattern.feature, pattern.value, pattern.piece, overlay.position, part)
