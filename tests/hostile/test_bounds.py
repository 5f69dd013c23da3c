"""Hostile files cost little: 5 s of CPU and 200 MB more than a good file, exit 3, nothing written.

Measured on processes of their own, as ``lomar validate`` and the commands that use such files.
"""

from __future__ import annotations

import json
import sys
import zipfile

import h5py
import numpy as np
import pytest

from tests.commands import check_refused, contents
from tests.hostile.measured import MEMORY, SECONDS, measured
from tests.making import change, replace, texts, write_json, write_round

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
HEAD = "client,suspicion,keep\n"


def raw(handle, name, shape, chunk, kind=h5py.h5t.IEEE_F32LE, gzip=False):
    """A data set of any declared shape, nothing of it written."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk(chunk)
    if gzip:
        plan.set_deflate(9)
    if name in handle:
        del handle[name]
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(handle.id, name.encode(), kind, space, dcpl=plan))


def petabytes(handle):
    raw(handle, "updates/x", (8, 2**50), (1, 2**10))


def a_million_attributes(handle):
    # As many as are quickly made; the count alone is looked at, and that is in the header.
    for number in range(5000):
        handle["updates"].attrs[f"a{number}"] = number


def many_objects(handle):
    group = handle["clients"]
    for number in range(5000):
        group.create_group(f"g{number}").create_group("deeper")


def compressed_bomb(handle):
    """A gigabyte of zeros in a megabyte: more strings than are read."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(2**20)
    kind.set_cset(h5py.h5t.CSET_UTF8)
    made = raw(handle, "clients/id", (1000,), (8,), kind, gzip=True)
    for start in range(0, 1000, 8):
        made[start : start + 8] = np.array([b"x" * 2**20], made.dtype)


def compressed_numbers(handle):
    """A gigabyte of counts in a megabyte, for eight clients."""
    replace(handle, "clients/num_examples", np.zeros(1), dtype="i8")
    made = raw(handle, "clients/num_examples", (2**27,), (2**20,), h5py.h5t.STD_I64LE, gzip=True)
    for start in range(0, 2**27, 2**20):
        made[start : start + 2**20] = np.zeros(2**20, "i8")


def one_giant_chunk(handle):
    del handle["clients/num_examples"]
    handle.create_dataset(
        "clients/num_examples", data=np.zeros(2**25), chunks=(2**25,), compression="gzip"
    )


def one_long_name(handle):
    replace(handle, "clients/id", texts(["a" * 2**20, *"bcdefgh"]))


def deep_provenance(handle):
    del handle["provenance"]
    handle["provenance"] = texts(["[" * 10**5])[0]


HDF5 = {
    petabytes: "declares more",
    a_million_attributes: "attributes",
    many_objects: "nested",
    compressed_bomb: "more than 200 times its size",
    compressed_numbers: "more than 200 times its size",
    one_giant_chunk: "chunks",
    one_long_name: "longer than 255",
    deep_provenance: "provenance",
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """What a good file costs."""
    folder = tmp_path_factory.mktemp("usual")
    path = write_round(folder / "good.h5")
    cost = measured(folder, "info", path)
    assert cost.ran.exit_code == 0
    return cost


def check_cheap(cost, usual):
    assert cost.seconds < SECONDS
    assert cost.memory - usual.memory < MEMORY


@pytest.mark.parametrize("edit", HDF5, ids=lambda edit: edit.__name__)
def test_hdf5(edit, usual, round_file, tmp_path, tmp_path_factory):
    change(round_file, edit, seal=False)
    before = contents(tmp_path)
    aside = tmp_path_factory.mktemp("aside")
    cost = measured(aside, "score", round_file, "-o", tmp_path / "out.h5")
    check_refused(cost.ran, 3, "round.h5", HDF5[edit])
    assert contents(tmp_path) == before
    check_cheap(cost, usual)


def test_client_files_of_many_small_parts(usual, tmp_path, tmp_path_factory):
    with h5py.File(tmp_path / "groups.h5", "w") as handle:
        for number in range(20_001):
            handle.create_group(f"g{number}")
    with zipfile.ZipFile(tmp_path / "nothing.pt", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02](" + b"N" * 15_000_000 + b"e.")
    before = contents(tmp_path)
    for name, mention in {"groups.h5": "20,000 objects", "nothing.pt": "opcodes"}.items():
        aside = tmp_path_factory.mktemp("aside")
        dumped = ("dump", tmp_path / name, "--differences", "-o", tmp_path / "out.h5")
        cost = measured(aside, *dumped)
        check_refused(cost.ran, 3, name, mention)
        assert contents(tmp_path) == before
        check_cheap(cost, usual)


TABLES = {
    "a line of 10 MB": HEAD + "a" * 10**7 + ",1,true\n",
    "a head of 10 MB": "a" * 10**7,
    "a quoted field of 10 MB": HEAD + '"' + "a\n" * (5 * 10**6) + '",1,true\n',
    "ten million commas": HEAD + "," * 10**6 + "\n",
    "a zero byte": HEAD + "a\0b,1,true\n",
    "nothing but zero bytes": "\0" * 10**6,
    "a number of a million digits": HEAD + "a," + "9" * 10**5 + "e999999,true\n",
    "JSON 10^5 deep": "[" * 10**5,
    "JSON objects 10^5 deep": '{"clients":' * 10**5,
    "JSON deep within": '{"schema_version":1,"clients":' + "[" * 10**5 + "]" * 10**5 + "}",
    "JSON, a number of a million digits": '{"schema_version":' + "9" * 10**6 + "}",
    "JSON, half a character": '{"clients": "\\ud800',
}


@pytest.mark.parametrize("what", TABLES)
def test_tables(what, usual, round_file, tmp_path, tmp_path_factory):
    (tmp_path / "s.csv").write_text(TABLES[what])
    before = contents(tmp_path)
    aside = tmp_path_factory.mktemp("aside")
    scored = ("--scores", tmp_path / "s.csv", "-o", tmp_path / "out.h5")
    cost = measured(aside, "filter", round_file, *scored)
    check_refused(cost.ran, 3, "s.csv")
    assert contents(tmp_path) == before
    check_cheap(cost, usual)


TRUTHS = {
    "JSON 10^5 deep": "[" * 10**5,
    "deep within": '{"malicious":' + "[" * 10**5 + "]" * 10**5 + "}",
    "a number of a million digits": '{"malicious":' + "9" * 10**6 + "}",
    "a string of 10 MB": json.dumps({"malicious": "a" * 10**7}),
    "a name of 10 MB": json.dumps({"malicious": ["a" * 10**7]}),
    "no end": '{"malicious": ["' + "a" * 10**7,
    "not a number": '{"malicious": [], "x": NaN}',
}


@pytest.mark.parametrize("what", TRUTHS)
def test_truths(what, usual, tmp_path, tmp_path_factory):
    (tmp_path / "s.csv").write_text(HEAD + "a,1,true\nb,2,false\n")
    (tmp_path / "t.json").write_text(TRUTHS[what])
    before = contents(tmp_path)
    aside = tmp_path_factory.mktemp("aside")
    both = ("--scores", tmp_path / "s.csv", "--truth", tmp_path / "t.json")
    cost = measured(aside, "evaluate", *both, "-o", tmp_path / "m.json")
    check_refused(cost.ran, 3, "t.json")
    assert contents(tmp_path) == before
    check_cheap(cost, usual)


def test_a_name_in_many_keys_is_shown_cut(tmp_path):
    """An error names what is wrong, not all of it."""
    path = write_json(tmp_path / "t.json", {"malicious": ["b" * 10**6]})
    (tmp_path / "s.csv").write_text(HEAD + "a,1,true\nb,2,false\n")
    cost = measured(tmp_path, "evaluate", "--scores", tmp_path / "s.csv", "--truth", path)
    assert len(cost.ran.stderr) < 1000


def test_few_bytes_ask_for_no_more_cells_than_they_hold(usual, tmp_path, tmp_path_factory):
    """10^4 columns in the first row and 10^4 empty rows: 10^8 cells, were they made."""
    wide = json.dumps({"client": "a", "suspicion": 1, "keep": True} | dict.fromkeys(range(10**4)))
    text = '{"schema_version": 1, "clients": [' + wide + ",{}" * 10**4 + "]}"
    (tmp_path / "s.json").write_text(text)
    cost = measured(tmp_path_factory.mktemp("aside"), "export", tmp_path / "s.json", "-o", "s.csv")
    check_refused(cost.ran, 3, "s.json", "other fields")
    check_cheap(cost, usual)


def test_many_columns_of_which_the_last_is_there_twice(usual, tmp_path, tmp_path_factory):
    names = [f"x{number}" for number in range(90_000)]
    (tmp_path / "s.csv").write_text(",".join(["client", "suspicion", "keep", *names, "x89999"]))
    cost = measured(tmp_path_factory.mktemp("aside"), "info", tmp_path / "s.csv")
    check_refused(cost.ran, 3, "s.csv", "x89999", "twice")
    check_cheap(cost, usual)


@pytest.mark.parametrize(("name", "megabytes"), [("s.csv", 65), ("s.json", 33), ("t.json", 33)])
def test_text_that_is_larger_than_any_table(name, megabytes, usual, tmp_path, tmp_path_factory):
    with (tmp_path / name).open("wb") as stream:
        stream.write(b'{"malicious": [' if name == "t.json" else b"client" if "c" in name else b"{")
        stream.truncate(megabytes * 2**20)
    cost = measured(tmp_path_factory.mktemp("aside"), "info", tmp_path / name)
    check_refused(cost.ran, 3, name, "larger than")
    check_cheap(cost, usual)
