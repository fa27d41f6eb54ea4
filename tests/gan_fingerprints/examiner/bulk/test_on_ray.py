"""Shards on workers of Ray: the rows of one process, also where workers are killed."""

import argparse
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from gan_fingerprints import __main__
from gan_fingerprints.examiner.bulk import on_ray
from gan_fingerprints.program import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def as_fast_as_the_others(monkeypatch):
    """Ray's workers give way to all other processes, so that other tests would starve them."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


def workers():
    """Processes of Ray that have a model."""
    title = f"ray::{on_ray.Worker.__name__}"
    return [x for x in psutil.process_iter(["cmdline"]) if title in " ".join(x.info["cmdline"])]


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("results-*"))}


def test_the_rows_are_those_of_one_process(many, attribute, tmp_path):
    pytest.importorskip("ray")
    cores = len(os.sched_getaffinity(0))  # as sums may be rounded otherwise by other threads
    how = "--shards", 5, "--ray", "local", "--ray_cores", cores
    assert attribute(many, "--out", tmp_path / "one", "--shards", 5) == 0
    assert attribute(many, "--out", tmp_path / "ray", *how) == 0
    assert written(tmp_path / "ray") == written(tmp_path / "one")
    __main__.run(["merge", str(tmp_path / "ray"), "--out", str(tmp_path / "all.jsonl")])


def test_a_killed_worker_costs_its_shard_only(many, attribute, tmp_path):
    pytest.importorskip("ray")
    killed = []

    def kill():
        while not killed:
            time.sleep(0.05)
            if written(tmp_path / "ray") and (found := workers()):
                os.kill(found[0].pid, signal.SIGKILL)
                killed.append(found[0].pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    assert attribute(many, "--out", tmp_path / "ray", "--shards", 25, "--ray", "local") == 0
    thread.join(10)
    assert killed
    assert len(written(tmp_path / "ray")) == 25
    __main__.run(["merge", str(tmp_path / "ray"), "--out", str(tmp_path / "all.jsonl")])
    names = [path for path in (tmp_path / "ray").iterdir() if path.name.endswith(".lock")]
    assert [path.name for path in names] == [".listing.lock"]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense", "a:b"])
def test_a_cluster_that_is_not_there_is_one_line(address):
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=f"^--ray {address}: cannot be reached .*HOST:PORT"):
        on_ray.write_shards(argparse.Namespace(ray=address), None, [0], print)
