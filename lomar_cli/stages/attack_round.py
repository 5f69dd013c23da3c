"""Attack a round: a round file in, the poisoned round out, the truth to a file of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.attacks.budget import count, neutral
from lomar_cli.attacks.context import Earlier
from lomar_cli.attacks.registry import make_round_attack
from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.provenance import extend
from lomar_cli.files.round import DEFAULT_MEMORY, Round, create_round, open_round
from lomar_cli.files.stored_types import still, types_of, write_types
from lomar_cli.files.text import printable
from lomar_cli.files.truth import Truth, read_truth
from lomar_cli.files.updates import Updates
from lomar_cli.stages.defender import flatten
from lomar_cli.stages.poison import Knowledge, Poisoned, add, turn
from lomar_cli.stages.truth_beside import truth_beside, truth_path


@dataclass(frozen=True)
class Who:
    """Who attacks: exactly one of clients added, clients turned, and those a truth file names.

    Ids of clients that are added are drawn from ``ids_seed``, None for the attack's own seed: with
    it they are the same in every round of a federation.
    """

    malicious: str | None = None
    convert: str | None = None
    convert_named: Path | None = None
    ids_seed: int | None = None

    def __post_init__(self) -> None:
        given = [self.malicious, self.convert, self.convert_named]
        if sum(one is not None for one in given) != 1:
            raise UsageError(
                "give one of --malicious (clients added), --convert (clients turned) and "
                "--convert-named (the clients of a truth file)"
            )


@dataclass(frozen=True)
class Sources:
    """The other files that an attack may use."""

    target_update: Path | None = None
    replay: Path | None = None
    also_malicious: Path | None = None


@dataclass(frozen=True)
class Attacked:
    """What was done. ``malicious`` are all malicious clients, ``turned`` those of this attack."""

    clients: int
    turned: list[str]
    malicious: list[str]
    truth: Path
    notes: list[str]


def attack_round(
    path: Path,
    output: Path,
    name: str,
    options: Mapping[str, Any],
    who: Who,
    knowledge: str = "all",
    sources: Sources = Sources(),
    truth: Path | None = None,
    memory: int = DEFAULT_MEMORY,
    seed: int = 0,
    force: bool = False,
) -> Attacked:
    """Let clients of the round in ``path`` send what the attack ``name`` says.

    All other clients' updates stay as they are, bit for bit; the types that clients sent stay noted
    for parameters whose numbers all still are of them. Nothing but the updates tells the
    attackers apart: clients are sorted by id, and ids and num_examples are like everyone's. The
    whole round is held in memory, some four times over.
    """
    truth = truth_path(truth, output, force)
    attack = make_round_attack(name, options)
    with open_round(path, memory) as found:
        _check_memory(found, memory)
        inputs = {"round": found.sha256}
        before = [found.provenance]
        target = earlier = None
        if sources.target_update is not None:
            given, inputs["target"], chain = _other(sources.target_update, found, memory)
            target = given.updates.mean(axis=0)
            before.append(chain)
        if sources.replay is not None:
            earlier, inputs["replay"], chain = _other(sources.replay, found, memory)
            before.append(chain)
        merged = _earlier_truth(sources.also_malicious, found)
        named = _earlier_truth(who.convert_named, found)
        guilty = {*merged.malicious, *named.malicious}
        known = Knowledge(knowledge, target, earlier, guilty)
        done, number = _poison(found, attack, who, named, known, seed, memory)
        kind = "malicious" if who.malicious is not None else "convert"
        said: dict[str, Any] = {kind: number, **dataclasses.asdict(attack)}
        if not said["decorrelate"]:
            # Files made before there was this option say the same as those made now.
            del said["decorrelate"]
        if attack.knows:
            said["knowledge"] = knowledge
        head = dataclasses.replace(
            found.head, clients=done.updates.clients, num_examples=done.updates.num_examples
        )
        everyone = sorted({*done.malicious, *guilty})
        about: dict[str, Any] = {"attack": name, **said}
        if earlier_abouts := [one.about for one in (named, merged) if one.about]:
            about["before"] = earlier_abouts
        stage = extend(f"attack {name}", said, inputs, before, seed)
        tensors = {key: np.asarray(tensor[:]) for key, tensor in done.updates.tensors.items()}
        with (
            truth_beside(truth, everyone, about, force),
            create_round(output, head, stage, force) as writer,
        ):
            writer.write(0, tensors)
            # An attacker's numbers seldom are of the type of the others' parameters.
            write_types(writer.handle, still(tensors, types_of(path)))
        notes = _notes(found, who, sources, done)
    return Attacked(len(head.clients), done.malicious, everyone, truth, notes)


def _poison(
    found: Round,
    attack: Any,
    who: Who,
    named: Truth,
    known: Knowledge,
    seed: int,
    memory: int,
) -> tuple[Poisoned, int]:
    clients = len(found.head.clients)
    if who.malicious is not None:
        number = count(who.malicious, clients, "--malicious")
        return add(found.updates, attack, number, known, seed, memory, who.ids_seed), number
    if who.convert_named is not None:
        return turn(found.updates, attack, list(named.malicious), known, seed, memory), len(
            named.malicious
        )
    number = count(who.convert or "", clients, "--convert")
    return turn(found.updates, attack, number, known, seed, memory), number


def _check_memory(found: Round, memory: int) -> None:
    values = len(found.head.clients) * found.updates.size
    need = values * (2 * found.updates.dtype.itemsize + 3 * 8)
    if need > memory:
        raise UsageError(
            f"--memory: an attack holds the whole round, which takes about {need / 2**30:.1f} GiB; "
            f"raise --memory to {-(-need // 2**30)}G, or attack a round of fewer parameters"
        )


def _other(path: Path, found: Round, memory: int) -> tuple[Earlier, str, list[dict[str, Any]]]:
    """Another round over the same parameters, the digest of its content, and its provenance."""
    with open_round(path, memory) as other:
        if dict(other.head.shapes) != dict(found.head.shapes):
            raise InputError(f"{printable(str(path))}: its parameters are not those of the round")
        ordered = dataclasses.replace(
            other.updates, tensors={n: other.updates.tensors[n] for n in found.head.shapes}
        )
        ordered = dataclasses.replace(ordered, buffers=found.head.buffers)
        earlier = as_earlier(ordered, printable(str(path)))
        return earlier, other.sha256, other.provenance


def as_earlier(updates: Updates, shown: str) -> Earlier:
    """Another round's updates, in the order of the round's, as attackers look at it."""
    scored = updates.scored()
    block = flatten(scored, np.arange(len(updates.clients)))
    if not np.isfinite(block).all():
        raise InputError(f"{shown}: holds NaN or infinity")
    return Earlier(updates.clients, block, updates.num_examples.astype(np.float64))


def _earlier_truth(path: Path | None, found: Round) -> Truth:
    """An earlier truth, as far as its clients are in the round."""
    if path is None:
        return Truth([])
    given = read_truth(path)
    present = set(found.head.clients)
    here = [client for client in given.malicious if client in present]
    if given.malicious and not here:
        raise InputError(f"{printable(str(path))}: names none of the round's clients")
    return Truth(here, given.about)


def _notes(found: Round, who: Who, sources: Sources, done: Poisoned) -> list[str]:
    notes = []
    attacked = [str(step.get("stage", "")) for step in found.provenance]
    attacked = [stage for stage in attacked if stage.startswith("attack ")]
    if attacked and sources.also_malicious is None and who.convert_named is None:
        notes.append(
            f"this round had an {attacked[-1]} before, whose clients pass for honest here and in "
            "the truth; give its truth with --also-malicious"
        )
    alike = all(neutral(client) for client in found.head.clients)
    if who.malicious is not None and done.malicious and not alike:
        notes.append(
            "the added clients can be told by their ids, which are not like the others'; "
            "--convert turns present clients"
        )
    return notes
