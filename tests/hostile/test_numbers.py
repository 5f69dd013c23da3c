"""Numbers that no honest client sends, in one update or in a third of them, for every method.

Such a client is flagged, with the reason, and the others are judged as if it had not come.
"""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from lomar_cli.files.importers import safetensors
from lomar_cli.scoring.judge import ASIDE
from tests.commands import lomar, refused, works
from tests.making import change, read_updates, replace, tensors, write_round

COUNT = 24
VALUES = {
    "NaN": np.nan,
    "infinity": np.inf,
    "minus infinity": -np.inf,
    "1e30": 1e30,
    "the largest float32": np.finfo("f4").max,
    "the smallest float32": np.float32(1e-45),
    "zeros": 0.0,
    "all 0.5": 0.5,
    "all -0.01": -0.01,
}
# These ask for what a round alone does not hold.
NEEDY = ("fltrust", "zeno", "zeno-plus", "fldetector")
METHODS = [
    name
    for name in json.loads(works("list", "methods", "--json").stdout)["methods"]
    if name not in NEEDY
]


def judged(path, method):
    document = json.loads(works("score", path, "--method", method, "--json").stdout)
    return {row["client"]: row for row in document["clients"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("numbers")


@pytest.fixture(scope="module")
def without(folder):
    """The verdict on the round less its first clients, by how many these are; each made once."""
    names = [f"c{row}" for row in range(COUNT)]
    made = tensors(COUNT, features=5, seed=3)
    known = {}

    def verdict(method, hostile):
        if (method, hostile) not in known:
            rest = {name: array[hostile:] for name, array in made.items()}
            path = write_round(folder / f"{hostile}.h5", rest, names[hostile:])
            known[method, hostile] = judged(path, method)
        return known[method, hostile]

    return verdict


@pytest.mark.parametrize("hostile", [1, COUNT // 3])
@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("method", METHODS)
def test_they_are_flagged_and_change_nobody_elses_score(method, what, hostile, without, folder):
    made = {name: array.copy() for name, array in tensors(COUNT, features=5, seed=3).items()}
    for array in made.values():
        array[:hostile] = VALUES[what]
    found = judged(write_round(folder / "with.h5", made), method)
    for row in range(hostile):
        bad = found.pop(f"c{row}")
        assert (bad["keep"], bool(bad["reason"])) == (False, True)
    expected = without(method, hostile)
    assert found.keys() == expected.keys()
    for client, row in found.items():
        assert row["suspicion"] == pytest.approx(expected[client]["suspicion"], abs=1e-6)
        assert row["keep"] == expected[client]["keep"]


def test_a_hostile_value_in_one_place_is_enough(folder):
    made = tensors(COUNT)
    for row, value in enumerate((np.nan, np.inf, 1e30)):
        made["fc.bias"][row, 2] = value
    found = judged(write_round(folder / "one.h5", made), "lomar")
    assert [found[f"c{row}"]["keep"] for row in range(3)] == [False] * 3


def test_where_most_send_zeros_that_is_no_offence(folder):
    made = {name: array.copy() for name, array in tensors(6).items()}
    for array in made.values():
        array[:3] = 0
    found = judged(write_round(folder / "zeros.h5", made), "none")
    assert all(row["keep"] for row in found.values())


def claimed(path, counts, out):
    """The model that a round gives when its clients claim to hold this many samples."""
    change(path, lambda handle: replace(handle, "clients/num_examples", np.array(counts)))
    return works("aggregate", path, "--from-zero", "-o", out)


def mean(path):
    works("export", path, "-o", path.with_suffix(".npz"))
    with np.load(path.with_suffix(".npz")) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_a_claim_of_no_samples_takes_no_part(round_file, tmp_path):
    updates = read_updates(round_file)
    claimed(round_file, [0, *[10] * 7], tmp_path / "m.h5")
    for name, array in mean(tmp_path / "m.h5").items():
        np.testing.assert_allclose(array, updates[name][1:].mean(axis=0), rtol=1e-5, atol=1e-7)


def test_a_huge_claim_is_arithmetic_and_no_overflow(round_file, tmp_path):
    """1e18 from everybody is the plain mean; the sum of the counts is beyond 64 bits."""
    updates = read_updates(round_file)
    claimed(round_file, [10**18] * 8 + [], tmp_path / "m.h5")
    for name, array in mean(tmp_path / "m.h5").items():
        np.testing.assert_allclose(array, updates[name].mean(axis=0), rtol=1e-5, atol=1e-7)


def test_a_huge_claim_of_one_is_warned_of_and_can_be_held(round_file, tmp_path):
    ran = claimed(round_file, [10**18, *[10] * 7], tmp_path / "m.h5")
    assert "c0" in ran.stderr
    held = ("--max-weight-share", "0.2", "-f", "-o", tmp_path / "m.h5")
    assert works("aggregate", round_file, "--from-zero", *held).exit_code == 0


def test_claims_change_nobody_else_s_score(tmp_path):
    made = tensors(24, labels=4, features=20)
    path = write_round(tmp_path / "all.h5", made)
    counts = np.array([0, 10**18, 2**63 - 1, *[1] * 21])
    change(path, lambda handle: replace(handle, "clients/num_examples", counts))
    rest = {name: array[3:] for name, array in made.items()}
    write_round(tmp_path / "rest.h5", rest, [f"c{row}" for row in range(3, 24)])
    for method in ("lomar-auto", "krum"):
        found, without = judged(path, method), judged(tmp_path / "rest.h5", method)
        assert {name for name, row in found.items() if row["suspicion"] == ASIDE} == {
            "c0",
            "c1",
            "c2",
        }
        for name, row in without.items():
            assert found[name]["suspicion"] == pytest.approx(row["suspicion"], abs=1e-6)
            assert found[name]["keep"] == row["keep"]


@pytest.mark.parametrize(
    "counts",
    [[-1] * 8, [-(10**18)] + [1] * 7, [2.5] * 8, [np.nan] * 8, np.full(8, 2**63, "u8")],
    ids=["-1", "-1e18", "2.5", "NaN", "2^63"],
)
def test_a_claim_that_is_no_count_is_refused(counts, round_file, tmp_path):
    change(round_file, lambda handle: replace(handle, "clients/num_examples", np.array(counts)))
    refused(tmp_path, 3, ["round.h5", "num_examples"], "score", round_file)
    out = ("--from-zero", "-o", tmp_path / "m.h5")
    refused(tmp_path, 3, ["round.h5", "num_examples"], "aggregate", round_file, *out)


@pytest.mark.parametrize("count", ["-1", "nan", "1e18", "0x10", "1_000", "", "9" * 30])
def test_a_claim_in_a_table_that_is_no_count(count, round_file, tmp_path):
    np.savez(tmp_path / "c.npz", **{"fc.weight": np.ones((3, 4)), "fc.bias": np.ones(3)})
    (tmp_path / "w.csv").write_text(f"client,num_examples\nc,{count}\n")
    words = ("dump", tmp_path / "c.npz", "--differences", "--weights", tmp_path / "w.csv")
    ran = lomar(*words, "-o", tmp_path / "r.h5")
    assert ran.exit_code in (0, 3)
    if ran.exit_code == 0:
        assert count in ("1e18", "1_000")


@pytest.mark.parametrize("kind", ["npz", "pt", "safetensors"])
@pytest.mark.parametrize("claim", ["-1", "0", "nan", "2.5", "1e18", "1e300"])
def test_a_claim_that_is_no_count_flags_the_client_alone(claim, kind, tmp_path):
    """A client's own file says it: nobody else waits for the person to take it out."""
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    (tmp_path / "in").mkdir()
    count = int(claim) if claim in ("-1", "0") else float(claim)
    made = tensors(24, labels=4, features=20)
    for number in range(24):
        one = {name: array[number] for name, array in made.items()}
        said = 12 if number else count
        path = tmp_path / "in" / f"c{number:02}.{kind}"
        if kind == "npz":
            np.savez(path, **one, num_examples=said)
        elif kind == "pt":
            state = {n: torch.from_numpy(a) for n, a in one.items()}
            torch.save({"model": state, "num_examples": said}, path)
        else:
            with path.open("wb") as stream:
                safetensors.write(stream, one, {"num_examples": str(said) if number else claim})
    ran = works("dump", tmp_path / "in", "--differences", "-o", tmp_path / "r.h5")
    assert "claimed by c00; 0 is stored" in ran.stderr
    found = judged(tmp_path / "r.h5", "lomar-auto")
    (tmp_path / "in" / f"c00.{kind}").unlink()
    works("dump", tmp_path / "in", "--differences", "-o", tmp_path / "without.h5")
    without = judged(tmp_path / "without.h5", "lomar-auto")
    row = found.pop("c00")
    assert (row["keep"], row["suspicion"]) == (False, ASIDE)
    assert row["reason"] == "says that it has no samples"
    for name, row in found.items():
        assert row["suspicion"] == pytest.approx(without[name]["suspicion"], abs=1e-6)
        assert row["keep"] == without[name]["keep"]


def test_many_without_samples_hide_nobody_who_claims_too_many(tmp_path):
    path = write_round(tmp_path / "r.h5", tensors(24, labels=4, features=20))
    counts = np.array([10**15, *[0] * 9, *[12] * 14])
    change(path, lambda handle: replace(handle, "clients/num_examples", counts))
    flagged = {name for name, row in judged(path, "none").items() if not row["keep"]}
    assert flagged == {"c0"}


@pytest.mark.parametrize("claim", [np.nan, 2.5, -1.0, 2**63])
def test_a_claim_in_an_attribute_and_in_a_list(claim, tmp_path):
    (tmp_path / "in").mkdir()
    made = tensors(24, labels=4, features=20)
    for number in range(24):
        with h5py.File(tmp_path / "in" / f"c{number:02}.h5", "w") as handle:
            for name, array in made.items():
                handle[name.replace(".", "/")] = array[number]
            handle.attrs["num_examples"] = 12.0 if number else np.asarray(claim)
    works("dump", tmp_path / "in", "--differences", "-o", tmp_path / "r.h5")
    flagged = {n for n, row in judged(tmp_path / "r.h5", "none").items() if not row["keep"]}
    assert flagged == {"c00"}
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    whole = {n: torch.from_numpy(a) for n, a in made.items()}
    about = {"client_ids": [f"c{n}" for n in range(24)], "num_examples": [claim, *[5.0] * 23]}
    torch.save({**about, "updates": whole}, tmp_path / "x.pt")
    works("dump", tmp_path / "x.pt", "--differences", "-o", tmp_path / "all.h5")
    flagged = {n for n, row in judged(tmp_path / "all.h5", "none").items() if not row["keep"]}
    assert flagged == {"c0"}


@pytest.mark.parametrize(("claim", "flagged"), [(0, True), (10**15, True), (10**9, False)])
def test_claims_are_judged_by_every_method_and_by_nobody_where_many_make_them(
    claim, flagged, tmp_path
):
    path = write_round(tmp_path / "r.h5", tensors(24, labels=4, features=20))
    for count, aside in ((1, flagged), (9, False)):
        counts = np.array([claim] * count + [12] * (24 - count))
        change(path, lambda handle, to=counts: replace(handle, "clients/num_examples", to))
        for method in ("none", "krum"):
            row = judged(path, method)["c0"]
            assert (row["suspicion"] == ASIDE) == aside
            assert "says that it has" in row["reason"] or not aside
