"""Zip archives of strangers, npz and torch's: directories that lie, checksums, shared numbers."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from lomar_cli.errors import InputError
from lomar_cli.files.arrays import read_arrays
from lomar_cli.files.importers import pt
from tests.hostile.test_import_files import dump


def test_torch_tensors_that_share_their_numbers(tmp_path):
    """A few that are tied are read; hundreds of views of one storage are a bomb."""
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    w = torch.arange(1000.0)
    torch.save({f"w{i}": w.view(10 + 10 * (i % 2), -1) for i in range(12)}, tmp_path / "tied.pt")
    (found,) = pt.read(tmp_path / "tied.pt", 2**20)
    np.testing.assert_array_equal(found.arrays["w1"], np.arange(1000.0).reshape(20, 50))
    with pytest.raises(InputError, match="--max-bytes"):
        list(pt.read(tmp_path / "tied.pt", 40_000))
    torch.save({f"w{i}": w.view(10, 100).t() for i in range(300)}, tmp_path / "bomb.pt")
    dump(tmp_path, "times the numbers", tmp_path / "bomb.pt")


def test_a_bit_that_changed_in_a_torch_file(tmp_path):
    """torch does not look at the archive's checksums."""
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    torch.save({"w": torch.ones(64)}, tmp_path / "x.pt")
    raw = bytearray((tmp_path / "x.pt").read_bytes())
    place = raw.index(np.ones(64, "f4").tobytes())
    raw[place + 7] ^= 0x40
    (tmp_path / "x.pt").write_bytes(raw)
    assert torch.load(tmp_path / "x.pt", weights_only=True)["w"][1] != 1
    dump(tmp_path, "CRC", tmp_path / "x.pt")


@pytest.mark.parametrize("kind", ["npz", "pt"])
@pytest.mark.parametrize(
    ("offset", "value", "mention"),
    [(32, None, "comments"), (38, 16, "folder"), (45, 255, "damaged")],
    ids=["a comment", "a folder", "elsewhere"],
)
def test_a_zip_directory_that_lies(kind, offset, value, mention, tmp_path):
    """It has no checksum; torch hands out memory as it is for what it takes for a folder."""
    path = tmp_path / f"x.{kind}"
    if kind == "npz":
        np.savez(path, w=np.ones(64, "f4"), b=np.ones(3, "f4"))
    else:
        torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
        torch.save({"w": torch.ones(64)}, path)
    raw = bytearray(path.read_bytes())
    member = b"w.npy" if kind == "npz" else b"/data/0"
    entry = raw.index(b"PK\x01\x02", raw.rindex(member) - 100)
    while raw.index(member, entry) - entry > 80:
        entry = raw.index(b"PK\x01\x02", entry + 1)
    following = raw.index(b"PK\x01\x02", entry + 1)
    length = raw.index(b"PK", following + 1) - following
    raw[entry + offset] = length if value is None else value
    path.write_bytes(raw)
    dump(tmp_path, mention, path)


def test_a_zip_directory_that_hides_a_part(tmp_path):
    """The second entry passes for what the first has to say of itself."""
    np.savez(tmp_path / "x.npz", w=np.ones(64, "f4"), b=np.ones(3, "f4"))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    first = raw.index(b"PK\x01\x02")
    second = raw.index(b"PK\x01\x02", first + 1)
    more = raw.index(b"PK\x05\x06") - second
    raw[second : second + 4] = struct.pack("<HH", 0x9999, more - 4)
    raw[first + 30 : first + 32] = struct.pack("<H", raw[first + 30] + more)
    (tmp_path / "x.npz").write_bytes(raw)
    assert zipfile.ZipFile(tmp_path / "x.npz").namelist() == ["w.npy"]
    dump(tmp_path, "1 of its 2 parts", tmp_path / "x.npz")


def two_directories(path, checked, loaded):
    """A torch file whose directory, as zipfile finds it, is of other members than torch's."""
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    raws = []
    for values in (loaded, checked):
        torch.save({"w": torch.tensor(values)}, path)
        raws.append(path.read_bytes())
    first, second = raws
    # Both in one file; the end tells where the first one's directory lies.
    end = bytearray(second[second.rindex(b"PK\x05\x06") :])
    head = first[: first.rindex(b"PK\x05\x06")]
    path.write_bytes(head + second[: -len(end)] + bytes(end))
    return path


def test_a_zip_with_two_directories(tmp_path):
    """Zipfile reads the one before the end, torch the one that the end names."""
    path = two_directories(tmp_path / "x.pt", [1.0, 1.0], [7.0, 7.0])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    dump(tmp_path, "one directory", path)


@pytest.mark.parametrize("more", [b"\n", bytes(100), b"PK\x05\x06" + bytes(18)])
def test_a_zip_that_goes_on_after_its_end(more, tmp_path):
    np.savez(tmp_path / "x.npz", w=np.ones(64, "f4"), b=np.ones(3, "f4"))
    (tmp_path / "x.npz").write_bytes((tmp_path / "x.npz").read_bytes() + more)
    dump(tmp_path, "x.npz", tmp_path / "x.npz")


def test_a_zip_with_more_parts_than_are_listed(tmp_path):
    """Said by its end, before they are listed; and a zip64 archive of few is read."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for number in range(20_001):
            archive.writestr(f"w{number}.npy", b"")
    dump(tmp_path, "20,001 parts", tmp_path / "x.npz")
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive, archive.open("w.npy", "w", force_zip64=True) as one:
        np.save(one, np.ones(3, "f4"))
    (tmp_path / "y.npz").write_bytes(as_zip64(raw.getvalue()))
    np.testing.assert_array_equal(read_arrays(tmp_path / "y.npz")["w"], np.ones(3))
    # Whose two ends do not agree.
    bad = bytearray((tmp_path / "y.npz").read_bytes())
    bad[bad.rindex(b"PK\x06\x06") + 48] ^= 1
    (tmp_path / "y.npz").write_bytes(bad)
    dump(tmp_path, "y.npz", tmp_path / "y.npz")


def as_zip64(raw):
    """The same archive with the end that large ones have."""
    end = raw.rindex(b"PK\x05\x06")
    entries, length, start = struct.unpack("<HLL", raw[end + 10 : end + 20])
    large = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, length, start
    )
    place = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    return raw[:end] + large + place + raw[end:]


def test_two_places_of_tensors_in_a_torch_file(tmp_path):
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    for place in ({"w": torch.ones(2)}, {"actor": {"w": torch.ones(2)}}, [torch.ones(2)]):
        torch.save({"loss": torch.ones(1), "mine": place}, tmp_path / "x.pt")
        dump(tmp_path, "mine", tmp_path / "x.pt")
