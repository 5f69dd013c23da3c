"""What the numbers about one client say, in a person's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lomar_cli.files.text import printable
from lomar_cli.scoring.profile import STANDS_OUT

Document = dict[str, Any]
_NAMED = 5
_SIDES = {
    "opposite": "it points against the median update",
    "tighter": "it lies closer to its nearest than clients do here, as copies, sybils and flippers "
    "that train on flipped samples alone do",
    "thinner": "it lies further from the others than clients do here, as boosted or noisy updates, "
    "rare labels and flippers with mixed samples do",
}


def side(found: Document) -> str | None:
    """Where the client lies apart: ``opposite``, ``tighter``, ``thinner``, or None: nowhere."""
    # As far behind as others are ahead, or half of it: a boosted one is across, not against.
    if found["cosine_to_median"] < -found["median_cosine"] / 2 < 0:
        return "opposite"
    if found["near_z"] < -STANDS_OUT:
        return "tighter"
    return "thinner" if max(found["near_z"], found["far_z"]) > STANDS_OUT else None


def words(found: Document) -> list[str]:
    """Sentences about one client, the verdict first."""
    said = [_verdict(found)]
    if "group" in found and not found["set_aside"]:
        said.append(_group(found))
    if found["views"]:
        said.append(_views(found["views"]))
    if found["set_aside"]:
        said.append("it was set aside before scoring, so it was compared with nobody")
    if found["weight"] < 1:
        said.append(f"near-copies share one vote: it counts as {found['weight']:.3g} of a client")
    if "labels" not in found:
        return said
    if not found["few"]:
        return [*said, "there is no other client to compare it with"]
    where = _SIDES.get(found["side"] or "", "as a whole it lies among the others as they do")
    said.append(
        f"{where} (robust z of its distance to its {found['few']} nearest {found['near_z']:+.1f}, "
        f"to the nearer half {found['far_z']:+.1f})"
    )
    if found["labels"]:
        said.append(_labels(found["labels"]))
    said.append(_length(found))
    if len(found["parameters"]) > 1:
        said.extend(_parameters(found["parameters"]))
    if found["neighbours"]:
        said.append(_neighbours(found["neighbours"]))
    if found["near_copies"]:
        said.append(f"as close to it as copies are: {listed(found['near_copies'])}")
    return said


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    shown = ", ".join(printable(name, 40) for name in names[:_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def _verdict(found: Document) -> str:
    verdict = "kept" if found["keep"] else "removed"
    if found["set_aside"]:
        return f"{verdict}: no method can compare it; {found['flagged']} are removed in all"
    rank = f"rank {found['rank']} of {found['clients']}, of whom {found['flagged']} are removed"
    if found["threshold"] is None:
        return f"{verdict}: its suspicion is {found['suspicion']:.4g}, {rank}"
    above = found["suspicion"] > found["threshold"]
    although = "" if above != found["keep"] else "although "
    return (
        f"{verdict}: {although}its suspicion {found['suspicion']:.4g} is "
        f"{'above' if above else 'not above'} the threshold {found['threshold']:.4g}; {rank}"
    )


def _group(found: Document) -> str:
    if found["group_clients"] is None:
        return "it is of no group large enough to be judged by itself, and is compared with all"
    of = f"its group '{printable(found['group'], 40)}'"
    return f"it is compared with the {found['group_clients']} clients of {of} alone"


def _views(views: Sequence[Document]) -> str:
    known = [one for one in views if one["suspicion"] is not None]
    beyond = [one for one in known if one["suspicion"] > 1]
    blind = [one["view"] for one in views if one["suspicion"] is None]
    parts = []
    if beyond:
        parts.append("views beyond their threshold: " + ", ".join(map(_view, beyond)))
    if len(known) > len(beyond):
        below = known[len(beyond) :]
        parts.append(
            ("below it: " if beyond else "no view is beyond its threshold: ")
            + ", ".join(map(_view, below))
        )
    if blind:
        parts.append(f"could not judge: {', '.join(blind)}")
    return "; ".join(parts)


def _view(one: Document) -> str:
    return f"{one['view']} {one['suspicion']:.2f}"


def _labels(labels: Sequence[Document]) -> str:
    out = [one for one in labels if loudest(one) > STANDS_OUT]
    if not out:
        most = labels[0]
        return f"no label stands out (label {_name(most)} most, robust z {_signed(most):+.1f})"
    shown = ", ".join(
        f"{_name(one)} ({'tighter' if _signed(one) < 0 else 'thinner'}, {_signed(one):+.1f})"
        for one in out[:_NAMED]
    )
    more = f" and {len(out) - _NAMED} more" if len(out) > _NAMED else ""
    return f"labels that stand out: {shown}{more}"


def loudest(one: Document) -> float:
    return max(abs(float(one["near_z"])), abs(float(one["far_z"])))


def _signed(one: Document) -> float:
    near, far = float(one["near_z"]), float(one["far_z"])
    return near if abs(near) >= abs(far) else far


def _name(one: Document) -> str:
    return printable(str(one["label"]), 30)


def _length(found: Document) -> str:
    usual = f"{found['length']:.3g}, the median's 0"
    if found["median_length"] > 0:
        usual = f"{found['length'] / found['median_length']:.3g} times the median"
    return (
        f"its length is {usual}; its cosine with the median update is "
        f"{found['cosine_to_median']:.2f} (median of all {found['median_cosine']:.2f})"
    )


def _parameters(parameters: Sequence[Document]) -> list[str]:
    """A sentence where the length of some parameters stands out."""
    out = [one for one in parameters if abs(one["z"]) > STANDS_OUT and one["of_median"] is not None]
    if not out:
        return []
    shown = ", ".join(
        f"{printable(one['parameter'], 40)} ({one['of_median']:.3g} times)" for one in out[:_NAMED]
    )
    more = f" and {len(out) - _NAMED} more" if len(out) > _NAMED else ""
    return [f"parameters whose length is far from its median: {shown}{more}"]


def _neighbours(nearest: Sequence[Document]) -> str:
    removed = sum(not one["keep"] for one in nearest)
    return f"of its {len(nearest)} nearest {removed if removed else 'none'} " + (
        "is removed" if removed <= 1 else "are removed"
    )
