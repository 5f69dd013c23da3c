"""What a torch file's pickle is understood to make, beside what torch itself makes of it."""

from __future__ import annotations

import zipfile
from collections import OrderedDict

import pytest

from lomar_cli.files.importers import pt_pickle

torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")


def understood(path):
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        return pt_pickle.document(archive, sizes, "x.pt")


def outline(value):
    """Tensors as their type and shape, named by torch or by us."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype).removeprefix("torch."), tuple(value.shape)
    if isinstance(value, pt_pickle.Tensor):
        return value.type, value.shape
    if isinstance(value, dict):
        return {key: outline(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [outline(one) for one in value]
    return value


def trained():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    return model, optimizer


def documents():
    model, optimizer = trained()
    plain = torch.arange(24.0).reshape(2, 3, 4)
    yield "module", model.state_dict()
    yield (
        "checkpoint",
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": 0.5},
    )
    yield "parameters", OrderedDict(model.named_parameters())
    yield "views", {"t": plain.permute(2, 0, 1), "part": plain[:, 1:, ::2], "one": plain[1, 2, 3]}
    yield "empty", {"none": torch.ones(0, 3), "far": plain[2:], "w": plain}
    yield (
        "types",
        {name: torch.ones(3).to(getattr(torch, name)) for name in pt_pickle.TYPES},
    )
    yield "tied", {"a": plain, "b": plain, "c": [plain, (plain, None, True, -7, 2**70)]}
    yield "words", {"size": plain.shape, "names": ["é", ""], 5: "five", "many": list(range(300))}


DOCUMENTS = dict(documents())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_torch_makes_the_same(name, tmp_path):
    value = DOCUMENTS[name]
    path = tmp_path / "x.pt"
    torch.save(value, path)
    assert outline(understood(path)) == outline(torch.load(path, weights_only=True))
    assert outline(understood(path)) == outline(value)


def test_a_view_keeps_its_whole_storage(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"w": torch.arange(12.0).reshape(3, 4)[1:, 2:]}, path)
    found = understood(path)["w"]
    assert (found.type, found.shape, found.nbytes, found.storage.nbytes) == (
        "float32",
        (2, 2),
        16,
        48,
    )
