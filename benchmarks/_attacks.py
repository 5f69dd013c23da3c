"""The attacks of the benchmarks, by name: what the attackers train on, and what they make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from _parts import OWN, part_of
from _rounds import Trained
from _worlds import HONEST, World
from numpy.typing import NDArray

from lomar_cli.attacks.context import Earlier
from lomar_cli.attacks.registry import make_round_attack
from lomar_cli.errors import NotApplicableError, UsageError
from lomar_cli.files.updates import Updates
from lomar_cli.learning.registry import ClientData
from lomar_cli.stages.defender import flatten
from lomar_cli.stages.poison import Knowledge, turn

Rows = NDArray[np.intp]
PAIRS, FIRST = "pairs", "first"


@dataclass(frozen=True)
class Attack:
    """``part`` is what attackers train on (``_rounds.Rounds``); ``then`` an attack on the round.

    In ``part``, "first" stands for the data set's usual label flip and "pairs" for all of its
    flips at once. ``only`` names the data sets that it makes sense on, () for all.
    """

    part: str = OWN
    then: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()


PICTURES = ("mnist", "digits", "images")
LIKE = ("mnist", "digits")
ATTACKS = {
    "none": Attack("none"),
    "pure": Attack("pure first"),
    "mixed": Attack("mixed first"),
    "pure-pairs": Attack("pure pairs"),
    "mixed-pairs": Attack("mixed pairs"),
    "pure-4:9": Attack("pure 4:9", only=LIKE),
    "pure-5:3": Attack("pure 5:3", only=LIKE),
    "mixed-4:9": Attack("mixed 4:9", only=LIKE),
    "mixed-5:3": Attack("mixed 5:3", only=LIKE),
    "boosted": Attack("pure first", "boost"),
    "boosted-mixed": Attack("mixed first", "boost"),
    "stealth": Attack("pure first", "stealth-model-poison"),
    "model-replacement": Attack("pure first", "model-replacement"),
    "neurotoxin": Attack("pure first", "neurotoxin"),
    "backdoor": Attack("backdoor 7", only=PICTURES),
    "dba": Attack("dba 7", only=PICTURES),
    "sign-flip": Attack(then="sign-flip"),
    "noise": Attack(then="gaussian-noise"),
    "nan": Attack(then="nan"),
    "inf": Attack(then="inf"),
    "alie": Attack(then="alie"),
    "ipm": Attack(then="ipm"),
    "fang-krum": Attack(then="fang-krum"),
    "fang-trimmed-mean": Attack(then="fang-trimmed-mean"),
    "min-max": Attack(then="min-max"),
    "min-sum": Attack(then="min-sum"),
    "mimic": Attack(then="mimic"),
    "free-rider-zero": Attack(then="free-rider-zero"),
    "free-rider-replay": Attack(then="free-rider-replay"),
    "adaptive-lomar": Attack(then="adaptive-lomar"),
    "sybil-groups": Attack(then="sybil-groups"),
    "framing": Attack(then="framing"),
    "label-mix-walk": Attack(then="label-mix-walk", options={"strength": 0.1}),
    "label-mix-stride": Attack(then="label-mix-walk", options={"strength": 0.5}),
    "false-bias": Attack("mixed first", "false-bias"),
    "false-bias-random": Attack("mixed first", "false-bias", {"bias_of": "random"}),
}
# Attacks whose copies betray each other, with each one moved by a vector of its own as well.
COPIED = ("alie", "ipm", "fang-krum", "fang-trimmed-mean", "min-max", "min-sum", "mimic")
ATTACKS |= {
    f"{name}-decorrelated": Attack(then=name, options={"decorrelate": 1.0}) for name in COPIED
}


@dataclass(frozen=True)
class Attacked:
    """A round as the server gets it; ``malicious`` (clients,) is the truth."""

    updates: Updates
    malicious: NDArray[np.bool_]


def ways(attack: Attack, flips: Sequence[str]) -> str:
    """The part that the attackers train, with the data set's own flips in it."""
    return attack.part.replace(FIRST, flips[0]).replace(PAIRS, ",".join(flips))


class Source(Protocol):
    """Where rounds come from: the cache, or a federation on its own course."""

    world: World

    def part(self, number: int, name: str) -> Trained:
        """A part of round ``number``."""

    def peek(self, number: int, name: str) -> Trained:
        """A part of another round, for a look only."""


def attacked(rounds: Source, number: int, name: str, tau: float, flips: Sequence[str]) -> Attacked:
    """Round ``number`` with ``tau`` attackers for each honest client.

    Malicious are attackers that poisoned at least one sample; one that holds none of the source
    label trains as an honest client does, and counts as one. Attacks on the round make no such
    difference. NotApplicableError where the attack cannot be made of this round.
    """
    attack, world = ATTACKS[name], rounds.world
    if attack.only and world.source not in attack.only:
        raise NotApplicableError(f"{name}: not on {world.source}")
    if name == "none" or not tau:
        return together(rounds, number, OWN, 0)
    made = together(rounds, number, ways(attack, flips), world.attackers(tau), attack.part == OWN)
    guilty = {c for c, bad in zip(made.updates.clients, made.malicious, strict=True) if bad}
    if not guilty:
        raise NotApplicableError(f"{name}: no attacker holds a sample to poison")
    if attack.then is None:
        return made
    seed = 1000 * world.seed + number
    try:
        knowledge = Knowledge(earlier=_before(rounds, number, attack.then))
        options = {**_aims(attack.then, made, flips[0]), **attack.options}
        action = make_round_attack(attack.then, options)
        done = turn(made.updates, action, guilty, knowledge, seed).updates
    except UsageError as error:
        raise NotApplicableError(f"{error}") from None
    return Attacked(done, np.array([client in guilty for client in done.clients]))


def together(rounds: Source, number: int, part: str, many: int, harmful: bool = False) -> Attacked:
    """Round ``number`` of the honest clients and the first ``many`` spare ones.

    Malicious are those of the spare ones that poisoned samples; with ``harmful`` all of them.
    """
    world, tensors = rounds.world, rounds.part(number, HONEST).tensors
    clients = part_of(world, HONEST).clients
    ids, guilty = world.ids[: world.clients + many], set[str]()
    if many:
        spare = rounds.part(number, part)
        clients = [*clients, *part_of(world, part).clients[:many]]
        tensors = {k: np.concatenate([tensors[k], spare.tensors[k][:many]]) for k in tensors}
        acts = zip(ids[world.clients :], spare.poisoned[:many], strict=True)
        guilty = {client for client, poisoned in acts if poisoned or harmful}
    return _in_order(world, ids, tensors, clients, guilty)


def _aims(attack: str, made: Attacked, flip: str) -> dict[str, Any]:
    """Options that follow from the flip that the attackers have in mind."""
    if attack == "label-mix-walk":
        return {"flip": [flip]}
    if attack == "framing":
        # The bias of the source label tells who holds it: those are to be removed.
        assert made.updates.output is not None and made.updates.output.bias is not None
        biases = np.asarray(made.updates.tensors[made.updates.output.bias])
        bias = biases[:, int(flip.partition(":")[0])]
        best = [row for row in np.argsort(-bias, kind="stable") if not made.malicious[row]]
        return {"victims": ",".join(made.updates.clients[row] for row in best)}
    return {}


def _before(rounds: Source, number: int, attack: str) -> Earlier | None:
    """The honest clients' earlier round, for who sends it again."""
    if attack != "free-rider-replay" or number == 1:
        return None
    world = rounds.world
    tensors = rounds.peek(number - 1, HONEST).tensors
    held = part_of(world, HONEST).clients
    updates = _in_order(world, world.ids[: world.clients], tensors, held, set()).updates
    rows = np.arange(world.clients)
    return Earlier(updates.clients, flatten(updates, rows), updates.num_examples.astype(float))


def _in_order(
    world: World,
    ids: Sequence[str],
    tensors: Mapping[str, Any],
    held: Sequence[ClientData],
    guilty: set[str],
) -> Attacked:
    """Clients sorted by their ids, so that no place in the round tells on anybody."""
    order = sorted(range(len(ids)), key=lambda row: ids[row])
    clients = [ids[row] for row in order]
    rows = np.array(order, np.intp)
    output = world.model.OUTPUT
    labels = [str(label) for label in range(len(tensors[output.weight][0]))]
    sorted_ = {name: np.ascontiguousarray(value[rows]) for name, value in tensors.items()}
    counts = np.array([len(held[row].samples) for row in order], np.int64)
    updates = Updates(clients, counts, sorted_, output, labels)
    return Attacked(updates, np.array([client in guilty for client in clients]))
