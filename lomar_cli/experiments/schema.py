"""What an experiment file may say: its keys, their types, and the names they must be known by."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lomar_cli.aggregation.pre import PRES
from lomar_cli.aggregation.registry import RULES
from lomar_cli.attacks.budget import count
from lomar_cli.attacks.registry import ATTACKS, make_round_attack, make_split_attack
from lomar_cli.data.partition import SCHEMES
from lomar_cli.data.partition.paper import RARE
from lomar_cli.data.registry import DATASETS
from lomar_cli.errors import InputError, UsageError, nearest
from lomar_cli.learning.registry import MODELS, Training
from lomar_cli.scoring.registry import METHODS
from lomar_cli.stages.poison import KNOWLEDGE
from lomar_cli.stages.recipe import Recipe
from lomar_cli.stages.train import check_training

DATA = {
    "name": str,
    "clients": int,
    "samples_per_client": int,
    "scheme": str,
    "imbalance": float,
    "rare": str,
    "alpha": float,
    "shards": int,
    "size": int,
    "label_column": str,
    "group_column": str,
    "file": str,
}
ATTACK = {
    "name": str,
    "flip": list,
    "malicious": str,
    "convert": str,
    "style": str,
    "poison_fraction": float,
    "knowledge": str,
    "options": dict,
    "then": dict,
}
THEN = {"name": str, "knowledge": str, "options": dict}
TRAINING = {
    "model": str,
    "epochs": int,
    "local_steps": int,
    "batch_size": int,
    "lr": float,
    "momentum": float,
    "weight_decay": float,
}
PARTS: dict[str, dict[str, type]] = {"data": DATA, "attack": ATTACK, "training": TRAINING}
PACE = {"rounds": int, "evaluate_every": int}
GENERAL = {"title": str, "about": str, "layout": str, "seeds": list, "measure": list, **PACE}
SETTING = {"name": str, **PACE, **dict.fromkeys(PARTS, dict)}
DEFENSE = {
    "name": str,
    "method": str,
    "rule": str,
    "pre": list,
    "options": dict,
    "assume_malicious": str,
    "history": int,
    "root_samples": int,
    "clean": bool,
}
LAYOUTS = ("table", "table3", "labels", "table5", "roc", "map")
MEASURES = ("training", "map")
# Keys of the data that are options of the partition scheme, and of the data set's loader.
SCHEME = ("imbalance", "rare", "alpha", "shards")
LOADER = ("size", "label_column", "group_column")
# Keys of an attack that stand beside its options: those of an attack on splits.
SHORT = ("flip", "style", "poison_fraction")
# Keys that hold a list or a table by nature: they are an axis only as a list of these.
LISTS = {"flip"}
_MEANT: Mapping[type, str] = {
    bool: "true or false",
    dict: "a table",
    float: "a number",
    int: "a whole number",
    list: "a list, in [ ]",
    str: "a text in quotes",
}


def check_keys(found: Any, known: Mapping[str, type], where: str, axes: bool = False) -> None:
    """Refuse unknown keys, with the nearest known one, and values of another type."""
    if not isinstance(found, dict):
        raise InputError(f"{where}: must be a table")
    for key, value in found.items():
        if key not in known:
            raise InputError(f"{where}: there is no key '{key}'{nearest(key, list(known))}")
        wanted = known[key]
        values = value if axes and isinstance(value, list) and key not in LISTS else [value]
        if value == [] and key not in LISTS:
            raise InputError(f"{where}: {key}: is empty")
        if wanted is list and isinstance(value, list) and value:
            _check_list(value, f"{where}: {key}", of_lists=axes and key in LISTS)
        for one in values:
            good = isinstance(one, wanted) or (wanted is float and isinstance(one, int))
            if not good or (isinstance(one, bool) and wanted is not bool):
                raise InputError(f"{where}: {key}: must be {_MEANT[wanted]}, is {one!r}")
        if any(one in values[:place] for place, one in enumerate(values)):
            raise InputError(f"{where}: {key}: a value stands there twice, in {value!r}")


def _check_list(value: list[Any], where: str, of_lists: bool) -> None:
    """A list of tables, of whole numbers, or of texts; an axis of such lists where that may be."""
    if of_lists and isinstance(value[0], list):
        for one in value:
            if not isinstance(one, list) or not one:
                raise InputError(f"{where}: must be a list of lists, or one list")
            _check_list(one, where, of_lists=False)
    elif len({type(one) for one in value}) > 1 or not isinstance(value[0], str | int | dict):
        raise InputError(f"{where}: holds {value!r}, which do not go together")


def check_name(value: str, known: list[str], where: str) -> None:
    """Refuse a name that a registry does not have, with the nearest one that it has."""
    if value not in known:
        raise InputError(f"{where}: there is no '{value}'{nearest(value, known)}")


def check_positive(value: int, where: str) -> int:
    if value < 1:
        raise InputError(f"{where}: must be at least 1, is {value}")
    return value


def check_seeds(found: Any, where: str) -> list[int]:
    whole = isinstance(found, list) and all(
        isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in found
    )
    if not found or not whole:
        raise InputError(f"{where}: seeds: must be a list of whole numbers from 0")
    if len(set(found)) < len(found):
        raise InputError(f"{where}: seeds: one stands there twice, which is no second measurement")
    return list(found)


def check_words(found: list[Any], known: tuple[str, ...], where: str) -> None:
    for word in found:
        check_name(str(word), list(known), where)


def training_of(part: Mapping[str, Any], **more: Any) -> Training:
    """The training that a part of the file describes; the model is another matter."""
    return Training(**{key: value for key, value in part.items() if key != "model"}, **more)


def check_points(parts: Mapping[str, list[dict[str, Any]]], where: str) -> None:
    """Refuse names and options that no registry has, at every point of the axes."""
    for point in parts["data"]:
        _check_data(point, f"{where}: data")
    for point in parts["attack"]:
        _check_attack(point, f"{where}: attack")
    for point in parts["training"]:
        if "model" in point:
            check_name(point["model"], list(MODELS), f"{where}: training: model")
        with _located(f"{where}: training"):
            check_training(training_of(point))


def _check_data(point: dict[str, Any], where: str) -> None:
    if "name" not in point:
        raise InputError(f"{where}: name: is missing")
    check_name(point["name"], list(DATASETS), f"{where}: name")
    scheme = point.get("scheme", "paper")
    check_name(scheme, list(SCHEMES), f"{where}: scheme")
    for key in SCHEME:
        if key in point and key not in SCHEMES[scheme].options:
            raise InputError(f"{where}: {key}: the scheme {scheme} has no such option")
    for key in ("clients", "samples_per_client", "shards", "size"):
        if key in point:
            check_positive(point[key], f"{where}: {key}")
    if not 0 <= point.get("imbalance", 0) < 1:
        raise InputError(f"{where}: imbalance: lambda lies in [0, 1), is {point['imbalance']}")
    if not 0 < point.get("alpha", 1) < math.inf:
        raise InputError(f"{where}: alpha: must be a number above 0, is {point['alpha']}")
    if "rare" in point:
        check_name(point["rare"], list(RARE), f"{where}: rare")
    about = DATASETS[point["name"]]
    for key in LOADER:
        if key in point and key not in about.options:
            raise InputError(f"{where}: {key}: the data set {point['name']} has no such option")
    if "file" in point and not about.endings:
        raise InputError(f"{where}: file: {point['name']} is no file of one's own")


def _check_attack(point: dict[str, Any], where: str) -> None:
    name = point.get("name", "none")
    check_name(name, ["none", *ATTACKS], f"{where}: name")
    then = point.get("then")
    if name == "none":
        # A setting may say "none" where the general part has an attack.
        more = [key for key in point if key != "flip"]
        if more and "name" not in point:
            raise InputError(f"{where}: {more[0]}: there is no attack; name one, or leave it out")
        return
    if ("malicious" in point) == ("convert" in point):
        raise InputError(
            f"{where}: give malicious (clients added) or convert (clients turned), as '10%' or '5'"
        )
    with _located(where):
        said = point["malicious"] if "malicious" in point else point["convert"]
        number = count(said, 100, "malicious or convert")
    if number > 100 and said.endswith("%") and "convert" in point:
        raise InputError(f"{where}: convert: no more than all clients can be turned")
    if ATTACKS[name].on == "round":
        _check_round_attack(name, point, where)
    else:
        if "knowledge" in point:
            raise InputError(f"{where}: knowledge: the attack {name} sees no round")
        _check_split_attack(name, point, where)
    if then is not None:
        check_keys(then, THEN, f"{where}: then")
        if "name" not in then:
            raise InputError(f"{where}: then: name: is missing")
        check_name(then["name"], list(ATTACKS), f"{where}: then: name")
        if ATTACKS[then["name"]].on != "round":
            raise InputError(f"{where}: then: {then['name']} is no attack on rounds")
        _check_round_attack(then["name"], then, f"{where}: then")


def split_options(name: str, point: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the attack ``name`` on splits: those in short form, and its own."""
    keys = SHORT if name == "label-flip" else [key for key in SHORT if key != "flip"]
    short = {key: point[key] for key in keys if key in point}
    return {**short, **point.get("options", {})}


def _check_split_attack(name: str, point: dict[str, Any], where: str) -> None:
    if name == "label-flip" and not point.get("flip"):
        raise InputError(f'{where}: flip: is missing, for example flip = ["1:7"]')
    for flip in point.get("flip", []):
        if not isinstance(flip, str) or len(flip.split(":")) != 2:
            raise InputError(f'{where}: flip: {flip!r}: must be SOURCE:TARGET, for example "1:7"')
    with _located(f"{where}: options"):
        make_split_attack(name, split_options(name, point))


def _check_round_attack(name: str, point: dict[str, Any], where: str) -> None:
    for key in SHORT[1:]:
        if key in point:
            raise InputError(f"{where}: {key}: the attack {name} is on rounds and has no samples")
    check_name(point.get("knowledge", "all"), list(KNOWLEDGE), f"{where}: knowledge")
    with _located(f"{where}: options"):
        make_round_attack(name, point.get("options", {}))


def checked_defense(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """The entry, when its names and options are known."""
    check_keys(entry, DEFENSE, where)
    if "name" not in entry:
        raise InputError(f"{where}: name: is missing")
    for key, names in (("method", METHODS.names()), ("rule", RULES.names())):
        if key in entry:
            check_name(entry[key], names, f"{where}: {key}")
    for pre in entry.get("pre", []):
        check_name(str(pre), PRES.names(), f"{where}: pre")
    for key in ("history", "root_samples"):
        if key in entry:
            check_positive(entry[key], f"{where}: {key}")
    with _located(f"{where}: options"):
        hears = who_hears(entry)
    said = entry.get("assume_malicious")
    if said is not None and not (hears.method or hears.rule):
        raise InputError(f"{where}: assume_malicious: nothing here reckons with a number")
    if said is not None and "assume_malicious" in entry.get("options", {}):
        raise InputError(f"{where}: assume_malicious: stands in options, too; say it once")
    if said not in (None, "true"):
        with _located(where):
            count(said, 1, "assume_malicious:")
    return dict(entry)


@dataclass(frozen=True)
class Hears:
    """Who of a defense reckons with a number of malicious clients."""

    method: bool
    rule: bool


def who_hears(entry: Mapping[str, Any]) -> Hears:
    """Make the method and the rule of a defense, to see whether they can be and what they take.

    ``options`` are the method's where there is one, otherwise the rule's.
    """
    options, told = entry.get("options", {}), False
    if "method" in entry:
        made = METHODS.make(entry["method"], options)
        told = "assume_malicious" in {field.name for field in dataclasses.fields(made)}
        options = {}
    recipe = Recipe.make(entry.get("rule", "fedavg"), entry.get("pre", []), options, None)
    return Hears(told, recipe.assumes)


@contextlib.contextmanager
def _located(where: str) -> Iterator[None]:
    """What is refused inside is the experiment file's fault: say where it stands."""
    try:
        yield
    except UsageError as error:
        raise InputError(f"{where}: {error}") from None
