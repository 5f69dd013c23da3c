"""The recipes of ``scale.md`` against the packages that they name, as far as one machine can.

    pip install dask-jobqueue dask-kubernetes paramiko
    python docs/check_recipes.py

Runs the Slurm recipe without Slurm (no job is sent) and prints the job script; runs the Kubernetes
recipe without a cluster (nothing is created), checks the keywords, and that every container's
command is one that the installed Dask has; checks the options of all ``dask`` commands on the page.
Exit 1 for the first thing that does not fit.
"""

from __future__ import annotations

import builtins
import importlib.metadata
import inspect
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

PAGE = Path(__file__).parent / "scale.md"
PACKAGES = ("dask", "distributed", "dask-jobqueue", "dask-kubernetes", "paramiko")


def main() -> None:
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    text = PAGE.read_text()
    python = blocks(text, "python")
    slurm(next(code for code in python if "SLURMCluster" in code))
    kubernetes(next(code for code in python if "KubeCluster" in code))
    for words in dask_commands("\n".join(blocks(text, "bash"))):
        command(words)


def blocks(text: str, language: str) -> Sequence[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def slurm(code: str) -> None:
    """The recipe, but for its jobs and the wait for a key."""
    from dask_jobqueue import SLURMCluster

    with (
        mock.patch.object(SLURMCluster, "scale", checked(SLURMCluster.scale)),
        mock.patch.object(builtins, "input"),
    ):
        made = run(code)
    print(made["cluster"].job_script())
    made["cluster"].close()


def kubernetes(code: str) -> None:
    """The recipe, but for the cluster: what it would be asked for."""
    from dask_kubernetes import operator

    asked = mock.Mock(side_effect=checked(operator.KubeCluster.__init__))
    with mock.patch.object(operator, "KubeCluster", lambda **given: asked(None, **given)):
        spec = run(code)["spec"]["spec"]
    for role in ("scheduler", "worker"):
        pod = spec[role]["spec"]
        arguments = pod["containers"][0]["args"]
        print(f"{role}: {shlex.join(arguments)}; volumes {pod.get('volumes', [])}")
        command([word for word in arguments if not word.startswith("$(")])


def dask_commands(script: str) -> Iterator[list[str]]:
    """The ``dask`` commands of shell lines; a prompt such as ``head$`` is passed over."""
    for line in script.splitlines():
        words = shlex.split(re.sub(r"^\w+\$ ", "", line), comments=True)
        if words and words[0].startswith("dask"):
            yield words


def command(words: Sequence[str]) -> None:
    """SystemExit unless Dask has this command with these options."""
    known = {
        one.name: one.load()
        for one in importlib.metadata.entry_points(group="dask_cli")
        if one.dist is not None and one.dist.name == "distributed"
    }
    if words[0] != "dask":
        scripts = importlib.metadata.entry_points(group="console_scripts", name=words[0])
        if not scripts:
            sys.exit(f"{words[0]}: there is no such program")
        return
    if words[1] not in known:
        sys.exit(f"dask {words[1]}: there is no such command")
    options = {name for one in known[words[1]].params for name in (*one.opts, *one.secondary_opts)}
    odd = [word for word in words[2:] if word.startswith("--") and word not in options]
    if odd:
        sys.exit(f"dask {words[1]}: there is no option {odd[0]}")
    print(f"fits: {shlex.join(words)}")


def checked(function: Callable[..., Any]) -> Callable[..., None]:
    """Does nothing, but raises TypeError where ``function`` would for its arguments."""
    signature = inspect.signature(function)

    def call(*args: Any, **given: Any) -> None:
        bound = signature.bind(*args, **given)
        loose = [one for one in signature.parameters.values() if one.kind is one.VAR_KEYWORD]
        if loose and bound.arguments.get(loose[0].name):
            raise TypeError(f"unknown keywords: {bound.arguments[loose[0].name]}")

    return call


def run(code: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    exec(code, made)
    return made


if __name__ == "__main__":
    main()
