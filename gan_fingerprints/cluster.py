"""The processes that train one network together, as the variable TF_CONFIG names them.

What starts processes on machines (Slurm, Kubernetes, `ray.train`) sets it; TensorFlow reads it too.
Nothing here imports TensorFlow.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from dataclasses import dataclass

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)
JOBS = ("chief", "worker")  # in the order in which TensorFlow counts
TASK = re.compile(r"/job:(chief|worker)/(?:replica:\d+/)?task:(\d+)")
LOST = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError")
"""The exceptions of TensorFlow when a collective operation lacks one of its workers."""
LAST_WORDS = 5.0  # seconds that a worker gives the chief to end before it


@dataclass(frozen=True)
class Cluster:
    """All workers of a run, and which of them this process is.

    Attributes:
        addresses: HOST:PORT of each; the first is the chief, which alone writes.
        index: this worker's place among them.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def chief(self) -> bool:
        """Whether this is the one that writes."""
        return self.index == 0

    def name(self, index: int) -> str:
        """How messages call a worker."""
        return f"worker {index} ({self.addresses[index]})"


def of_environment() -> Cluster | None:
    """The cluster that TF_CONFIG describes; None where it is not set, or names one worker only.

    Raises:
        ValueError: what was found there and what is expected.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        found = json.loads(text)
        jobs, task = found.get("cluster", {}), found.get("task", {})
        strange = sorted(set(jobs) - set(JOBS))
        places = [(job, i, address) for job in JOBS for i, address in enumerate(jobs.get(job, ()))]
        addresses = tuple(str(address) for _, _, address in places)
        here = (task.get("type"), int(task.get("index", -1)))
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"found {text!r}, expected JSON as {EXAMPLE}") from None
    if strange:
        raise ValueError(
            f"found the job {strange[0]!r}, expected workers only, the first of which is the chief"
        )
    if not all(re.fullmatch(r".+:\d+", address) for address in addresses):
        raise ValueError(f"found the workers {list(addresses)}, expected HOST:PORT of each")
    if len(set(addresses)) < len(addresses):
        raise ValueError(f"found an address twice in {list(addresses)}, expected one per worker")
    if len(addresses) < 2:
        return None
    index = {(job, i): place for place, (job, i, _) in enumerate(places)}.get(here)
    if index is None:
        raise ValueError(
            f"found the task {task}, expected this process's type and index among "
            f"{len(addresses)} workers, as in {EXAMPLE}"
        )
    return Cluster(addresses, index)


def number() -> int:
    """How many workers train together; 1 where TF_CONFIG says nothing that can be used."""
    try:
        cluster = of_environment()
    except ValueError:
        return 1  # `begin.set_up_tensorflow` says what is wrong
    return len(cluster.addresses) if cluster else 1


def lost_worker(error: BaseException) -> str | None:
    """What to say of an exception that other workers caused by ending; None for any other."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "tensorflow" not in sys.modules or "OpError" not in names or number() < 2:
        return None
    text = str(error)
    aborted = "Collective ops is aborted" in text or "oordination" in text
    if not names & {*LOST} and not aborted:
        return None
    cluster = of_environment()
    assert cluster is not None
    # The first that is named is the one that says so.
    tail = text.partition("unhealthy")[2]
    places = {int(x[2]) + (x[1] == "worker" and _has_chief()) for x in TASK.finditer(tail)}
    lost = ", ".join(cluster.name(i) for i in sorted(places) if i < len(cluster.addresses))
    return (
        f"{lost or 'another worker'} has stopped, so {cluster.name(cluster.index)} stops too; see "
        "what that one printed, then start all workers again with --resume to continue from the "
        "last checkpoint"
    )


def _has_chief() -> bool:
    return bool(json.loads(os.environ[VARIABLE])["cluster"].get("chief"))


def leave(status: int) -> None:
    """Ends a program that is one of several workers, at once, but the chief first.

    What TensorFlow does at the end would wait for workers that have ended or are lost.
    """
    cluster = of_environment() if "tensorflow" in sys.modules and number() > 1 else None
    if cluster is None:
        return
    until = time.monotonic() + LAST_WORDS
    # The chief may still be listening to this worker, and would take it for lost.
    while not cluster.chief and time.monotonic() < until and _answers(cluster.addresses[0]):
        time.sleep(0.05)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True
