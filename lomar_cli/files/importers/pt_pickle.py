"""Read the pickle of a torch file without running it: what it would make, with no numbers in it.

torch writes few opcodes and names few things. They are followed here on plain values, so that all
else, and every tensor that its storage does not bear, is refused before torch sees the file or is
even imported: torch's own unpickler ends the process on tuples nested as a key, for one.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import fault
from lomar_cli.files.text import printable

MAX_PICKLE = 16 * 2**20
# A tensor takes some thirty, with an optimizer's beside it a hundred more. It is what takes time
# here, and again when torch loads it.
MAX_OPCODES = 1_500_000
MAX_AXES = 32
# A key's hash is the sender's choice where it is no text, and so is how long a dict of many takes.
MAX_NUMBER_KEY = 2**20
MAX_OTHER_KEYS, MAX_KEY_ITEMS = 2_000, 8
# The bytes of one number of each type.
TYPES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    **{f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "bool": 1,
}
_STORAGES = {
    "torch DoubleStorage": "float64",
    "torch FloatStorage": "float32",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
}
# Of types without a storage of their own, such as uint16; counted in bytes.
_UNTYPED = "torch.storage UntypedStorage"
_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "torch device",
    _UNTYPED,
    *(f"torch {name}" for name in TYPES),
    *_STORAGES,
}


@dataclass(frozen=True)
class Tensor:
    """What a pickle says of a tensor: its storage is known to hold all that it shows of it."""

    type: str
    shape: tuple[int, ...]
    storage: Storage

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * TYPES[self.type]


@dataclass(frozen=True)
class Storage:
    """A record of the archive; ``type`` is None where it is counted in bytes."""

    record: str
    type: str | None
    nbytes: int


@dataclass(frozen=True)
class _Named:
    """Something that torch names: a type, a function, a kind of storage."""

    name: str


class _Unlike(Exception):
    """The pickle does what torch's do not."""


def document(
    archive: zipfile.ZipFile, sizes: Mapping[str, int], shown: str, word: str | None = None
) -> Any:
    """What the pickle would make: dicts, lists, tuples, texts, numbers, and ``Tensor`` for tensors.

    ``sizes`` are those of the archive's members, ``shown`` is the file, for errors. With ``word``,
    None at once where the pickle does not hold that text.
    """
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
    content = archive.read(pickles[0])
    if word is not None and word.encode() not in content:
        return None
    return _Machine(shown, folder, sizes).run(content)


class _Machine:
    """A pickle's stack, what it keeps by number, and the stacks below its marks."""

    def __init__(self, shown: str, folder: str, sizes: Mapping[str, int]) -> None:
        self.shown, self.folder, self.sizes = shown, folder, sizes
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.kept: dict[int, Any] = {}
        self.other_keys = 0

    def run(self, content: bytes) -> Any:
        try:
            for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
                if number == MAX_OPCODES:
                    raise fault(self.shown, "data.pkl", f"has more than {MAX_OPCODES:,} opcodes")
                if opcode.name == "STOP":
                    break
                self._step(opcode.name, argument)
            return self.stack[-1]
        except InputError:
            raise
        except _Unlike as error:
            raise fault(
                self.shown, "data.pkl", f"{error}, as no state_dict does; save model.state_dict()"
            ) from None
        except Exception as error:
            # pickletools raises what it likes on damaged bytes; nothing was run.
            reason = printable(str(error), 60)
            raise fault(self.shown, "data.pkl", f"is damaged ({reason})") from None

    def _step(self, name: str, argument: Any) -> None:
        step = _STEPS.get(name)
        if step is None:
            raise _Unlike(f"holds the pickle opcode {name}")
        step(self, argument)

    def _put(self, argument: Any) -> None:
        self.stack.append(argument)

    def _keep(self, argument: int) -> None:
        self.kept[argument] = self.stack[-1]

    def _recall(self, argument: int) -> None:
        self.stack.append(self.kept[argument])

    def _mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def _tuple(self, _: Any) -> None:
        found = tuple(self._to_mark())
        self.stack.append(found)

    def _build(self, _: Any) -> None:
        """An OrderedDict's own attributes, such as the versions of a module's state."""
        into, attributes = self._pop(2)
        if type(into) is not dict or type(attributes) is not dict:
            raise _Unlike("gives an object attributes")
        self.stack.append(into)

    def _reduce(self, _: Any) -> None:
        function, arguments = self._pop(2)
        self.stack.append(self._call(function, arguments))

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise _Unlike("takes more than it has put down")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def _to_mark(self) -> list[Any]:
        found, self.stack = self.stack, self.below.pop()
        return found

    def _set(self, items: list[Any]) -> None:
        into = self.stack[-1]
        if type(into) is not dict or len(items) % 2:
            raise _Unlike("sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            number = type(key) is int and 0 <= key < MAX_NUMBER_KEY
            if type(key) is not str and not number:
                self._check_key(key)
            into[key] = value

    def _check_key(self, key: Any) -> None:
        """Of keys that are neither texts nor small whole numbers a few are let in."""
        items = key if type(key) is tuple else (key,)
        plain = (str, int, float, bool, type(None), _Named)
        if len(items) > MAX_KEY_ITEMS or not all(type(item) in plain for item in items):
            raise _Unlike("has a key that is neither a text nor a number, nor a few of these")
        self.other_keys += 1
        if self.other_keys > MAX_OTHER_KEYS:
            raise _Unlike(f"has more than {MAX_OTHER_KEYS:,} keys that are no texts")

    def _append(self, items: list[Any]) -> None:
        into = self.stack[-1]
        if type(into) is not list:
            raise _Unlike("appends to what is no list")
        into.extend(items)

    def _name(self, name: str) -> None:
        if name not in _NAMES:
            raise fault(
                self.shown,
                "data.pkl",
                f"asks for the code '{printable(name, 60)}', which is never run; save "
                "model.state_dict()",
            )
        self.stack.append(_Named(name))

    def _storage(self, found: Any) -> Storage:
        """A storage is named by ('storage', its type, its record, its device, its length)."""
        match found:
            case ("storage", _Named(name), str(record), str(), int(length)) if (
                name in _STORAGES or name == _UNTYPED
            ):
                pass
            case _:
                raise _Unlike("names a storage in a way that torch does not")
        kind = _STORAGES.get(name)
        nbytes = length * TYPES[kind] if kind else length
        if self.sizes.get(f"{self.folder}data/{record}") != nbytes:
            raise fault(
                self.shown,
                f"data/{printable(record, 20)}",
                f"declares {length:,} numbers, which are not what the file stores",
            )
        return Storage(record, kind, nbytes)

    def _call(self, function: Any, arguments: Any) -> Any:
        if type(function) is not _Named or type(arguments) is not tuple:
            raise _Unlike("calls what is no function")
        match function.name, arguments:
            case "collections OrderedDict", ():
                return {}
            case "torch Size", (tuple(axes),):
                return axes
            case "torch device", (str(),) | (str(), int()):
                return None
            case "torch._utils _rebuild_parameter", (Tensor() as tensor, bool(), dict()):
                return tensor
            case "torch._utils _rebuild_tensor_v2", (Storage(type=str(kind)), _, _, _, _, _):
                return self._tensor(kind, arguments)
            case "torch._utils _rebuild_tensor_v3", (_, _, _, _, _, _, _Named(name)):
                return self._tensor(name.removeprefix("torch "), arguments[:6])
        raise _Unlike(f"calls {function.name.split()[-1]} in a way that torch does not")

    def _tensor(self, kind: str, arguments: tuple[Any, ...]) -> Tensor:
        """A tensor from its storage, offset, shape and strides; the rest tells of gradients."""
        match arguments:
            case (
                Storage() as storage,
                int(offset),
                tuple(shape),
                tuple(strides),
                bool(),
                dict(),
            ) if kind in TYPES and len(shape) == len(strides) <= MAX_AXES:
                pass
            case _:
                raise _Unlike("makes a tensor in a way that torch does not")
        if not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
            raise _Unlike("has a tensor whose shape is no whole numbers")
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if 0 not in shape and (last + 1) * TYPES[kind] > storage.nbytes:
            raise fault(
                self.shown,
                f"data/{printable(storage.record, 20)}",
                f"a tensor of shape {printable(str(shape), 60)} reaches beyond the end of it",
            )
        return Tensor(kind, shape, storage)


_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINFLOAT"), _Machine._put),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), _Machine._put),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine._keep),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine._recall),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "MARK": _Machine._mark,
    "TUPLE": _Machine._tuple,
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine._pop(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine._pop(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine._pop(3))),
    "SETITEM": lambda machine, _: machine._set(machine._pop(2)),
    "SETITEMS": lambda machine, _: machine._set(machine._to_mark()),
    "APPEND": lambda machine, _: machine._append(machine._pop(1)),
    "APPENDS": lambda machine, _: machine._append(machine._to_mark()),
    "GLOBAL": _Machine._name,
    "BINPERSID": lambda machine, _: machine.stack.append(machine._storage(machine.stack.pop())),
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
    "PROTO": lambda machine, _: None,
}
