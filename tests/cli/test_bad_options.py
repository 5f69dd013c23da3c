"""Options that cannot be meant: exit 2, one line that names them, nothing written."""

from __future__ import annotations

import os

import pytest

from tests.commands import refused, works
from tests.making import LAYER, write_round, write_verdict

SMALL = ("--clients", "4", "--samples-per-client", "20")


@pytest.mark.parametrize(
    ("options", "mentions"),
    [
        (["digit"], ["digit", "'digits'"]),
        (["digits", "--scheme", "shard"], ["--scheme", "'shards'"]),
        (["digits", "--imbalance", "1.0"], ["--imbalance", "1.0"]),
        (["digits", "--imbalance", "-0.1"], ["--imbalance"]),
        (["digits", "--imbalance", "nan"], ["--imbalance"]),
        (["digits", "--imbalance", "0.99", "--samples-per-client", "1000"], ["--imbalance"]),
        (["digits", "--samples-per-client", "1439"], ["--samples-per-client", "1438"]),
        (["digits", "--samples-per-client", "0"], ["--samples-per-client"]),
        (["digits", "--clients", "0"], ["--clients"]),
        (["digits", "--clients", "-1"], ["--clients"]),
        (["digits", "--clients", "many"], ["--clients"]),
        (["digits", "--seed", "-1"], ["--seed"]),
        (["digits", "--scheme", "iid", "--imbalance", "0.5"], ["--imbalance", "iid"]),
        (["digits", "--alpha", "0.5"], ["--alpha", "paper"]),
        (["digits", "--scheme", "dirichlet", "--alpha", "0"], ["--alpha"]),
        (["digits", "--scheme", "dirichlet", "--alpha", "nan"], ["--alpha"]),
        (["digits", "--scheme", "dirichlet", "--alpha", "inf"], ["--alpha"]),
        (["digits", "--scheme", "dirichlet", "--alpha", "1e308"], ["--alpha"]),
        (["digits", "--scheme", "shards", "--shards", "0"], ["--shards"]),
        (["digits", "--scheme", "shards", "--shards", "101"], ["--shards", "100"]),
    ],
)
def test_partition(options, mentions, tmp_path):
    refused(tmp_path, 2, mentions, "partition", *options, "-o", tmp_path / "s.h5")


@pytest.mark.parametrize(
    ("options", "mentions"),
    [
        (["--flip", "1:10"], ["--flip", "1:10"]),
        (["--flip", "one:7"], ["--flip", "one"]),
        (["--flip", "1"], ["--flip", "SOURCE:TARGET"]),
        (["--flip", "1:"], ["--flip"]),
        (["--flip", "1:7:8"], ["--flip"]),
        (["--flip", "-1:7"], ["--flip"]),
        (["--flip", "7:7"], ["--flip", "7:7"]),
        (["--flip", "1:7", "--flip", "3:3"], ["--flip", "3:3"]),
        (["--malicious", "-1"], ["--malicious", "-1"]),
        (["--malicious", "abc"], ["--malicious", "abc"]),
        (["--malicious", "1.5"], ["--malicious", "1.5"]),
        (["--malicious", "%"], ["--malicious", "%"]),
        (["--malicious", "nan%"], ["--malicious", "nan%"]),
        (["--malicious", "1e12%"], ["--malicious", "1e12%"]),
        (["--convert", "200%"], ["--convert", "200%"]),
        (["--convert", "13"], ["--convert", "13"]),
        (["--convert", "-1"], ["--convert", "-1"]),
        (["--convert", "1", "--style", "mix"], ["--style", "mixed"]),
        (["--convert", "1", "--poison-fraction", "0"], ["--poison-fraction"]),
        (["--convert", "1", "--poison-fraction", "1.1"], ["--poison-fraction"]),
        (["--convert", "1", "--poison-fraction", "nan"], ["--poison-fraction"]),
    ],
)
def test_attack(options, mentions, split, tmp_path):
    more = [] if "--flip" in options else ["--flip", "1:7"]
    more += [] if {"--malicious", "--convert"} & set(options) else ["--malicious", "1"]
    words = ("attack", "label-flip", split.split, *options, *more)
    refused(tmp_path, 2, mentions, *words, "-o", tmp_path / "p.h5")


def test_pure_flippers_need_more_source_samples_than_there_are(tmp_path):
    size = ("--clients", 2, "--samples-per-client", 200)
    works("partition", "digits", *size, "-o", tmp_path / "s.h5")
    words = ("attack", "label-flip", tmp_path / "s.h5", "--flip", "1:7", "--malicious", "1")
    refused(tmp_path, 2, ["--malicious", "200", "'1'"], *words, "-o", tmp_path / "p.h5")


@pytest.mark.parametrize(
    ("options", "mentions"),
    [
        (["--model", "logistics"], ["--model", "'logistic'"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--local-steps", "0"], ["--local-steps"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--lr", "0"], ["--lr"]),
        (["--lr", "nan"], ["--lr"]),
        (["--lr", "inf"], ["--lr"]),
        (["--jobs", "0"], ["--jobs"]),
        (["--device", "abacus"], ["--device", "abacus"]),
    ],
)
def test_train(options, mentions, split, tmp_path):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    words = ("train", split.split, "--local-steps", "1", *options)
    refused(tmp_path, 2, mentions, *words, "-o", tmp_path / "r.h5")


@pytest.mark.parametrize(
    ("options", "mentions"),
    [
        (["--method", "lomarr"], ["--method", "'lomar'"]),
        (["--method", "none", "--bandwidth", "1x"], ["--bandwidth", "none"]),
        (["--method", "none", "-k", "5"], ["--neighbors", "none"]),
        # Options of the paper's method alone, given with the default.
        (["-k", "5"], ["--neighbors", "lomar-auto", "--method lomar "]),
        (["--bandwidth", "1x"], ["--bandwidth", "lomar-auto", "--method lomar "]),
        (["--kernel", "gaussian"], ["--kernel", "lomar-auto", "--method lomar "]),
        (["--epsilon", "auto"], ["--epsilon", "lomar-auto", "--method lomar "]),
        (["--neighbors-search", "exact"], ["--neighbors-search", "--method lomar "]),
        (["--views", "neer"], ["--views", "'near'"]),
        (["--views", ","], ["--views", "near, far"]),
        (["--method", "lomar", "--views", "near"], ["--views", "--method lomar-auto"]),
        (["--false-alarm", "0.5"], ["--false-alarm", "0.5"]),
        (["--false-alarm", "0"], ["--false-alarm"]),
        *[
            (["--method", "lomar", *options], mentions)
            for options, mentions in [
                (["-k", "0"], ["--neighbors"]),
                (["-k", "2n"], ["--neighbors"]),
                (["-k", "half"], ["--neighbors", "half"]),
                (["--bandwidth", "-1"], ["--bandwidth"]),
                (["--bandwidth", "nan"], ["--bandwidth"]),
                (["--kernel", "box"], ["--kernel", "laplace"]),
                (["--epsilon", "0"], ["--epsilon"]),
                (["--epsilon", "big"], ["--epsilon", "big"]),
                (["--false-alarm", "1"], ["--false-alarm"]),
            ]
        ],
        (["--layers", "conv*"], ["--layers", "conv*"]),
        (["--layers", "fc.bias"], ["--layers", "fc.weight"]),
        (["--layers", ","], ["--layers"]),
        (["--memory", "nonsense"], ["--memory", "nonsense"]),
        (["--memory", "-1G"], ["--memory"]),
        (["--memory", "nan"], ["--memory"]),
        (["--memory", "1e99"], ["--memory"]),
        (["--format", "csv"], ["--format", "-o"]),
        (["--format", "xml", "-o", "-"], ["--format", "xml"]),
        (["--format", "h5", "-o", "-"], ["--format", "h5"]),
        (["--json", "-o", "-"], ["--json"]),
        (["--jobs", "0"], ["--jobs"]),
    ],
)
@pytest.mark.parametrize("output_layer", [True, False])
def test_score(options, mentions, output_layer, tmp_path):
    path = write_round(tmp_path / "r.h5", output=LAYER if output_layer else None)
    if options == ["--layers", "fc.bias"] and not output_layer:
        mentions, options = ["--layers"], ["--layers", "fc.weights"]
    refused(tmp_path, 2, mentions, "score", path, *options)


@pytest.mark.parametrize("name", ["out.txt", "out", "out.h5.bak"])
def test_an_ending_that_names_no_format(name, round_file, tmp_path):
    refused(tmp_path, 2, [name, "--format"], "score", round_file, "-o", tmp_path / name)


def test_an_unknown_format(round_file, tmp_path):
    output = ("--format", "xml", "-o", tmp_path / "s.csv")
    refused(tmp_path, 2, ["--format", "xml"], "score", round_file, *output)


def test_an_unknown_rule(round_file, tmp_path):
    options = ("--rule", "fedavgg", "--from-zero", "-o", tmp_path / "m.h5")
    refused(tmp_path, 2, ["--rule", "'fedavg'"], "aggregate", round_file, *options)


def test_an_unknown_kind_of_list(tmp_path):
    refused(tmp_path, 2, ["'methods'"], "list", "method")


def test_an_unknown_command(tmp_path):
    refused(tmp_path, 2, ["scroe"], "scroe")


WRITING = {
    "partition": lambda f: ("partition", "digits", *SMALL),
    "score": lambda f: ("score", f.round, "--format", "csv"),
    "filter": lambda f: ("filter", f.round, "--scores", f.scores),
    "aggregate": lambda f: ("aggregate", f.round, "--scores", f.scores),
    "attack": lambda f: ("attack", "label-flip", f.split, "--flip", "1:7", "--malicious", "1"),
    "train": lambda f: ("train", f.split, "--local-steps", "1"),
    "evaluate": lambda f: ("evaluate", "--scores", f.scores, "--truth", f.truth),
    "export scores": lambda f: ("export", f.scores, "--format", "csv"),
    "export model": lambda f: ("export", f.model, "--format", "npz"),
    "export round": lambda f: ("export", f.round, "--format", "npz"),
}


@pytest.mark.parametrize("name", WRITING)
def test_an_output_that_is_a_folder(name, untrained, tmp_path):
    (tmp_path / "folder").mkdir()
    for force in ((), ("-f",)):
        words = (*WRITING[name](untrained), "-o", tmp_path / "folder", *force)
        refused(tmp_path, 2, ["folder"], *words)


@pytest.mark.parametrize("name", WRITING)
def test_an_output_in_no_folder(name, untrained, tmp_path):
    (tmp_path / "file").write_text("x")
    for parent in ("missing", "file"):
        output = tmp_path / parent / "out.x"
        refused(tmp_path, 2, [output], *WRITING[name](untrained), "-o", output)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("name", WRITING)
def test_an_output_in_a_folder_that_is_closed(name, untrained, tmp_path):
    if name == "train":
        pytest.importorskip("torch", reason="training needs the extra 'train'")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    refused(tmp_path, 1, [closed / "out.x"], *WRITING[name](untrained), "-o", closed / "out.x")


def test_a_name_too_long_for_a_file(round_file, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", round_file, ["c1"])
    for length in (250, 300):
        output = tmp_path / ("x" * length)
        words = ("filter", round_file, "--scores", verdict, "-o", output)
        refused(tmp_path, 1, ["xxx", "too long"], *words)
