"""What TF_CONFIG says of the workers of a run, and how a lost one is told."""

import json

import pytest
import tensorflow as tf

from gan_fingerprints import cluster

ADDRESSES = ["10.0.0.1:2222", "10.0.0.2:2222", "[::1]:2222"]


def describe(monkeypatch, jobs, **task):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))


def test_the_workers_and_this_one(monkeypatch):
    describe(monkeypatch, {"worker": ADDRESSES}, type="worker", index=2)
    found = cluster.of_environment()
    assert found == cluster.Cluster(tuple(ADDRESSES), 2)
    assert not found.chief
    assert found.name(1) == "worker 1 (10.0.0.2:2222)"
    assert cluster.number() == 3


def test_a_chief_of_its_own_comes_first(monkeypatch):
    jobs = {"worker": ADDRESSES[1:], "chief": ADDRESSES[:1]}
    describe(monkeypatch, jobs, type="chief", index=0)
    assert cluster.of_environment() == cluster.Cluster(tuple(ADDRESSES), 0)
    describe(monkeypatch, jobs, type="worker", index=0)
    assert cluster.of_environment() == cluster.Cluster(tuple(ADDRESSES), 1)


@pytest.mark.parametrize("text", [None, "", "{}", '{"cluster": {"worker": ["a:1"]}}'])
def test_one_worker_is_no_cluster(text, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    assert cluster.of_environment() is None
    assert cluster.number() == 1


@pytest.mark.parametrize(
    ("jobs", "index", "said"),
    [
        ({"worker": ADDRESSES}, 3, "found the task .*, expected this process's type and index"),
        ({"worker": ADDRESSES, "ps": ["a:1"]}, 0, "found the job 'ps', expected workers only"),
        ({"worker": ["a", "b:1"]}, 0, r"found the workers \['a', 'b:1'\], expected HOST:PORT"),
        ({"worker": ["a:1", "a:1"]}, 0, "found an address twice"),
        (["a:1"], 0, "expected JSON as"),
    ],
)
def test_what_is_wrong_is_said(jobs, index, said, monkeypatch):
    describe(monkeypatch, jobs, type="worker", index=index)
    with pytest.raises(ValueError, match=said):
        cluster.of_environment()
    assert cluster.number() == 1


def test_a_lost_worker_is_named(monkeypatch):
    text = (
        "Collective ops is aborted by: Error reported from /job:worker/task:1: The following "
        "tasks are unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/task:2\nmore"
    )
    error = tf.errors.UnavailableError(None, None, text)
    assert cluster.lost_worker(error) is None  # without a cluster it is another's error
    describe(monkeypatch, {"worker": ADDRESSES}, type="worker", index=0)
    said = cluster.lost_worker(error)
    assert said.startswith("worker 2 ([::1]:2222) has stopped, so worker 0 (10.0.0.1:2222) stops")
    assert "--resume" in said
    assert "another worker has stopped" in cluster.lost_worker(
        tf.errors.UnavailableError(None, None, "Socket closed")
    )
    assert cluster.lost_worker(ValueError("Socket closed")) is None
    assert cluster.lost_worker(tf.errors.InvalidArgumentError(None, None, "shape")) is None
