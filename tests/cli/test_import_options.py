"""Foreign files by the command line: buffers, counts, names, types, direction, and back again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lomar_cli import score_updates
from lomar_cli.files.importers.base import to_bfloat16
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.importers.safetensors import write
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from lomar_cli.stages.score import score
from tests.commands import lomar, refused, works
from tests.making import tensors, write_client

COUNT = 8


@pytest.fixture
def clients(tmp_path):
    """Eight clients in safetensors with a running statistic and a counter, and their start."""
    made = tensors(COUNT, features=5)
    start = {name: np.full(array.shape[1:], 2, np.float32) for name, array in made.items()}
    start |= {"norm.running_var": np.ones(3, np.float32), "norm.num_batches_tracked": np.int64(5)}
    save_file({n: np.asarray(a) for n, a in start.items()}, tmp_path / "start.safetensors")
    (tmp_path / "clients").mkdir()
    for row in range(COUNT):
        one = {n: start[n] + a[row] / 50 for n, a in made.items()}
        one["norm.running_var"] = np.full(3, 1 + 10.0**row, np.float32)
        one["norm.num_batches_tracked"] = np.array(6 + row, np.int64)
        save_file(one, tmp_path / "clients" / f"c{row}.safetensors")
    return tmp_path / "clients", tmp_path / "start.safetensors", made


def read(path):
    with open_round(path) as found:
        return found.head, {n: np.asarray(t[...]) for n, t in found.updates.tensors.items()}


def test_buffers_are_kept_but_change_no_score(clients, tmp_path):
    folder, start, _ = clients
    ran = works("dump", folder, "--base-model", start, "-o", tmp_path / "r.h5")
    assert "not scored: norm.num_batches_tracked, norm.running_var" in ran.stderr
    head, updates = read(tmp_path / "r.h5")
    assert head.buffers == {"norm.running_var", "norm.num_batches_tracked"}
    assert updates["norm.num_batches_tracked"].tolist() == list(range(1, 9))
    layers = ("--layers", "fc.*")
    works("dump", folder, "--base-model", start, *layers, "-o", tmp_path / "fc.h5")
    for method in ("lomar", "krum", "flame", "lof", "foolsgold"):
        whole = score(tmp_path / "r.h5", name=method)
        without = score(tmp_path / "fc.h5", name=method)
        np.testing.assert_array_equal(whole.suspicion, without.suspicion)
    included = ("--include", "norm.running_var")
    works("dump", folder, "--base-model", start, *included, "-o", tmp_path / "all.h5")
    assert (score(tmp_path / "all.h5", name="krum").suspicion != whole.suspicion).any()


def test_a_buffer_that_is_not_finite_flags_its_client(clients, tmp_path):
    folder, start, _ = clients
    one = load_file(folder / "c3.safetensors")
    one["norm.running_var"][0] = np.nan
    save_file(one, folder / "c3.safetensors")
    works("dump", folder, "--base-model", start, "-o", tmp_path / "r.h5")
    found = score(tmp_path / "r.h5")
    assert not found.keep[3]
    assert "NaN" in found.columns["reason"][3]


@pytest.mark.parametrize("rule", ["fedavg", "krum", "geometric-median", "median"])
def test_rules_choose_by_the_scored_parameters_and_average_all(rule, clients, tmp_path):
    folder, start, _ = clients
    base = ("--base-model", start)
    works("dump", folder, *base, "-o", tmp_path / "r.h5")
    works("dump", folder, *base, "--layers", "fc.*", "-o", tmp_path / "fc.h5")
    works("aggregate", tmp_path / "r.h5", "--rule", rule, "--from-zero", "-o", tmp_path / "a.npz")
    works("aggregate", tmp_path / "fc.h5", "--rule", rule, "--from-zero", "-o", tmp_path / "b.npz")
    whole, without = (read_parameters(tmp_path / f"{n}.npz").arrays for n in "ab")
    for name, values in without.items():
        np.testing.assert_array_equal(whole[name], values)
    assert whole["norm.running_var"].min() >= 1


@pytest.mark.parametrize("ending", ["safetensors", "npz", "pt"])
def test_the_next_model_has_the_types_of_the_first(ending, clients, tmp_path):
    if ending == "pt":
        pytest.importorskip("torch", reason="torch files need the extra 'train'")
    folder, start, made = clients
    works("dump", folder, "--base-model", start, "-o", tmp_path / "r.h5")
    after = tmp_path / f"next.{ending}"
    works("aggregate", tmp_path / "r.h5", "--model", start, "-o", after)
    before, found = read_parameters(start), read_parameters(after)
    assert found.types == before.types
    assert found.arrays["norm.num_batches_tracked"].shape == ()
    assert found.arrays["norm.num_batches_tracked"] == 10  # 5 + mean(1 ... 8) = 9.5, ties to even
    wanted = 2 + made["fc.weight"].mean(axis=0) / 50
    np.testing.assert_allclose(found.arrays["fc.weight"], wanted, rtol=1e-5)
    again = ("--base-model", after, "--round", 2, "-o", tmp_path / "r2.h5")
    works("dump", folder, *again)


def test_half_precision_is_subtracted_in_float32(tmp_path):
    values = np.linspace(0.1, 0.9, 6, dtype=np.float32).reshape(2, 3)
    start, after = to_bfloat16(values), to_bfloat16(values * np.float32(1.7))
    for name, bits in {"start": start, "c": after}.items():
        with (tmp_path / name).open("wb") as stream:
            write(stream, {"fc.weight": bits.view("V2")})
    works("dump", tmp_path / "c", "--base-model", tmp_path / "start", "-o", tmp_path / "r.h5")
    _, updates = read(tmp_path / "r.h5")
    wide = [(bits.astype(np.uint32) << 16).view(np.float32) for bits in (after, start)]
    np.testing.assert_array_equal(updates["fc.weight"][0], wide[0] - wide[1])
    works(
        "aggregate",
        tmp_path / "r.h5",
        "--model",
        tmp_path / "start",
        "-o",
        tmp_path / "n.safetensors",
    )
    assert read_parameters(tmp_path / "n.safetensors").types == {"fc.weight": "bfloat16"}
    np.testing.assert_array_equal(
        read_parameters(tmp_path / "n.safetensors").arrays["fc.weight"], wide[0]
    )


def test_clients_of_different_types_are_named(tmp_path):
    one = {"fc.weight": np.ones((2, 3), np.float32)}
    save_file(one, tmp_path / "a")
    with (tmp_path / "b").open("wb") as stream:
        write(stream, {"fc.weight": to_bfloat16(one["fc.weight"]).view("V2")})
    mentions = ["b: fc.weight", "bfloat16", "a has float32"]
    files = (tmp_path / "a", tmp_path / "b")
    refused(tmp_path, 3, mentions, "dump", *files, "--differences", "-o", tmp_path / "r.h5")


COUNTS = {
    "w.csv": "client,num_examples\na,3\nb,4\n",
    "object.json": '{"a": 3, "b": 4}',
    "list.json": '{"round_number": 6, "clients": [{"client": "b", "num_examples": 4},'
    ' {"client": "a", "num_examples": 3}]}',
    "map.json": '{"round_number": 6, "clients": {"a": 3, "b": 4}}',
    "clients": '{"clients": 3, "a": 3, "b": 4}',
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_beside_the_files(name, tmp_path):
    for client in "ab":
        write_client(tmp_path / f"{client}.npz", {"fc.weight": np.ones((2, 3)), "num_examples": 9})
    (tmp_path / name).write_text(COUNTS[name])
    files = (tmp_path / "a.npz", tmp_path / "b.npz", "--differences")
    works("dump", *files, "--weights", tmp_path / name, "-o", tmp_path / "r.h5")
    head, _ = read(tmp_path / "r.h5")
    assert head.num_examples.tolist() == [3, 4]
    assert head.round_number == (6 if "round_number" in COUNTS[name] else 1)
    works("dump", *files, "-o", tmp_path / "r.h5", "-f")
    assert read(tmp_path / "r.h5")[0].num_examples.tolist() == [9, 9]


@pytest.mark.parametrize(
    "text",
    ["{", '{"a": -1}', '{"a": 1.5}', '{"a": true}', '{"a": 1, "a": "x"}', "{}", '{"clients": []}',
     '{"clients": [3]}', '{"clients": {"a": 1}, "round_number": -1}', '{"a":' + "[" * 10**5],
)  # fmt: skip
def test_counts_that_are_none(text, tmp_path):
    write_client(tmp_path / "a.npz", {"fc.weight": np.ones((2, 3))})
    (tmp_path / "w.json").write_text(text)
    options = ("--differences", "--weights", tmp_path / "w.json", "-o", tmp_path / "r.h5")
    refused(tmp_path, 3, ["w.json"], "dump", tmp_path / "a.npz", *options)


def test_a_count_that_only_some_files_have(tmp_path):
    one = {"fc.weight": np.ones((2, 3))}
    files = [
        write_client(tmp_path / "a.npz", {**one, "num_examples": 3}),
        write_client(tmp_path / "b.npz", one),
    ]
    ran = ("dump", *files, "--differences", "-o", tmp_path / "r.h5")
    refused(tmp_path, 3, ["'b'", "--weights"], *ran)


def test_a_client_is_named_by_a_pattern(tmp_path):
    for site in ("x", "y"):
        (tmp_path / f"site-{site}").mkdir()
        write_client(tmp_path / f"site-{site}" / "model.npz", {"fc.weight": np.ones((2, 3))})
    files = (*sorted(tmp_path.glob("*/model.npz")), "--differences", "-o", tmp_path / "r.h5")
    refused(tmp_path, 3, ["--client-pattern"], "dump", *files)
    works("dump", *files, "--client-pattern", r"site-(\w)/")
    assert list(read(tmp_path / "r.h5")[0].clients) == ["x", "y"]
    works("dump", *files, "-f", "--client-pattern", "site-.")
    assert list(read(tmp_path / "r.h5")[0].clients) == ["site-x", "site-y"]
    for wrong in ("(", "nowhere"):
        ran = lomar("dump", *files, "-f", "--client-pattern", wrong)
        assert ran.exit_code == 2
        assert "--client-pattern" in ran.stderr


def test_the_direction_is_checked(clients, tmp_path):
    folder, start, _ = clients
    ran = works("dump", folder, "--differences", "-o", tmp_path / "r.h5")
    assert "look like trained parameters" in ran.stderr
    ran = works("dump", folder, "--base-model", start, "-o", tmp_path / "r.h5", "-f")
    assert "look like" not in ran.stderr
    works("export", tmp_path / "r.h5", "--folder", "--format", "safetensors", "-o", tmp_path / "d")
    for path in (tmp_path / "d").iterdir():
        one = load_file(path)
        one["norm.num_batches_tracked"] = one["norm.num_batches_tracked"].astype(np.int64)
        save_file(one, path)
    ran = works("dump", tmp_path / "d", "--differences", "-o", tmp_path / "r.h5", "-f")
    assert "look like" not in ran.stderr
    fc = ("--layers", "fc.*")
    ran = works("dump", tmp_path / "d", "--base-model", start, *fc, "-o", tmp_path / "x.h5")
    assert "look like differences" in ran.stderr


LAYERS = {
    "a chain": ({"a.weight": (8, 5), "b.weight": (3, 8)}, "b.weight", 0),
    "a chain in Keras": ({"a/kernel": (5, 8), "b/kernel": (8, 3)}, "b/kernel", 1),
    "a chain without names": ({"0": (8, 5), "1": (8,), "2": (3, 8), "3": (3,)}, "2", 0),
    "by name": ({"rnn.weight": (8, 5), "rnn.hidden": (8, 2), "fc.weight": (3, 2)}, "fc.weight", 0),
    "two ends": ({"a.weight": (4, 5), "b.weight": (3, 5)}, None, 0),
    "a ring": ({"a.weight": (4, 5), "b.weight": (5, 4)}, None, 0),
    "an embedding": ({"embed.weight": (90, 5), "x.weight": (3, 5)}, "x.weight", 0),
    "a name against the chain": ({"fc.weight": (8, 5), "x.weight": (3, 8)}, None, 0),
}


@pytest.mark.parametrize("what", LAYERS)
def test_the_output_layer_is_found_where_it_is_unambiguous(what, tmp_path):
    shapes, wanted, axis = LAYERS[what]
    rng = np.random.default_rng(0)
    path = write_client(tmp_path / "c.npz", {n: rng.normal(size=s) for n, s in shapes.items()})
    ran = lomar("dump", path, "--differences", "-o", tmp_path / "r.h5")
    if wanted is None:
        assert ran.exit_code == 2
        assert all(name in ran.stderr for name in shapes)
        works("dump", path, "--differences", "--output-layer", "none", "-o", tmp_path / "r.h5")
        found = json.loads(works("info", tmp_path / "r.h5", "--layers", "--json").stdout)
        assert set(found["output_candidates"]) == set(shapes)
        return
    output = read(tmp_path / "r.h5")[0].output
    assert (output.weight, output.label_axis) == (wanted, axis)
    assert "likely" in works("info", tmp_path / "r.h5", "--layers").stdout


def test_layers_are_for_what_has_some(untrained, tmp_path):
    refused(tmp_path, 2, ["--layers"], "info", untrained.split, "--layers")
    refused(tmp_path, 2, ["--layers"], "info", untrained.truth, "--layers")


def test_score_updates_is_the_command(clients, tmp_path):
    folder, start, _ = clients
    works("dump", folder, "--base-model", start, "-o", tmp_path / "r.h5")
    base = load_file(start)
    updates = {path.stem: load_file(path) for path in sorted(folder.iterdir())}
    for method in ("lomar", "krum", "isolation-forest"):
        works("score", tmp_path / "r.h5", "--method", method, "-o", tmp_path / "s.h5", "-f")
        command = read_scores(tmp_path / "s.h5")
        found = score_updates(updates, base_model=base, method=method)
        assert found.clients == command.clients
        assert {n: list(v) for n, v in found.columns.items()} == {
            n: list(v) for n, v in command.columns.items()
        }
        assert (found.threshold, found.options) == (command.threshold, command.options)


def test_scores_as_parquet(untrained, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="parquet needs pyarrow")
    works("export", untrained.scores, "-o", tmp_path / "s.parquet")
    found = parquet.read_table(tmp_path / "s.parquet").to_pydict()
    wanted = read_scores(untrained.scores)
    assert found["suspicion"] == list(wanted.columns["suspicion"])
    assert found["client"] == wanted.clients
    assert set(found["round_sha256"]) == {wanted.round_sha256}
