"""Torch files made by hand, and what is wrong with them."""

from __future__ import annotations

import struct
import zipfile


def torch_zip(path, pickled, records=(), **more):
    with zipfile.ZipFile(path, "w", **more) as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/version", b"3\n")
        for name, content in records:
            archive.writestr(f"x/{name}", content)
    return path


def state(
    numel=b"K\x02",
    record="0",
    rebuild=b"torch._utils\n_rebuild_tensor_v2",
    place=b"K\x00K\x02\x85K\x01\x85",
    more=b"",
    metadata=b"",
):
    """The pickle of {"w": a vector of two}, as torch writes it, with lies where asked.

    ``place`` are the opcodes of offset, shape and strides, ``metadata`` of what else torch is told
    of the vector, ``more`` those after it is set.
    """
    key = record.encode()
    return (
        b"\x80\x02}X\x01\x00\x00\x00wc" + rebuild + b"\n((X\x07\x00\x00\x00storagectorch\n"
        b"FloatStorage\nX" + struct.pack("<I", len(key)) + key + b"X\x03\x00\x00\x00cpu"
        + numel + b"tQ" + place + b"\x89ccollections\nOrderedDict\n)R" + metadata + b"tRs"
        + more + b"."
    )  # fmt: skip


def _number(value):
    """The opcode of a long number."""
    content = value.to_bytes(9, "little")
    return b"\x8a" + bytes([len(content)]) + content


def _word(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


RECORD = [("data/0", bytes(8))]
TORCH = {
    "code": (state(rebuild=b"builtins\nexec"), RECORD, "builtins exec"),
    "code of torch": (state(rebuild=b"torch.hub\nload"), RECORD, "torch.hub load"),
    "a length that lies": (state(b"J\x00\x00\x00\x40"), RECORD, "declares"),
    "a length that is negative": (state(b"J\xff\xff\xff\xff"), RECORD, "declares"),
    "a record that is not there": (state(record="7"), RECORD, "declares"),
    "a record elsewhere": (state(record="../data/0"), RECORD, "declares"),
    "a stack global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", RECORD, "opcode"),
    "an old instance": (b"(S'id'\nios\nsystem\n.", RECORD, "opcode"),
    "nothing": (b"", RECORD, "data.pkl"),
    "cut": (state()[:30], RECORD, "data.pkl"),
    "TorchScript": (state(), [*RECORD, ("code/net.py", b"import os")], "TorchScript"),
    "big-endian": (state(), [*RECORD, ("byteorder", b"big")], "byteorder"),
    "an endless text": (b"\x80\x02X\xff\xff\xff\x7f.", RECORD, "data.pkl"),
    # torch's own unpickler ends the process where Python works out the hash of this.
    "tuples nested as a key": (state(more=b")" + b"\x85" * 700_000 + b"Ns"), RECORD, "key"),
    "keys of one hash": (
        state(more=b"(" + b"".join(_number(n * (2**61 - 1)) + b"N" for n in range(1, 2002)) + b"u"),
        RECORD,
        "key",
    ),
    "a key of many": (state(more=b"(" + b"N" * 9 + b"tNs"), RECORD, "key"),
    "a key within a key": (state(more=b")\x85Ns"), RECORD, "key"),
    "beyond its storage": (state(place=b"K\x01K\x02\x85K\x01\x85"), RECORD, "beyond"),
    "steps beyond its storage": (state(place=b"K\x00K\x02\x85K\x07\x85"), RECORD, "beyond"),
    "before its storage": (
        state(place=b"J\xff\xff\xff\xffK\x01\x85K\x01\x85"),
        RECORD,
        "whole",
    ),
    "a shape of truth values": (state(place=b"K\x00\x88\x85K\x01\x85"), RECORD, "whole"),
    "a shape of texts": (
        state(place=b"K\x00X\x01\x00\x00\x002\x85K\x01\x85"),
        RECORD,
        "whole",
    ),
    "a shape of 2^40": (
        state(place=b"K\x00" + _number(2**40) + b"\x85K\x00\x85"),
        RECORD,
        "contiguous",
    ),
    "a second pickle": (
        state(),
        [("DATA.PKL", state().replace(b"\x01\x00\x00\x00w", b"\x01\x00\x00\x00v")), *RECORD],
        "twice",
    ),
    "a sign of its own": (
        state(metadata=b"}" + _word("neg") + b"\x88s"),
        RECORD,
        "calls",
    ),
    "other strides": (state(place=b"K\x00K\x02\x85)"), RECORD, "tensor"),
    "no numbers": (state(place=b"K\x00K\x00\x85K\x01\x85"), RECORD, "empty"),
    "a thousand axes": (
        state(place=b"K\x00" + 2 * (b"(" + b"K\x01" * 1000 + b"t")),
        RECORD,
        "tensor",
    ),
    "a call of a text": (state(more=b"X\x01\x00\x00\x00a)R"), RECORD, "calls"),
    "a dict made of a list": (state(more=b"ccollections\nOrderedDict\n]\x85R"), RECORD, "calls"),
    "attributes of a list": (state(more=b"X\x01\x00\x00\x00a]}bs"), RECORD, "attributes"),
    "more taken than put": (state(more=b"sss"), RECORD, "takes more"),
    "below a mark": (state(more=b"(s"), RECORD, "takes more"),
    "a mark that is not there": (state(more=b"t"), RECORD, "data.pkl"),
    "what was never kept": (state(more=b"h\x07"), RECORD, "data.pkl"),
    "a storage by number": (state(more=b"K\x01Q"), RECORD, "storage"),
    "no dict": (b"\x80\x02K\x01.", RECORD, "no dict"),
    "no tensors": (b"\x80\x02}X\x01\x00\x00\x00aK\x01s.", RECORD, "no state_dict"),
    "a name of escapes": (
        state().replace(b"\x01\x00\x00\x00w", b"\x02\x00\x00\x00w\x1b"),
        RECORD,
        "refused",
    ),
    "clients by number": (state(more=_word("client_ids") + b"](K\x01es"), RECORD, "client_ids"),
    "a count of text": (
        state(more=_word("num_examples") + _word("7") + b"s"),
        RECORD,
        "num_examples",
    ),
    # 2^45 numbers in two bytes: torch would be asked to lay them out.
    "a count of zeros": (
        b"\x80\x02}"
        + _word("model")
        + state()[2:-1]
        + b"s"
        + _word("num_examples")
        + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + _word("storage")
        + b"ctorch\nBFloat16Storage\n"
        + _word("1")
        + _word("cpu")
        + b"K\x01tQK\x00"
        + _number(2**45)
        + b"\x85K\x00\x85\x89ccollections\nOrderedDict\n)RtRs.",
        [*RECORD, ("data/1", bytes(2))],
        "num_examples",
    ),
}
