"""``--client-groups``: kinds of clients are judged each by itself, wherever a round is judged."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from lomar_cli import score_updates
from lomar_cli.errors import UsageError
from lomar_cli.files.scores import read_scores
from tests.commands import lomar, refused, works
from tests.making import read_updates, tensors, write_round


@pytest.fixture
def mixed(tmp_path):
    """Forty clients of two kinds, of whom one kind's updates lie elsewhere, and one lies."""
    made = tensors(40, labels=3, features=20, seed=1)
    for row in range(0, 40, 3):
        made["fc.weight"][row] += 4.0
    made["fc.weight"][5] *= 60
    path = write_round(tmp_path / "r.h5", made)
    kinds = {f"c{i}": "phone" if i % 3 == 0 else "=desk()" for i in range(40)}
    table = tmp_path / "kinds.csv"
    table.write_text("client,group\n" + "".join(f"{c},{g}\n" for c, g in kinds.items()))
    return path, table, kinds


@pytest.mark.parametrize("ending", ["h5", "csv", "tsv", "json"])
def test_the_group_is_a_column_of_every_format(ending, mixed, tmp_path):
    path, table, kinds = mixed
    output = tmp_path / f"s.{ending}"
    works("score", path, "--client-groups", table, "-o", output, "-q")
    scores = read_scores(output)
    assert list(scores.columns)[:7] == [
        "client", "num_examples", "suspicion", "keep", "weight", "group", "reason"
    ]  # fmt: skip
    assert dict(zip(scores.clients, scores.columns["group"], strict=True)) == kinds
    works("validate", output)
    works("filter", path, "--scores", output, "-o", tmp_path / "kept.h5")


def test_a_formula_in_a_groups_name_is_none(mixed, tmp_path):
    path, table, _ = mixed
    told = works("score", path, "--client-groups", table, "-o", "-", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(told)))
    assert {row["group"] for row in rows} == {"phone", "'=desk()"}


def test_the_terminal_shows_groups(mixed):
    path, table, _ = mixed
    told = works("score", path, "--client-groups", table).stdout
    assert "group" in told.splitlines()[0]
    assert "note: 2 groups judged each by itself: '=desk()' (26 clients), 'phone' (14" in told
    assert "group" not in works("score", path).stdout.splitlines()[0]


def test_every_method_judges_groups(mixed, tmp_path):
    path, table, kinds = mixed
    works("score", path, "-m", "all", "--client-groups", table, "-o", tmp_path / "all")
    for name in ("lomar-auto", "krum", "kde"):
        scores = read_scores(tmp_path / "all" / f"{name}.h5")
        works("score", path, "-m", name, "--client-groups", table, "-o", tmp_path / f"{name}.json")
        alone = read_scores(tmp_path / f"{name}.json")
        assert (alone.keep == scores.keep).all()
        np.testing.assert_allclose(alone.suspicion, scores.suspicion, rtol=1e-9)
        assert dict(zip(scores.clients, scores.columns["group"], strict=True)) == kinds


def test_from_its_file_a_round_is_judged_the_same(mixed, tmp_path):
    path, table, _ = mixed
    whole = json.loads(works("score", path, "--client-groups", table, "--json").stdout)
    parts = json.loads(
        works("score", path, "--client-groups", table, "--json", "--memory", 4096).stdout
    )
    for one, other in zip(whole["clients"], parts["clients"], strict=True):
        assert one["keep"] == other["keep"] and one["group"] == other["group"]
        assert one["suspicion"] == pytest.approx(other["suspicion"], rel=1e-5, abs=1e-5)


def test_python_judges_as_the_command(mixed):
    path, table, kinds = mixed
    arrays = read_updates(path)
    updates = {f"c{i}": {name: array[i] for name, array in arrays.items()} for i in range(40)}
    counts = {f"c{i}": 10 for i in range(40)}
    said = json.loads(works("score", path, "--client-groups", table, "--json").stdout)["clients"]
    scores = score_updates(updates, num_examples=counts, groups=kinds)
    assert scores.suspicion.tolist() == [one["suspicion"] for one in said]
    assert list(scores.columns["group"]) == [one["group"] for one in said]
    with pytest.raises(UsageError, match="groups: tells the group of none"):
        score_updates(updates, groups={"nobody": "x"})


def test_a_client_is_explained_among_its_own(mixed, tmp_path):
    path, table, kinds = mixed
    output = tmp_path / "s.h5"
    works("score", path, "--client-groups", table, "-o", output, "-q")
    scores = read_scores(output)
    for client in ("c3", "c5"):
        found = json.loads(
            works("explain", path, client, "--client-groups", table, "--json").stdout
        )
        assert found["group"] == kinds[client]
        assert found["group_clients"] == list(kinds.values()).count(kinds[client])
        assert {kinds[one["client"]] for one in found["neighbours"]} == {kinds[client]}
        row = scores.clients.index(client)
        assert found["suspicion"] == scores.suspicion[row]
        assert f"{found['group_clients']} clients of its group" in found["words"][1]
        again = json.loads(works("explain", path, client, "--scores", output, "--json").stdout)
        assert again == found
    plain = json.loads(works("explain", path, "c3", "--json").stdout)
    assert "group" not in plain


def test_a_client_of_a_small_group_is_explained_among_all(mixed, tmp_path):
    path, table, kinds = mixed
    table.write_text(json.dumps(kinds | {"c3": "lab"}))
    found = json.loads(works("explain", path, "c3", "--client-groups", table, "--json").stdout)
    assert found["group"] == "lab" and found["group_clients"] is None
    assert "compared with all" in found["words"][1]
    assert len({kinds[one["client"]] for one in found["neighbours"]}) >= 1


def test_what_does_not_go_together(mixed, tmp_path):
    path, table, _ = mixed
    output = tmp_path / "s.h5"
    works("score", path, "-o", output, "-q")
    folder = tmp_path
    said = ["--client-groups", "judged already by --scores"]
    refused(folder, 2, said, "explain", path, "c1", "--scores", output, "--client-groups", table)
    given = ("--client-groups", table, "--cluster", "local:2")
    refused(folder, 2, ["--client-groups", "--cluster"], "score", path, *given)
    table.write_text("client,group\nsomebody,x\n")
    said = ["tells the group of none of the round's clients", "'c0'"]
    refused(folder, 2, said, "score", path, "--client-groups", table)
    table.write_text("client\nc1\n")
    refused(folder, 3, ["needs the columns"], "score", path, "--client-groups", table)


def test_what_was_read_is_in_the_provenance(mixed, tmp_path):
    import hashlib

    path, table, _ = mixed
    works("score", path, "--client-groups", table, "-o", tmp_path / "s.h5", "-q")
    step = read_scores(tmp_path / "s.h5").provenance[-1]
    assert step["inputs"]["groups"] == hashlib.sha256(table.read_bytes()).hexdigest()


@pytest.mark.parametrize("method", ["fldetector", "foolsgold", "fltrust"])
def test_what_lies_beside_a_round_is_there_for_every_group(method, mixed, tmp_path):
    path, table, kinds = mixed
    given = ["--root", write_round(tmp_path / "root.h5", tensors(1, labels=3, features=20))]
    if method != "fltrust":
        given = []
        for number in (1, 2, 3):
            made = tensors(40, labels=3, features=20, seed=10 + number)
            given += ["--history", write_round(tmp_path / f"h{number}.h5", made)]
    works("score", path, "-m", method, "--client-groups", table, "-o", tmp_path / "s.json", *given)
    phones = [f"c{i}" for i in range(40) if kinds[f"c{i}"] == "phone"]
    only = {name: array[::3] for name, array in read_updates(path).items()}
    alone = write_round(tmp_path / "alone.h5", only, clients=phones)
    works("score", alone, "-m", method, "-o", tmp_path / "a.json", *given)
    whole, part = read_scores(tmp_path / "s.json"), read_scores(tmp_path / "a.json")
    assert whole.keep[::3].tolist() == part.keep.tolist()
    above = whole.suspicion[::3] - whole.threshold
    np.testing.assert_allclose(above, part.suspicion - part.threshold, rtol=1e-9, atol=1e-12)


def test_two_tables_of_groups_are_compared(mixed, tmp_path):
    path, table, kinds = mixed
    works("score", path, "-m", "none", "--client-groups", table, "-o", tmp_path / "a.h5")
    table.write_text(json.dumps(kinds | {"c3": "lab"}))
    works("score", path, "-m", "none", "--client-groups", table, "-o", tmp_path / "b.h5")
    ran = lomar("diff", tmp_path / "a.h5", tmp_path / "b.h5", "--json")
    assert ran.exit_code == 1, ran.stderr
    said = [one for one in json.loads(ran.stdout)["differences"] if one["about"] == "groups"]
    assert [(one["field"], one["a"], one["b"]) for one in said] == [("c3", "phone", "lab")]
    assert lomar("diff", tmp_path / "a.h5", tmp_path / "a.h5").exit_code == 0


def test_numbers_of_attackers_are_each_groups_own(mixed, tmp_path):
    path, table, _ = mixed
    given = ("score", path, "--client-groups", table, "-m", "krum", "--assume-malicious")
    refused(tmp_path, 2, ["--assume-malicious 6", "give a share"], *given, "6")
    works(*given, "10%")
    # What a method needs is said of the group that has it not.
    said = ["group '", "krum-foolsgold"]
    given = (
        "score",
        path,
        "--client-groups",
        table,
        "-m",
        "krum-foolsgold",
        "--assume-malicious",
        "45%",
    )
    ran = lomar(*given)
    if ran.exit_code:
        refused(tmp_path, ran.exit_code, said, *given)


def test_an_empty_group_is_none_in_python():
    updates = {f"c{i}": {"w": np.random.default_rng(i).normal(size=(3, 9))} for i in range(30)}
    kinds = {f"c{i}": "" if i < 15 else "a" for i in range(30)}
    scores = score_updates(updates, groups=kinds, method="none")
    assert scores.keep.all() and list(scores.columns["group"]) == list(kinds.values())
    for bad in ("\x1b[2J", "x" * 300, 3):
        with pytest.raises(UsageError, match=r"groups: .* is no name"):
            score_updates(updates, groups={"c1": bad})
    with pytest.raises(UsageError, match="groups: must name a group for each client"):
        score_updates(updates, groups=["a"] * 30)


def test_a_client_that_was_set_aside_is_compared_with_nobody(tmp_path):
    made = tensors(30, labels=3, features=8)
    made["fc.weight"][4] = np.nan
    path = write_round(tmp_path / "r.h5", made)
    table = tmp_path / "g.json"
    table.write_text(json.dumps({f"c{i}": "a" if i < 15 else "b" for i in range(30)}))
    found = json.loads(works("explain", path, "c4", "--client-groups", table, "--json").stdout)
    assert found["set_aside"] and found["group"] == "a" and found["group_clients"] is None
    assert not any("compared with all" in words for words in found["words"])
    assert any("compared with nobody" in words for words in found["words"])


def test_groups_are_read_before_the_round(mixed, tmp_path, monkeypatch):
    path, _, _ = mixed
    opened = []
    monkeypatch.setattr("lomar_cli.stages.score.open_rounds", lambda *a, **k: opened.append(a))
    refused(tmp_path, 3, ["no such file"], "score", path, "--client-groups", tmp_path / "none.csv")
    assert not opened
