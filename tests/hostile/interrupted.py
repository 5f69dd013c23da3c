"""Ctrl-C at one line after another of the Python code that runs while a round is written.

``python -m tests.hostile.interrupted FOLDER COUNT`` prints what was seen, each with how often.
"""

from __future__ import annotations

import collections
import gc
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tests.making import tensors, write_round

_UPDATES = tensors(12, labels=4, features=20)


def write(path: Path, moment: int) -> int:
    """Write a round, interrupted before its line number ``moment``; how many lines were run."""
    lines = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        if event == "line" and lines == moment:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return count

    sys.settrace(count)
    try:
        write_round(path, _UPDATES)
    finally:
        sys.settrace(None)
    return lines


def interrupted(folder: Path, moment: int) -> str:
    """What became of a process that was interrupted at that moment."""
    process = os.fork()
    if process == 0:
        said = os.open(folder / "said", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(said, 2)
        try:
            write(folder / "out.h5", moment)
            code = 0
        except KeyboardInterrupt:
            code = 130
        gc.collect()
        sys.exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    said = (folder / "said").read_text()
    (folder / "said").unlink()
    left = sorted(path.name for path in folder.iterdir())
    for name in left:
        (folder / name).unlink()
    return f"exit {code}, said {said[-300:]!r}, left {left}"


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lines = write(folder / "whole.h5", 0)
    (folder / "whole.h5").unlink()
    moments = np.random.default_rng(0).choice(lines, min(count, lines), replace=False) + 1
    seen = collections.Counter(interrupted(folder, int(moment)) for moment in moments)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
