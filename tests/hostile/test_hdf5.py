"""HDF5 is not inert: what could lead out of the file, or out of bounds, is refused with exit 3."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lomar_cli.files import h5_inert
from tests.commands import check_refused, lomar, process, refused
from tests.making import change, replace, write_base, write_round

PLUGIN = 32013  # ZFP, which h5py does not bring: reading it would look for plug-in code.


def external_link(handle):
    handle["updates/x"] = h5py.ExternalLink("other.h5", "/secret")


def soft_link(handle):
    handle["updates/x"] = h5py.SoftLink("/updates/fc.bias")


def dangling_link(handle):
    handle["clients/x"] = h5py.SoftLink("/nowhere")


def link_at_the_root(handle):
    handle["labels"] = h5py.SoftLink("/clients/id")


def linked_group(handle):
    handle.move("updates", "elsewhere")
    handle["updates"] = h5py.SoftLink("/elsewhere")


def cycle(handle):
    handle["updates/loop"] = handle["/"]


def own_parent(handle):
    handle["updates/loop"] = handle["updates"]


def nested_groups(handle):
    handle.create_dataset("updates/a/b/c", data=np.ones(3))


def nested_group(handle):
    handle.create_group("updates/a")


def named_type(handle):
    handle["updates/x"] = np.dtype("f4")


def virtual(handle):
    layout = h5py.VirtualLayout((8, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (8, 3))
    handle.create_virtual_dataset("updates/x", layout)


def external_storage(handle):
    outside = [("other.bin", 0, h5py.h5f.UNLIMITED)]
    handle.create_dataset("updates/x", (8, 3), "f4", external=outside)


def raw_dataset(handle, shape, chunk, filters=()):
    space = h5py.h5s.create_simple(shape)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk(chunk)
    for code, flag, options in filters:
        plan.set_filter(code, flag, options)
    made = h5py.h5d.create(handle["updates"].id, b"x", h5py.h5t.IEEE_F32LE, space, dcpl=plan)
    h5py.Dataset(made).attrs["position"] = 2


def unknown_filter(handle):
    raw_dataset(handle, (8, 3), (8, 3), [(PLUGIN, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))])


def lzf(handle):
    handle.create_dataset("updates/x", (8, 3), "f4", compression="lzf")


def scale_offset(handle):
    handle.create_dataset("updates/x", (8, 3), "f4", scaleoffset=2)


def petabytes(handle):
    raw_dataset(handle, (8, 2**50), (1, 2**10))


def more_than_a_word_counts(handle):
    raw_dataset(handle, (2**32, 2**32), (1, 2**10))


def many_attributes(handle):
    for number in range(100):
        handle["updates/fc.bias"].attrs[f"a{number}"] = number


def many_root_attributes(handle):
    for number in range(100):
        handle.attrs[f"a{number}"] = number


HOSTILE = {
    external_link: "/updates/x",
    soft_link: "/updates/x",
    dangling_link: "/clients/x",
    link_at_the_root: "/labels",
    linked_group: "/updates",
    cycle: "nested",
    own_parent: "nested",
    nested_groups: "/updates/a",
    nested_group: "/updates/a",
    named_type: "/updates/x",
    virtual: "/updates/x",
    external_storage: "/updates/x",
    unknown_filter: str(PLUGIN),
    lzf: "filter",
    scale_offset: "filter",
    petabytes: "/updates/x",
    more_than_a_word_counts: "/updates/x",
    many_attributes: "attributes",
    many_root_attributes: "attributes",
}


@pytest.mark.parametrize("attack", HOSTILE, ids=lambda attack: attack.__name__)
def test_hostile_structure(attack, round_file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones((8, 3), "f4")
    (tmp_path / "other.bin").write_bytes(bytes(1000))
    change(round_file, attack, seal=False)
    mention = HOSTILE[attack]
    refused(tmp_path, 3, ["round.h5", mention], "score", round_file)
    refused(tmp_path, 3, ["round.h5", mention], "info", round_file)
    export = ("export", round_file, "-o", tmp_path / "out.npz")
    refused(tmp_path, 3, ["round.h5", mention], *export)


def test_a_limit_that_can_be_raised_is_an_option_of_that_command(round_file):
    change(round_file, petabytes, seal=False)
    ran = lomar("score", round_file)
    if "--max-bytes" in ran.stderr:
        assert "--max-bytes" in lomar("score", "--help").stdout


def test_a_user_block_is_not_skipped(tmp_path):
    with h5py.File(tmp_path / "block.h5", "w", userblock_size=512) as handle:
        handle.attrs["format"] = "lomar/round"
    refused(tmp_path, 3, ["block.h5"], "score", tmp_path / "block.h5")


def test_objects_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(h5_inert, "MAX_OBJECTS", 20)
    path = write_round(tmp_path / "r.h5")

    def edit(handle):
        for number in range(30):
            handle.create_dataset(f"updates/{number}", data=np.ones(8, "f4"))

    change(path, edit, seal=False)
    refused(tmp_path, 3, ["r.h5", "20 objects"], "score", path)


def test_two_spellings_of_one_parameter(round_file, tmp_path):
    def edit(handle):
        made = handle.create_dataset("updates/fc%2Eweight", data=np.zeros((8, 3, 4), "f4"))
        made.attrs["position"] = 2

    change(round_file, edit)
    refused(tmp_path, 3, ["round.h5"], "score", round_file)


def test_two_parameters_in_one_place(tmp_path):
    path = write_base(tmp_path / "m.h5", {"a": np.ones(2), "b": np.ones(2)})
    change(path, lambda handle: handle["parameters/b"].attrs.__setitem__("position", 0))
    refused(tmp_path, 3, ["m.h5", "position"], "info", path)


@pytest.mark.parametrize("labels", [["a", "a", "b"], ["\x1b[31m", "c", "d"]])
def test_labels_that_cannot_name_columns(labels, tmp_path):
    path = write_round(tmp_path / "r.h5", labels=labels)
    refused(tmp_path, 3, ["r.h5", "labels"], "score", path)


@pytest.mark.parametrize("name", ["\x1b[31mw", "a\nb", "x" * 256])
def test_parameter_names_that_may_not_be_shown(name, tmp_path):
    path = write_round(tmp_path / "r.h5", {name: np.ones((3, 2), "f4")}, output=None)
    refused(tmp_path, 3, ["r.h5"], "score", path)


def on_the_heap(handle):
    handle.attrs["architecture"] = "logistic"


def names_on_the_heap(handle):
    replace(handle, "clients/id", ["a", *"bcdefgh"], dtype=h5py.string_dtype())


def provenance_on_the_heap(handle):
    replace(handle, "provenance", "[]")


def rows_on_the_heap(handle):
    handle.create_dataset("clients/x", (2,), h5py.vlen_dtype("i4"))


HEAP = [on_the_heap, names_on_the_heap, provenance_on_the_heap, rows_on_the_heap]


@pytest.mark.parametrize("edit", HEAP, ids=lambda edit: edit.__name__)
def test_a_variable_length_is_refused_before_it_is_read(edit, round_file, tmp_path):
    change(round_file, edit, seal=False)
    refused(tmp_path, 3, ["round.h5", "variable length"], "info", round_file)


@pytest.mark.parametrize("edit", HEAP[:3], ids=lambda edit: edit.__name__)
def test_a_string_heap_that_never_ends_does_not_hang(edit, tmp_path):
    """The size of a string on HDF5's global heap is damaged so that the library walks for ever."""
    path = write_round(tmp_path / "r.h5")
    change(path, edit, seal=False)
    content = bytearray(path.read_bytes())
    # Behind the heap's head of 16 bytes: 8 bytes of index and counts, then the first string's size.
    size = content.index(b"GCOL") + 16 + 8
    content[size : size + 8] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(content)
    check_refused(process("info", path, timeout=20), 3, "r.h5", "variable length")


def test_our_own_files_have_no_heap(pipeline_files):
    for path in pipeline_files:
        assert b"GCOL" not in path.read_bytes(), path.name


@pytest.fixture
def pipeline_files(untrained):
    return [untrained.split, untrained.poisoned, untrained.round, untrained.scores, untrained.model]
