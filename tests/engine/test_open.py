"""What --cluster refuses before anything is done, in one line that says why."""

from __future__ import annotations

import http.server
import importlib
import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from lomar_cli.engine import checks
from lomar_cli.engine.opened import open_engine
from lomar_cli.errors import LomarError, UsageError
from tests.commands import ROOT, environment, lomar
from tests.engine.cluster import cluster

pytest.importorskip("distributed", reason="needs the extra 'cluster'")
dask_open = importlib.import_module("lomar_cli.engine.dask_open")
ROUND = ROOT / "sample_data" / "digits-round.h5"


@pytest.fixture
def port():
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def refused(address, error=LomarError):
    with pytest.raises(error) as said, open_engine(address):
        pass
    assert len(str(said.value).splitlines()) == 1
    assert f"--cluster {address}" in str(said.value)
    return str(said.value)


def test_nobody_listens(port):
    assert "nothing answers there (Connection refused)" in refused(f"127.0.0.1:{port}")
    assert "nothing answers there" in refused(f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:80", "local:", "local:0", "local:many", "local:-1", "tcp://", ""]
)
def test_no_address(address):
    refused(address, UsageError)


def test_no_scheduler_file(tmp_path):
    assert "No such file" in refused(str(tmp_path / "none.json"), UsageError)
    (tmp_path / "other.json").write_text('{"malicious": []}')
    assert "names no address" in refused(str(tmp_path / "other.json"), UsageError)


def test_a_web_server(monkeypatch):
    monkeypatch.setattr(dask_open, "ANSWER", 2)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = refused(f"127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "is no Dask scheduler, or does not answer" in said


def test_who_says_nothing(monkeypatch):
    monkeypatch.setattr(dask_open, "ANSWER", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "does not answer" in refused(f"127.0.0.1:{silent.getsockname()[1]}")


def test_a_worker_is_no_scheduler(two_workers):
    worker = next(iter(two_workers.pids()))
    assert "it is a Worker" in refused(worker)


def test_a_scheduler_file(two_workers):
    with open_engine(str(two_workers.file)) as engine:
        assert engine.workers == 2
        assert two_workers.address in engine.where
        assert "dashboard http://" in engine.where


def test_no_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_open, "FIRST_WORKER", 0.2)
    said = "has no workers; start some: dask worker tcp://"
    with cluster(tmp_path) as made, pytest.raises(LomarError, match=said):
        open_engine(made.address).__enter__()


@pytest.fixture(scope="module")
def odd_workers(tmp_path_factory):
    """A scheduler without workers: tests bring odd ones, one each at a time."""
    with cluster(tmp_path_factory.mktemp("odd")) as made:
        yield made


@pytest.fixture
def odd_worker(odd_workers, tmp_path):
    started = []

    def start(*options, under=(), **env):
        count = len(odd_workers.started)
        odd_workers.work(1, "--no-nanny", *options, env=env, under=under)
        started.extend(odd_workers.started[count:])
        return odd_workers.address

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_another_version(odd_worker, tmp_path):
    """A worker that runs a copy of this package that calls itself older."""
    shutil.copytree(
        ROOT / "lomar_cli", tmp_path / "lomar_cli", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "lomar_cli" / "_version.py").write_text('__version__ = "0.0.9"\n')
    address = odd_worker(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    with pytest.raises(LomarError, match=r"worker tcp://.* runs lomar_cli 0\.0\.9 .*, this is"):
        open_engine(address).__enter__()


def test_a_worker_without_the_package(odd_worker, tmp_path):
    (tmp_path / "lomar_cli.py").write_text("raise ModuleNotFoundError('No module lomar_cli')\n")
    address = odd_worker(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    with pytest.raises(LomarError, match=r"worker tcp://.* cannot load lomar_cli .* install it"):
        open_engine(address).__enter__()


def test_a_worker_with_threads_is_told_of(odd_worker):
    notes = []
    with open_engine(odd_worker("--nthreads", "3"), 1, notes.append) as engine:
        assert "has 3 threads, of which one is used" in notes[0]
        assert list(engine.ordered(max, [(1, 2)] * 5)) == [2] * 5


def test_storage_that_one_of_two_workers_cannot_see(odd_workers, odd_worker, tmp_path):
    """In truth: something else is mounted there for it, as on a machine without that storage."""
    storage = tmp_path / "storage"
    storage.mkdir()
    shutil.copyfile(ROUND, storage / "round.h5")
    blind = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(storage)]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux)")
    tried = subprocess.run([*blind, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this machine allows no mounts of its own to a process: {tried.stderr}")
    odd_worker()
    seeing = set(odd_workers.pids())
    address = odd_worker(under=blind)
    (name,) = set(odd_workers.pids()) - seeing
    with open_engine(address) as engine:
        with pytest.raises(LomarError, match=rf"worker {name}: cannot see .*storage as it is here"):
            checks.check_folder(engine, storage)
        with pytest.raises(LomarError, match=rf"worker {name}: .*round\.h5: is not there"):
            checks.check_files(engine, [ROUND, storage / "round.h5"])
    assert [path.name for path in storage.iterdir()] == ["round.h5"]
    ran = lomar("score", storage / "round.h5", "--cluster", address, "-o", tmp_path / "s.h5")
    assert ran.exit_code == 1
    assert "put it on storage that all workers share" in ran.stderr
    assert not (tmp_path / "s.h5").exists()


def test_storage_that_a_worker_cannot_see(two_workers, tmp_path, monkeypatch):
    """Stood for by a folder that has another name there: the probe is not found."""
    with open_engine(two_workers.address) as engine:
        checks.check_folder(engine, tmp_path)
        assert list(tmp_path.iterdir()) == []
        checks.check_files(engine, [ROUND])
        asked = engine.everywhere

        def elsewhere(function, probe, *args):
            return asked(function, tmp_path / "there" / probe.name, *args)

        engine.everywhere = elsewhere
        monkeypatch.setattr(checks, "PATIENCE", 0.1)
        with pytest.raises(LomarError, match=r"worker tcp://.* cannot see .* storage that all"):
            checks.check_folder(engine, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_storage_without_locks_is_told_of(two_workers, tmp_path):
    notes = []
    with open_engine(two_workers.address, 1, notes.append) as engine:
        checks.check_folder(engine, tmp_path)
        assert notes == []
        asked = engine.everywhere

        def unlocked(*args):
            return {worker: (name, False) for worker, (name, _) in asked(*args).items()}

        engine.everywhere = unlocked
        checks.check_folder(engine, tmp_path)
    assert "not locked between machines" in notes[0]


def test_another_file_of_the_same_name(two_workers, tmp_path):
    here = tmp_path / "round.h5"
    here.write_bytes(b"a" * 100)
    with open_engine(two_workers.address) as engine:
        asked = engine.everywhere

        def changed(function, files):
            return asked(function, [(path, size, digest[::-1]) for path, size, digest in files])

        engine.everywhere = changed
        with pytest.raises(LomarError, match=r"worker tcp://.*round.h5: is another file there"):
            checks.check_files(engine, [here])
        here.unlink()
        engine.everywhere = asked
        with pytest.raises(LomarError, match=r"worker tcp://.*is not there"):
            checks.ask(engine, checks._same_files, [(here, 1, "")])


def test_without_dask(tmp_path):
    """As in an installation without the extra."""
    code = (
        "import sys\n"
        "sys.modules['dask'] = sys.modules['distributed'] = None\n"
        "from lomar_cli.__main__ import main\n"
        "main()\n"
    )
    words = ["drill", str(ROUND), "-q", "-o", str(tmp_path / "d")]
    few = ["--attacks", "nan", "--methods", "krum", "--shares", "10%", "--seeds", "1", "-j", "1"]

    def run(*more):
        command = [sys.executable, "-c", code, *words, *few, *more]
        return subprocess.run(command, capture_output=True, text=True, env=environment())

    refused = run("--cluster", "local:2")
    assert refused.returncode == 2
    assert refused.stderr.strip() == (
        "lomar: error: --cluster: needs Dask: pip install 'lomar-cli[cluster]'"
    )
    assert run().returncode == 0


def test_jobs_are_the_clusters(tmp_path):
    ran = lomar("drill", ROUND, "-o", tmp_path / "d", "-j", 2, "--cluster", "tcp://127.0.0.1:1")
    assert ran.exit_code == 2
    assert "the cluster has its own workers" in ran.stderr


def test_workers_behind_their_scheduler(two_workers, port):
    """Results then come through it; otherwise straight from the workers."""
    assert not dask_open._reachable(f"tcp://127.0.0.1:{port}")
    assert not dask_open._reachable("inproc://127.0.0.1/1/2")
    with open_engine(two_workers.address) as engine:
        assert engine.client.direct_to_workers
        engine.client.direct_to_workers = False
        assert list(engine.ordered(max, [(1, 2)] * 3)) == [2] * 3
