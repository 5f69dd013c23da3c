"""Look through the pickle of a torch file, opcode by opcode, without running it.

torch writes few opcodes and names few things. All else is refused here, before torch sees it.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import fault
from lomar_cli.files.text import printable

MAX_PICKLE = 16 * 2**20
# A tensor takes some thirty, with an optimizer's beside it a hundred more. It is what takes time
# here, and again when torch loads it.
MAX_OPCODES = 1_500_000
# Bytes of one number of each kind of storage.
STORAGES = {
    "torch DoubleStorage": 8,
    "torch FloatStorage": 4,
    "torch HalfStorage": 2,
    "torch BFloat16Storage": 2,
    "torch LongStorage": 8,
    "torch IntStorage": 4,
    "torch ShortStorage": 2,
    "torch CharStorage": 1,
    "torch ByteStorage": 1,
    "torch BoolStorage": 1,
    # Of types without a storage of their own, such as uint16; counted in bytes.
    "torch.storage UntypedStorage": 1,
}
_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "torch device",
    *(f"torch {kind}{bits}" for kind in ("float", "int", "uint") for bits in (8, 16, 32, 64)),
    "torch bfloat16",
    "torch bool",
    *STORAGES,
}
_WORDS = {"BINUNICODE", "SHORT_BINUNICODE"}
_NUMBERS = {"BININT", "BININT1", "BININT2", "LONG1"}
_KEEP = {"BINPUT", "LONG_BINPUT"}
_RECALL = {"BINGET", "LONG_BINGET"}
_OTHER = {
    "PROTO", "STOP", "MARK", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT", "SETITEM", "SETITEMS",
    "APPEND", "APPENDS", "REDUCE", "BUILD", "BINPERSID", "GLOBAL",
}  # fmt: skip
_ALLOWED = _WORDS | _NUMBERS | _KEEP | _RECALL | _OTHER


def check(archive: zipfile.ZipFile, sizes: Mapping[str, int], shown: str) -> set[str]:
    """Check the pickle and the sizes of all storages; return the texts in the pickle."""
    pickles = [name for name in sizes if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(f"{shown}: is a damaged torch file: it has {len(pickles)} indices")
    folder = pickles[0].removesuffix("data.pkl")
    if any(name.startswith(f"{folder}code/") or name.endswith(".ts") for name in sizes):
        raise InputError(
            f"{shown}: is TorchScript, which holds code and is never loaded; save "
            "model.state_dict()"
        )
    if f"{folder}byteorder" in sizes and sizes[f"{folder}byteorder"] < 100:
        order = archive.read(f"{folder}byteorder")
        if order != b"little":
            raise fault(shown, "byteorder", "is not little-endian; save it as safetensors")
    if sizes[pickles[0]] > MAX_PICKLE:
        raise fault(shown, "data.pkl", f"is larger than {MAX_PICKLE:,} bytes")
    return _Scan(shown, folder, sizes).run(archive.read(pickles[0]))


class _Scan:
    """The literals since the last mark, and those that were kept for later, by number."""

    def __init__(self, shown: str, folder: str, sizes: Mapping[str, int]) -> None:
        self.shown, self.folder, self.sizes = shown, folder, sizes
        self.recent: list[Any] = []
        self.kept: dict[int, Any] = {}
        # What a just closed tuple held; None once anything but keeping it came after.
        self.closed: list[Any] | None = None
        self.words: set[str] = set()

    def run(self, content: bytes) -> set[str]:
        try:
            for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
                if number == MAX_OPCODES:
                    raise fault(self.shown, "data.pkl", f"has more than {MAX_OPCODES:,} opcodes")
                self._step(opcode.name, argument)
        except InputError:
            raise
        except Exception as error:
            # pickletools raises what it likes on damaged bytes; nothing was run.
            reason = printable(str(error), 60)
            raise fault(self.shown, "data.pkl", f"is damaged ({reason})") from None
        return self.words

    def _step(self, name: str, argument: Any) -> None:
        if name not in _ALLOWED:
            raise fault(
                self.shown,
                "data.pkl",
                f"holds what no state_dict needs (pickle opcode {name}); save model.state_dict()",
            )
        if name in _KEEP:
            if self.closed is None:
                self.kept[argument] = self.recent[-1] if self.recent else None
            else:
                self.kept[argument] = None
            return
        closed, self.closed = self.closed, None
        if name == "GLOBAL":
            if argument not in _NAMES:
                raise fault(
                    self.shown,
                    "data.pkl",
                    f"asks for the code '{printable(argument, 60)}', which is never run; save "
                    "model.state_dict()",
                )
            self.recent.append(argument)
        elif name in _WORDS or name in _NUMBERS:
            self.recent.append(argument)
            if isinstance(argument, str):
                self.words.add(argument)
        elif name in _RECALL:
            self.recent.append(self.kept.get(argument))
        elif name == "MARK":
            self.recent = []
        elif name == "TUPLE":
            self.closed, self.recent = self.recent, [None]
        elif name == "BINPERSID":
            self._storage(closed)
            self.recent = [None]
        else:
            self.recent.append(None)

    def _storage(self, found: list[Any] | None) -> None:
        """A storage is named by ('storage', its type, its record, its device, its length)."""
        fine = (
            found is not None
            and len(found) == 5
            and found[0] == "storage"
            and found[1] in STORAGES
            and isinstance(found[2], str)
            and isinstance(found[4], int)
        )
        if not fine or found is None:
            raise fault(self.shown, "data.pkl", "names a storage in a way that torch does not")
        record = f"{self.folder}data/{found[2]}"
        if self.sizes.get(record) != found[4] * STORAGES[found[1]]:
            raise fault(
                self.shown,
                f"data/{printable(found[2], 20)}",
                f"declares {found[4]:,} numbers, which are not what the file stores",
            )
