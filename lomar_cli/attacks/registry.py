"""Every attack by name. A new one is one file and one line here.

An attack is a dataclass (``base.RoundAttack`` or ``on_split.SplitAttack``) whose fields become the
options of its subcommand. Its class is named as the attack: ``min-max`` is ``MinMax`` in
``min_max.py``.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lomar_cli.attacks.base import RoundAttack
from lomar_cli.attacks.on_split import SplitAttack
from lomar_cli.errors import UsageError, nearest
from lomar_cli.typed import check_type


@dataclass(frozen=True)
class AttackEntry:
    """``on`` is the file kind that the attack changes: ``split`` or ``round``."""

    module: str
    on: str
    about: str


def _round(module: str, about: str) -> AttackEntry:
    return AttackEntry(module, "round", about)


ATTACKS = {
    "label-flip": AttackEntry(
        "label_flip", "split", "samples of one label are relabelled as another (sec. 4.1.4)"
    ),
    "backdoor": AttackEntry(
        "backdoor", "split", "a pattern of pixels leads to a label; --parts: distributed (DBA)"
    ),
    "stealth-model-poison": _round(
        "stealth_model_poison", "boosted but held near the benign mean (the paper's appendix A)"
    ),
    "model-replacement": _round("model_replacement", "scaled so that the average becomes it"),
    "sign-flip": _round("sign_flip", "the opposite of an honest update"),
    "boost": _round("boost", "an update many times over"),
    "gaussian-noise": _round("gaussian_noise", "normal noise"),
    "nan": _round("nan", "updates that hold NaN"),
    "inf": _round("inf", "updates that hold infinity"),
    "alie": _round("alie", "a little is enough: the mean plus z deviations"),
    "ipm": _round("ipm", "inner product manipulation: against the honest mean"),
    "fang-krum": _round("fang_krum", "the longest step back that Krum still picks"),
    "fang-trimmed-mean": _round("fang_trimmed_mean", "just beyond the honest values, turned round"),
    "min-max": _round("min_max", "as far as honest updates are apart at most"),
    "min-sum": _round("min_sum", "as far in sum as an honest update at most"),
    "mimic": _round("mimic", "copies of one honest client"),
    "free-rider-zero": _round("free_rider_zero", "zeros in place of training"),
    "free-rider-replay": _round("free_rider_replay", "an earlier round's update again"),
    "neurotoxin": _round("neurotoxin", "changes only what honest clients use least"),
    "adaptive-lomar": _round("adaptive_lomar", "keeps LoMar's factor in the clean range"),
    "sybil-groups": _round("sybil_groups", "sybils in groups that are spread"),
    "framing": _round("framing", "near-copies of honest clients, to get these removed"),
    "false-bias": _round("false_bias", "honest weights under a bias that tells another story"),
    "label-mix-walk": _round("label_mix_walk", "a step that looks like another mix of labels"),
}


def round_attack(name: str) -> type[RoundAttack]:
    """The class of an attack on rounds."""
    found: type[RoundAttack] = _class(name, "round")
    return found


def split_attack(name: str) -> type[SplitAttack]:
    """The class of an attack on splits."""
    found: type[SplitAttack] = _class(name, "split")
    return found


def make_round_attack(name: str, options: Mapping[str, Any]) -> RoundAttack:
    """An attack with these options; a name that it does not have is refused."""
    made: RoundAttack = _make(round_attack(name), name, options)
    return made


def make_split_attack(name: str, options: Mapping[str, Any]) -> SplitAttack:
    """An attack on splits with these options; unknown and missing ones are refused."""
    made: SplitAttack = _make(split_attack(name), name, options)
    return made


def _class(name: str, on: str) -> Any:
    known = [key for key, entry in ATTACKS.items() if entry.on == on]
    if name not in known:
        raise UsageError(f"there is no attack '{name}' on {on}s{nearest(name, known)}")
    module = importlib.import_module(f"lomar_cli.attacks.{ATTACKS[name].module}")
    return getattr(module, "".join(part.capitalize() for part in name.split("-")))


def _make(kind: Any, name: str, options: Mapping[str, Any]) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in options:
        if key not in fields:
            known = list(fields)
            raise UsageError(
                f"--{key.replace('_', '-')}: the attack {name} has no such option"
                f"{nearest(key, known)} (it takes: {', '.join(known) or 'none'})"
            )
    for key, field in fields.items():
        flag = f"--{key.replace('_', '-')}"
        if key in options:
            check_type(options[key], field, flag)
        elif field.default is dataclasses.MISSING:
            raise UsageError(f"{flag}: the attack {name} needs it")
    return kind(**options)
