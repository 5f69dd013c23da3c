"""Out and in again: exact to the bit, in every format and type."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from lomar_cli.errors import InputError
from lomar_cli.files.digests import client_digest
from lomar_cli.files.importers.base import from_bfloat16, to_bfloat16
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.round import open_round
from lomar_cli.stages.dump import Selection, dump
from lomar_cli.stages.dump_append import append
from lomar_cli.stages.export import export
from tests.files.names import names
from tests.making import change, replace, texts, write_base, write_round

FORMATS = ("npz", "safetensors", "pt")
BITS = {"f2": np.uint16, "f4": np.uint32, "f8": np.uint64}


def needs(kind):
    if kind == "pt":
        pytest.importorskip("torch", reason="torch files need the extra 'train'")


@st.composite
def rounds(draw):
    """Updates of any bits at all: NaN with any payload, infinities, denormals, minus zero."""
    clients = draw(st.integers(1, 4))
    made = {}
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        kind = draw(st.sampled_from(sorted(BITS)))
        shape = (clients, *draw(st.lists(st.integers(1, 3), max_size=3)))
        count = int(np.prod(shape))
        top = 2 ** (8 * np.dtype(kind).itemsize) - 1
        bits = draw(st.lists(st.integers(0, top), min_size=count, max_size=count))
        made[name] = np.array(bits, BITS[kind]).view(kind).reshape(shape)
    counts = draw(st.lists(st.integers(0, 2**50), min_size=clients, max_size=clients))
    return made, counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("round-trip")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("many", [True, False], ids=["one file", "a file a client"])
@settings(max_examples=12, deadline=None)
@given(made=rounds())
def test_a_round(kind, many, made, folder):
    needs(kind)
    tensors, counts = made
    if {"client_ids", "num_examples"} & set(tensors):
        return
    path = write_round(folder / "r.h5", tensors, num_examples=counts, output=None)
    out = folder / (f"r.{kind}" if many else f"clients-{kind}")
    export(path, out, kind, force=True, folder=not many)
    again = folder / "again.h5"
    # Whatever their names, all of them are scored: a round has to have something to score.
    scored = Selection(include=["*"])
    dump([out], again, differences=True, selection=scored, output_layer="none", force=True)
    with open_round(path) as one, open_round(again) as two:
        assert list(two.head.clients) == list(one.head.clients)
        assert two.head.num_examples.tolist() == counts
        assert list(two.head.shapes) == list(tensors)
        for name, tensor in tensors.items():
            back = np.asarray(two.updates.tensors[name][...])
            assert back.dtype == tensor.dtype
            assert back.tobytes() == tensor.tobytes()


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=12, deadline=None)
@given(made=st.dictionaries(names, st.sampled_from(sorted(BITS)), min_size=1, max_size=4))
def test_a_model(kind, made, folder):
    needs(kind)
    if "num_examples" in made or "client_ids" in made:
        return
    rng = np.random.default_rng(len(made))
    parameters = {name: rng.normal(size=(2, 3)).astype(d) for name, d in made.items()}
    write_base(folder / "m.h5", parameters)
    export(folder / "m.h5", folder / f"m.{kind}", force=True)
    found = read_parameters(folder / f"m.{kind}")
    assert list(found.arrays) == list(parameters)
    for name, values in parameters.items():
        assert found.arrays[name].dtype == values.dtype
        assert found.arrays[name].tobytes() == values.tobytes()


@settings(max_examples=300, deadline=None)
@given(bits=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20))
def test_every_bfloat16_survives(bits):
    found = from_bfloat16(np.array(bits, np.uint16))
    back = to_bfloat16(found)
    assert back.tolist() == bits


SENT = {
    "BF16": (2, 2**16 - 1), "F16": (2, 2**16 - 1), "F32": (4, 2**32 - 1), "F64": (8, 2**64 - 1),
    "BOOL": (1, 1), "U8": (1, 255), "I8": (1, 255), "U16": (2, 2**16 - 1), "I16": (2, 2**16 - 1),
    "U32": (4, 2**32 - 1), "I32": (4, 2**32 - 1), "U64": (8, 2**53 - 1), "I64": (8, 2**53 - 1),
}  # fmt: skip


@st.composite
def clients_files(draw):
    """Two clients' tensors as safetensors holds them: kind, shape, and any bits at all."""
    kinds = draw(st.lists(st.sampled_from(sorted(SENT)), min_size=1, max_size=4))
    made = []
    for _ in range(2):
        one = {}
        for number, kind in enumerate(kinds):
            size, top = SENT[kind]
            numbers = [draw(st.integers(0, top)) for _ in range(6)]
            raw = b"".join(value.to_bytes(size, "little") for value in numbers)
            one[f"p{number}"] = (kind, [2, 3], raw)
        made.append(one)
    return made


def as_safetensors(tensors):
    header, body = {}, b""
    for name, (kind, shape, raw) in tensors.items():
        place = [len(body), len(body) + len(raw)]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": place}
        body += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def by_their_own_reader(path, kind):
    """What safetensors' library, NumPy or torch finds: type, shape and bytes by name."""
    if kind == "safetensors":
        found = safetensors.deserialize(path.read_bytes())
        return {n: (one["dtype"], one["shape"], bytes(one["data"])) for n, one in found}
    names = {
        "bool": "BOOL", "bfloat16": "BF16",
        **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
        **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
        **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    }  # fmt: skip
    if kind == "npz":
        with np.load(path) as arrays:
            found = {n: arrays[n] for n in arrays.files if n != "num_examples"}
        return {n: (names[a.dtype.name], list(a.shape), a.tobytes()) for n, a in found.items()}
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    found = torch.load(path, weights_only=True)["updates"]
    return {
        n: (
            names[str(t.dtype).removeprefix("torch.")],
            list(t.shape),
            bytes(t.contiguous().view(torch.uint8).numpy().tobytes()),
        )
        for n, t in found.items()
    }


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=25, deadline=None)
@given(clients=clients_files())
def test_what_clients_sent_is_written_in_their_types(kind, clients, folder):
    needs(kind)
    place = folder / f"sent-{kind}"
    place.mkdir(exist_ok=True)
    for number, one in enumerate(clients):
        (place / f"c{number}.safetensors").write_bytes(as_safetensors(one))
    scored = Selection(include=["*"])
    options = {"differences": True, "selection": scored, "output_layer": "none", "force": True}
    dump([place], folder / "sent.h5", **options)
    export(folder / "sent.h5", folder / f"back-{kind}", kind, force=True, folder=True)
    for number, one in enumerate(clients):
        found = by_their_own_reader(folder / f"back-{kind}" / f"c{number}.{kind}", kind)
        for name, (sent, shape, raw) in one.items():
            if sent == "BF16" and kind == "npz":
                values = from_bfloat16(np.frombuffer(raw, np.uint16))
                assert found[name] == ("F32", shape, values.tobytes())
            else:
                assert found[name] == (sent, shape, raw)
    export(folder / "sent.h5", folder / f"one.{kind}", kind, force=True)
    dump([folder / f"one.{kind}"], folder / "again.h5", **options)
    with open_round(folder / "sent.h5") as first, open_round(folder / "again.h5") as second:
        for name, tensor in first.updates.tensors.items():
            assert (
                np.asarray(second.updates.tensors[name]).tobytes() == np.asarray(tensor).tobytes()
            )


def test_what_is_no_number_of_that_type_any_more_is_written_as_it_is(tmp_path):
    """Crafted updates of a round whose clients sent bfloat16 and whole numbers."""
    one = {"w": ("BF16", [2], b"\x80\x3f" * 2), "n": ("I64", [2], bytes(16))}
    for number in range(3):
        (tmp_path / f"c{number}.safetensors").write_bytes(as_safetensors(one))
    files = sorted(tmp_path.glob("c*"))
    dump(files, tmp_path / "r.h5", differences=True, output_layer="none")
    wanted = np.array([[1.0009765625, 1]] * 3, np.float32)

    def craft(handle):
        handle["updates/w"][...] = wanted
        tensors = {n: handle[f"updates/{n}"][...] for n in ("w", "n")}
        digests = [client_digest(tensors, row) for row in range(3)]
        replace(handle, "clients/sha256", texts(digests))

    change(tmp_path / "r.h5", craft)
    export(tmp_path / "r.h5", tmp_path / "out.safetensors")
    found = by_their_own_reader(tmp_path / "out.safetensors", "safetensors")
    assert found["w"] == ("F32", [3, 2], wanted.tobytes())
    assert found["n"][0] == "I64"


def test_a_late_client_of_another_type(tmp_path):
    one = {"w": ("BF16", [2], b"\x80\x3f" * 2)}
    (tmp_path / "a.safetensors").write_bytes(as_safetensors(one))
    (tmp_path / "b.safetensors").write_bytes(as_safetensors(one))
    late = {"w": ("F32", [2], bytes(8))}
    (tmp_path / "c.safetensors").write_bytes(as_safetensors(late))
    dump([tmp_path / "a.safetensors"], tmp_path / "r.h5", differences=True, output_layer="none")
    append([tmp_path / "b.safetensors"], tmp_path / "r.h5", differences=True)
    with pytest.raises(InputError, match=r"has type float32, r\.h5 has bfloat16"):
        append([tmp_path / "c.safetensors"], tmp_path / "r.h5", differences=True)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_bfloat16_is_rounded_as_torch_does(values):
    torch = pytest.importorskip("torch", reason="torch is the witness")
    made = np.array(values, np.float32)
    wanted = torch.from_numpy(made).to(torch.bfloat16).to(torch.float32).numpy()
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(made)), wanted)
