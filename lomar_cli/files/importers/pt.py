"""``.pt`` and ``.pth``: a state_dict, or a dict that holds one under a common key.

Such a file is a zip of a pickle and of raw storages. What the pickle would make is worked out
before torch is even imported (``pt_pickle``), and so is what of it is the model (``pt_state``):
what is refused is refused there. Then torch loads it with ``weights_only=True``, and with nothing
else. Old files, from before torch 1.6, and TorchScript are refused.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError, LomarError
from lomar_cli.files.importers import pt_pickle, pt_state
from lomar_cli.files.importers.base import (
    CLIENT_IDS,
    NUM_EXAMPLES,
    One,
    check_array,
    check_declared,
    check_rows,
    fault,
    from_bfloat16,
    one_client,
    row_counts,
)
from lomar_cli.files.text import printable
from lomar_cli.files.zips import is_small, open_archive

_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_TORCH = (2, 10)
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
    shown = printable(str(path))
    said = _look_through(path, max_bytes, CLIENT_IDS)
    return None if said is None else pt_state.clients(shown, pt_state.as_dict(shown, said))


def read(path: Path, max_bytes: int) -> Iterator[One]:
    shown = printable(str(path))
    said = _look_through(path, max_bytes)
    state = pt_state.state_of(shown, said, max_bytes)
    names = pt_state.clients(shown, said)
    count = pt_state.count(shown, said, names)
    for name, like in state.tensors.items():
        check_array(shown, name, like.shape)
        if names is not None:
            check_rows(shown, name, like.shape, len(names))
    document = _load(path)
    tensors = document if state.key is None else document.get(state.key, {})
    found = {
        name: _array(shown, name, tensors.get(name), like) for name, like in state.tensors.items()
    }
    if isinstance(count, pt_pickle.Tensor):
        count = _array(shown, NUM_EXAMPLES, document.get(NUM_EXAMPLES), count)
    bfloat = [name for name, like in state.tensors.items() if like.type == "bfloat16"]
    if names is None:
        if count is not None and NUM_EXAMPLES not in found:
            found[NUM_EXAMPLES] = count
        yield one_client(shown, found, bfloat)
        return
    counts = None if count is None else row_counts(shown, count, len(names))
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


def _look_through(path: Path, max_bytes: int, word: str | None = None) -> Any:
    """What the file's pickle would make, found without torch (``pt_pickle.document``).

    The checksums of all members are compared, which torch does not. With ``word`` they are not, and
    nothing is found where the pickle does not hold that text.
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
        lowered: set[str] = set()
        for member in archive.infolist():
            # torch looks members up whatever their case: which one it finds is not ours to guess.
            if member.filename.lower() in lowered or not member.filename.isascii():
                raise fault(shown, member.filename, "is there twice, or by no name of torch's")
            lowered.add(member.filename.lower())
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise fault(shown, member.filename, "is compressed, which torch does not do")
            sizes[member.filename] = member.file_size
        check_declared(shown, "data", sum(sizes.values()), max_bytes)
        if sum(sizes.values()) > path.stat().st_size:
            raise fault(shown, "data", "declares more bytes than the file has")
        said = pt_pickle.document(archive, sizes, shown, word)
        for member in archive.infolist() if word is None else ():
            with archive.open(member) as inner:
                while inner.read(_PIECE):
                    pass
        return said


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
        with warnings.catch_warnings():
            # Of protocols that it did not write; what they hold has been looked through.
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Whatever torch raises on a stranger's bytes, there is no second, laxer way to load them.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{shown}: torch refuses it with weights_only=True ({printable(reason, 80)})"
        ) from None
    document: Mapping[Any, Any] = found
    return document


def _array(shown: str, name: str, tensor: Any, like: pt_pickle.Tensor) -> NDArray[Any]:
    """The numbers of a tensor, once it is what the pickle was understood to make."""
    torch = _torch()
    kind = getattr(torch, like.type)
    same = isinstance(tensor, torch.Tensor) and tensor.dtype == kind
    if not same or tuple(tensor.shape) != like.shape or tensor.layout != torch.strided:
        raise fault(shown, name, "is something else to torch; save model.state_dict() anew")
    plain = tensor.detach()
    if like.type == "bfloat16":
        bits = plain.contiguous().view(torch.int16).numpy().view(np.uint16)
        return from_bfloat16(bits)
    found: NDArray[Any] = plain.numpy()
    return found
