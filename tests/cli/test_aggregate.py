"""``aggregate``: the average of eqs. 2 and 3, worked by hand, on the model it starts from."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lomar_cli.files.model import parameters_sha256, read_model
from lomar_cli.files.scores import read_scores
from tests.commands import refused, works
from tests.making import read_updates, tensors, write_base, write_round, write_verdict

# Three clients of 10, 20 and 30 samples send 1, 4 and 2 in place of every number.
SENT, SAMPLES = (1, 4, 2), [10, 20, 30]


@pytest.fixture
def three(tmp_path):
    sent = np.float32(SENT)
    made = {
        "fc.weight": np.broadcast_to(sent[:, None, None], (3, 2, 2)).copy(),
        "fc.bias": np.broadcast_to(sent[:, None], (3, 2)).copy(),
    }
    return write_round(tmp_path / "three.h5", made, num_examples=SAMPLES)


def average(path, *args, output):
    """The one number in every place of the aggregated update."""
    works("aggregate", path, "--from-zero", *args, "-f", "-o", output)
    parameters = read_model(output).parameters
    values = np.concatenate([array.ravel() for array in parameters.values()])
    assert (values == values[0]).all()
    return values[0]


def test_without_a_verdict_everybody_counts_by_samples(three, tmp_path):
    # (10 * 1 + 20 * 4 + 30 * 2) / 60
    assert average(three, output=tmp_path / "m.h5") == np.float32(150 / 60)


def test_renormalized_the_weight_of_removed_clients_is_shared_out(three, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", three, ["c1"])
    # (10 * 1 + 30 * 2) / 40
    found = average(three, "--scores", verdict, output=tmp_path / "m.h5")
    assert found == np.float32(70 / 40)
    assert found == average(three, "--scores", verdict, "--renormalize", output=tmp_path / "n.h5")


def test_not_renormalized_it_is_lost_as_eq_3_is_printed(three, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", three, ["c1"])
    # (10 * 1 + 30 * 2) / 60
    options = ("--scores", verdict, "--no-renormalize")
    assert average(three, *options, output=tmp_path / "m.h5") == np.float32(70 / 60)


def test_a_removed_client_may_hold_nan(tmp_path):
    made = tensors(3)
    made["fc.weight"][1] = np.nan
    path = write_round(tmp_path / "r.h5", made)
    works("score", path, "-o", tmp_path / "s.h5")
    works("aggregate", path, "--scores", tmp_path / "s.h5", "--from-zero", "-o", tmp_path / "m.h5")
    assert np.isfinite(read_model(tmp_path / "m.h5").parameters["fc.weight"]).all()


def test_a_client_that_is_not_finite_and_kept_is_named(tmp_path):
    made = tensors(3)
    made["fc.weight"][1, 0, 0] = np.inf
    path = write_round(tmp_path / "r.h5", made)
    refused(tmp_path, 1, ["c1"], "aggregate", path, "--from-zero", "-o", tmp_path / "m.h5")


def test_the_update_is_added_to_the_model(tmp_path):
    base = {name: array[0] for name, array in tensors(1, seed=5).items()}
    made = tensors(4)
    digest = parameters_sha256(base)
    path = write_round(tmp_path / "r.h5", made, base_sha256=digest, labels=["a", "b", "c"])
    model = write_base(tmp_path / "base.h5", base)
    ran = works("aggregate", path, "--model", model, "-o", tmp_path / "next.h5")
    found = read_model(tmp_path / "next.h5")
    for name, values in base.items():
        expected = values + made[name].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(found.parameters[name], expected, rtol=1e-6)
        assert found.parameters[name].dtype == np.float32
    assert list(found.labels) == ["a", "b", "c"]
    assert found.output.weight == "fc.weight"
    assert found.round_number == 1
    assert "4 of 4 clients used, rule fedavg" in ran.stderr
    assert "warning" not in ran.stderr


def test_the_models_of_the_pipeline_follow_from_the_round(pipeline):
    keep = read_scores(pipeline.scores).keep
    found = read_model(pipeline.model)
    assert found.architecture == "logistic"
    for name, updates in read_updates(pipeline.round).items():
        # All clients have as many samples, and training began at zero.
        expected = updates[keep].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(found.parameters[name], expected, rtol=1e-5, atol=1e-9)


def test_another_model_than_the_rounds_own_is_refused(tmp_path):
    base = {name: array[0] for name, array in tensors(1, seed=5).items()}
    path = write_round(tmp_path / "r.h5", base_sha256=parameters_sha256(base))
    other = {name: array + 1 for name, array in base.items()}
    model = write_base(tmp_path / "other.h5", other)
    output = ("-o", tmp_path / "next.h5")
    refused(tmp_path, 3, ["other.h5"], "aggregate", path, "--model", model, *output)
    few = write_base(tmp_path / "few.h5", {**base, "more": np.ones(2)})
    refused(tmp_path, 3, ["few.h5"], "aggregate", path, "--model", few, *output)


def test_the_model_must_be_given_unless_it_is_zero(tmp_path):
    path = write_round(tmp_path / "r.h5")
    refused(tmp_path, 2, ["r.h5", "--model"], "aggregate", path, "-o", tmp_path / "m.h5")
    both = ("--model", path, "--from-zero")
    refused(tmp_path, 2, ["--model"], "aggregate", path, *both, "-o", tmp_path / "m.h5")


def test_a_round_that_names_no_model_is_averaged_with_a_warning(tmp_path):
    base = {name: array[0] for name, array in tensors(1, seed=5).items()}
    path = write_round(tmp_path / "r.h5")
    model = write_base(tmp_path / "base.h5", base)
    ran = works("aggregate", path, "--model", model, "-o", tmp_path / "m.h5", "-q")
    assert ran.stderr.startswith("lomar: warning: ")
    assert "--model" in ran.stderr


def test_clients_without_samples_do_not_count(tmp_path):
    made = tensors(3)
    path = write_round(tmp_path / "r.h5", made, num_examples=[0, 10, 10])
    ran = works("aggregate", path, "--from-zero", "-o", tmp_path / "m.h5")
    found = read_model(tmp_path / "m.h5").parameters["fc.bias"]
    np.testing.assert_allclose(found, made["fc.bias"][1:].mean(axis=0), rtol=1e-6)
    assert "2 of 3 clients used" in ran.stderr


def test_nobody_left_is_an_error(three, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", three, ["c0", "c1", "c2"])
    options = ("--scores", verdict, "--from-zero", "-o", tmp_path / "m.h5")
    refused(tmp_path, 1, ["no client"], "aggregate", three, *options)


def test_streaming_gives_the_same_model(pipeline, tmp_path):
    scored = ("--scores", pipeline.scores, "--memory", "1")
    works("aggregate", pipeline.round, *scored, "-o", tmp_path / "m.h5")
    assert (tmp_path / "m.h5").read_bytes() == pipeline.model.read_bytes()


def test_a_model_beyond_the_type_is_refused_in_one_line(tmp_path):
    made = {"fc.weight": np.full((2, 2, 2), 3e38, np.float32), "fc.bias": np.ones((2, 2), "f4")}
    base = {name: array[0] for name, array in made.items()}
    path = write_round(tmp_path / "r.h5", made, base_sha256=parameters_sha256(base))
    model = write_base(tmp_path / "base.h5", base)
    options = ("--model", model, "-o", tmp_path / "m.h5")
    refused(tmp_path, 1, ["fc.weight", "not finite"], "aggregate", path, *options)


def test_a_start_model_in_groups_of_another_program(tmp_path):
    """As Keras saves it: HDF5, but no file of ours."""
    made = {f"fc/{n.partition('.')[2]}": array for n, array in tensors(3).items()}
    base = {name: array[0] for name, array in made.items()}
    with h5py.File(tmp_path / "base.h5", "w") as handle:
        for name, array in base.items():
            handle[name] = array
    path = write_round(tmp_path / "r.h5", made, output=None)
    works("aggregate", path, "--model", tmp_path / "base.h5", "-o", tmp_path / "next.npz")
    with np.load(tmp_path / "next.npz") as found:
        for name, array in base.items():
            wanted = array + made[name].mean(axis=0)
            np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)
