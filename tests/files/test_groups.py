"""Files that say of what kind clients are."""

from __future__ import annotations

import json

import pytest

from lomar_cli.errors import InputError
from lomar_cli.files.groups import parse_groups
from lomar_cli.files.sidecar import sidecar_text


def read_groups(path):
    return parse_groups(sidecar_text(path), path.name)


def written(tmp_path, text, name="g.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "client,group\na,x\nb,y\nc,\n",
        "\ufeffnum_examples,group,client\n3, x ,a\n4,y,b\n5,,c\n",
        json.dumps({"a": "x", "b": "y", "c": ""}),
        json.dumps({"round_number": 3, "a": "x", "b": "y", "c": ""}),
        json.dumps({"round_number": 3, "clients": {"a": "x", "b": "y", "c": ""}}),
        json.dumps({"clients": [{"client": "a", "group": "x"}, {"client": "b", "group": "y"}]}),
        json.dumps({"clients": [{"client": "a", "group": " x"}, {"client": "b", "group": "y"},
                                {"client": "c", "num_examples": 4}]}),
    ],
)  # fmt: skip
def test_what_is_read(text, tmp_path):
    assert read_groups(written(tmp_path, text)) == {"a": "x", "b": "y"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no clients"),
        ("client,group\n", "holds no clients"),
        ("{}", "holds no clients"),
        ("client,kind\na,x\n", "needs the columns client and group"),
        ("client;group\na;x\n", "its first line is 'client;group'"),
        ("client,group\na\n", "line 2: has no group"),
        ('{"a": "x", "a": "y"}', "the client 'a' is there twice"),
        ("client,group\na,x\na,y\n", "line 3: the client 'a' is there twice"),
        ("client,group\na,x\x1b[2J\n", r"line 2: group: 'x\x1b[2J' is no name"),
        ("client,group\na," + "x" * 300 + "\n", "line 2: group: "),
        ('client,group\na,"x\n', "is not a CSV file"),
        ("client,group\na,\x00\n", "is "),
        (b"client,group\na,\xff\n", "is not a CSV or JSON file in UTF-8"),
        ("{", "is not valid JSON"),
        ("{" + '"a":{' * 100_000, "is not valid JSON"),
        ('{"a": 3}', "every entry must have a client and its group"),
        ('{"clients": [3]}', "every entry must have a client and its group"),
        ('{"clients": [{"group": "x"}]}', "every entry must have a client and its group"),
        ('{"clients": [{"client": "a", "group": null}]}', "every entry must have a client"),
    ],
)
def test_what_is_wrong_is_named(text, said, tmp_path):
    with pytest.raises(InputError) as error:
        read_groups(written(tmp_path, text))
    assert said in str(error.value) and "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_groups(tmp_path / "none.csv")
    large = tmp_path / "large.csv"
    with large.open("wb") as stream:
        stream.truncate(2**25)
    with pytest.raises(InputError, match="no list of clients is"):
        read_groups(large)
