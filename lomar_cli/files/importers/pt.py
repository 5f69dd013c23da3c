"""``.pt`` and ``.pth``: a state_dict, or a dict that holds one under a common key.

Such a file is a zip of a pickle and of raw storages. The pickle is looked through before torch is
even imported: only the few names that tensors are made of are let through, and no storage may
claim more than its record holds. Then torch loads it with ``weights_only=True``, and with nothing
else. Old files, from before torch 1.6, and TorchScript are refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError, LomarError
from lomar_cli.files.importers import pt_pickle
from lomar_cli.files.importers.base import (
    CLIENT_IDS,
    NUM_EXAMPLES,
    One,
    check_declared,
    check_rows,
    fault,
    from_bfloat16,
    one_client,
    row_counts,
    whole_count,
)
from lomar_cli.files.text import printable
from lomar_cli.files.zips import is_small, open_archive

# Where trainers keep a state_dict; NVFlare says "model", Lightning "state_dict".
KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "updates")
_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_TORCH = (2, 10)
# Modules that share a parameter name it again and again; so many times what is stored is a bomb.
_MOST_TIED = 64
_PIECE = 2**20


def recognises(path: Path, head: bytes) -> bool:
    if head.startswith(_OLD):
        return True
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        if not is_small(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, OSError):
        return False


def clients(path: Path, max_bytes: int) -> list[str] | None:
    if CLIENT_IDS not in _check(path, max_bytes):
        return None
    found = _load(path)
    return _clients(printable(str(path)), found)


def read(path: Path, max_bytes: int) -> Iterator[One]:
    shown = printable(str(path))
    _check(path, max_bytes, sums=True)
    document = _load(path)
    names = _clients(shown, document)
    tensors = _state_dict(shown, document)
    _check_shared(shown, tensors, max_bytes)
    found = {name: _array(shown, name, tensor) for name, tensor in tensors.items()}
    bfloat = [name for name, tensor in tensors.items() if _type(tensor) == "bfloat16"]
    count = document.get(NUM_EXAMPLES)
    if names is None:
        if count is not None and NUM_EXAMPLES not in found:
            found[NUM_EXAMPLES] = _plain(shown, count)
        yield one_client(shown, found, bfloat)
        return
    counts = None if count is None else row_counts(shown, _plain(shown, count), len(names))
    for name, array in found.items():
        check_rows(shown, name, array.shape, len(names))
    for row in range(len(names)):
        one = one_client(shown, {name: array[row] for name, array in found.items()}, bfloat)
        yield One(one.arrays, one.types, counts[row] if counts else None)


def write(
    stream: IO[bytes], tensors: Mapping[str, Any], clients: Mapping[str, Any] | None = None
) -> None:
    """Write a state_dict, or a round: ``clients`` then holds ``client_ids``, ``num_examples``.

    ``|V2`` stands for the bits of bfloat16.
    """
    torch = _torch()
    made = {}
    for name, tensor in tensors.items():
        array = np.array(tensor[()])
        if array.dtype.kind == "V":
            made[name] = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        else:
            made[name] = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    remembering = _Remembering(stream)
    try:
        torch.save({**clients, "updates": made} if clients else made, remembering)
    except (RuntimeError, OSError):
        # torch says only that it came out somewhere else than it meant to.
        if remembering.error is not None:
            raise remembering.error from None
        raise


class _Remembering:
    """A stream to write to that keeps what went wrong."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return self._stream.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._stream.flush()


def _check(path: Path, max_bytes: int, sums: bool = False) -> set[str]:
    """Look the file through without torch; return the texts in its pickle.

    With ``sums`` the checksums of all members are compared, which torch does not.
    """
    shown = printable(str(path))
    with path.open("rb") as stream:
        if stream.read(len(_OLD)) == _OLD:
            raise InputError(
                f"{shown}: is in torch's format from before 1.6, a bare pickle, which is never "
                "loaded; save it again with a newer torch"
            )
    with open_archive(path, "torch") as archive:
        sizes: dict[str, int] = {}
        for member in archive.infolist():
            if member.filename in sizes:
                raise fault(shown, member.filename, "is there twice")
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise fault(shown, member.filename, "is compressed, which torch does not do")
            sizes[member.filename] = member.file_size
        check_declared(shown, "data", sum(sizes.values()), max_bytes)
        if sum(sizes.values()) > path.stat().st_size:
            raise fault(shown, "data", "declares more bytes than the file has")
        words = pt_pickle.check(archive, sizes, shown)
        for member in archive.infolist() if sums else ():
            with archive.open(member) as inner:
                while inner.read(_PIECE):
                    pass
        return words


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise LomarError(
            "torch files (.pt) need the extra 'train': pip install 'lomar-cli[train]'; or use "
            "safetensors, which needs nothing"
        ) from None
    found = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if found < _TORCH:
        raise LomarError(
            f"torch {printable(torch.__version__)} is too old to load files from strangers safely; "
            "install torch 2.10 or newer, or use safetensors"
        )
    return torch


def _load(path: Path) -> Mapping[Any, Any]:
    torch = _torch()
    shown = printable(str(path))
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Whatever torch raises on a stranger's bytes, there is no second, laxer way to load them.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{shown}: torch refuses it with weights_only=True ({printable(reason, 80)})"
        ) from None
    if not isinstance(found, Mapping):
        raise InputError(
            f"{shown}: holds no dict but a {printable(type(found).__name__)}; save "
            "model.state_dict()"
        )
    return found


def _state_dict(shown: str, document: Mapping[Any, Any]) -> Mapping[str, Any]:
    """The dict of tensors under a common key, or the document itself when it holds tensors.

    In this order: a checkpoint may hold a tensor beside its model, such as the last loss.
    """
    for place in (*(document[key] for key in KEYS if key in document), document):
        found = _tensors(place)
        if not found:
            continue
        rest = [n for n in place if n not in found and n not in (NUM_EXAMPLES, CLIENT_IDS)]
        if rest and place is not document:
            raise fault(shown, str(rest[0]), "is no tensor, but lies among them")
        within = [str(name) for name in rest if _holds_tensors(place[name])]
        if within:
            raise fault(
                shown,
                within[0],
                "holds tensors, and there are others beside it; save model.state_dict() alone",
            )
        return found
    raise InputError(
        f"{shown}: holds no state_dict, neither by itself nor under {', '.join(KEYS)}; save "
        "model.state_dict()"
    )


def _tensors(place: Any) -> dict[str, Any]:
    """The named tensors right in a dict; none if there is no other than the count."""
    if not isinstance(place, Mapping):
        return {}
    found = {n: t for n, t in place.items() if isinstance(n, str) and hasattr(t, "layout")}
    return found if set(found) - {NUM_EXAMPLES} else {}


def _holds_tensors(place: Any) -> bool:
    """Whether there is a tensor anywhere in dicts and lists."""
    pending = [place]
    while pending:
        one = pending.pop()
        if hasattr(one, "layout"):
            return True
        if isinstance(one, Mapping):
            pending.extend(one.values())
        elif isinstance(one, list | tuple):
            pending.extend(one)
    return False


def _check_shared(shown: str, tensors: Mapping[str, Any], max_bytes: int) -> None:
    """Refuse many numbers made of few: tensors may share a storage, as tied parameters do."""
    plain = [tensor for tensor in tensors.values() if tensor.layout == _torch().strided]
    declared = sum(tensor.numel() * tensor.element_size() for tensor in plain)
    storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in plain)}
    if declared > _MOST_TIED * sum(storages.values()):
        raise fault(
            shown,
            "data",
            f"declares more than {_MOST_TIED} times the numbers that the file stores; save each "
            "tensor by itself",
        )
    check_declared(shown, "data", declared, max_bytes)


def _type(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _array(shown: str, name: str, tensor: Any) -> NDArray[Any]:
    torch = _torch()
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise fault(shown, name, "is sparse, quantised or without numbers; save a plain tensor")
    # A stride of 0 would let a few bytes stand for any number of values.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise fault(shown, name, "declares more numbers than the file stores; save it contiguous")
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        bits = plain.contiguous().view(torch.int16).numpy().view(np.uint16)
        return from_bfloat16(bits)
    try:
        found: NDArray[Any] = plain.numpy()
    except (TypeError, RuntimeError):
        raise fault(
            shown, name, f"has type {_type(tensor)}, parameters are floats of 16, 32 or 64 bits"
        ) from None
    return found


def _clients(shown: str, document: Mapping[Any, Any]) -> list[str] | None:
    names = document.get(CLIENT_IDS)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise fault(shown, CLIENT_IDS, "must be a list of names")
    return list(names)


def _plain(shown: str, count: Any) -> Any:
    if hasattr(count, "layout"):
        return _array(shown, NUM_EXAMPLES, count)
    if type(count) in (int, float):
        return count
    if isinstance(count, list) and all(type(c) in (int, float) for c in count):
        return np.array([whole_count(shown, c) for c in count], np.int64)
    raise fault(shown, NUM_EXAMPLES, "must be a whole number, or a list of them")
