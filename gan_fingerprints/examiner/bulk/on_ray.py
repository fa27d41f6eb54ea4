"""Shards on workers of Ray, which starts them where there is room: on one machine or on many."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gan_fingerprints import program, rooms
from gan_fingerprints.examiner import loading
from gan_fingerprints.examiner.bulk import plan, work
from gan_fingerprints.examiner.bulk.plan import Plan
from gan_fingerprints.examiner.bulk.totals import Tally
from gan_fingerprints.networks.graphs import light
from gan_fingerprints.program import UserError

LOCAL, AUTO = "local", "auto"
PATIENCE = 10.0  # seconds, for a cluster to answer
MOST_DEATHS = 5  # of workers, for each of them, without a shard done


def check() -> None:
    """UserError unless Ray is installed."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise UserError(
            "--ray: needs the package ray: pip install 'gan-fingerprints[bulk]', or leave it out"
        ) from None


def leave_gpus() -> None:
    """Keeps this process off the GPUs, of whose memory TensorFlow would leave the workers none."""
    if light.chosen():
        return
    program.load_tensorflow()
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


class Worker:
    """A process with a model, which does one shard after the other.

    Args:
        arguments: of `attribute`.
        folder: of the plan, as an absolute path.
        cores: that it may use.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path, cores: int) -> None:
        rooms.enter()
        self._plan = plan.read(folder, "--out")
        os.chdir(self._plan.manifest["asked"]["folder"])
        if not light.chosen():
            program.load_tensorflow()
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(cores)
            tf.config.threading.set_inter_op_parallelism_threads(cores)
        path, flag = loading.model_file(arguments.model)
        self._model = loading.load(arguments, path, flag, self._plan.model)

    def ready(self) -> None:
        """Returns when there is a model."""

    def do(self, shard: int) -> Tally:
        """Writes a shard, unless another worker has, and counts its rows."""
        # A worker that is being killed may have its lock for a moment.
        found = work.write_shard(self._model, self._plan, shard, lambda: None, wait=True)
        return found or Tally()


def write_shards(
    arguments: argparse.Namespace, made: Plan, missing: Sequence[int],
    progress: Callable[[int], object],
) -> Tally:  # fmt: skip
    """Writes shards on workers, and counts their rows.

    progress: called with the number of images of each shard that is done.
    """
    import ray

    _connect(arguments.ray)
    resources = ray.cluster_resources()
    gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    number = min(len(missing), gpus or max(1, cores // arguments.ray_cores))
    need = {"num_cpus": arguments.ray_cores, "num_gpus": int(gpus > 0)}
    kind = ray.remote(**need)(Worker)
    start = partial(kind.remote, arguments, made.folder.absolute(), arguments.ray_cores)
    try:
        return _done(start, number, made, missing, progress)
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Connects to a cluster, or starts one here."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it would report to its makers
    root = str(Path(__file__).resolve().parents[3])
    found = os.pathsep.join(dict.fromkeys([root, *filter(None, sys.path)]))
    how: dict[str, Any] = {"runtime_env": {"env_vars": {"PYTHONPATH": found}}}
    if address not in (AUTO, LOCAL):
        _require_answer(address)
    if address != AUTO:
        how["address"] = address
    if address == LOCAL:
        how["include_dashboard"] = False
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    except (ConnectionError, ValueError) as error:
        raise UserError(f"--ray {address}: cannot be reached ({error})") from None


def _require_answer(address: str) -> None:
    """UserError where nothing listens: Ray itself would try again for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        if not host or not port.isdecimal():
            raise OSError("no HOST:PORT")
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--ray {address}: cannot be reached ({error}); expected auto, local or the HOST:PORT "
            "of a running cluster"
        ) from None


def _done(
    start: Callable[[], Any], number: int, made: Plan, missing: Sequence[int],
    progress: Callable[[int], object],
) -> Tally:  # fmt: skip
    """Gives shards to so many workers; what a worker had that died is given to another."""
    import ray

    waiting, left, deaths = deque(missing), len(missing), 0
    tally = Tally()
    # What is asked → of which worker, and for which shard; first whether it is ready.
    asked: dict[Any, tuple[Any, int | None]] = {}
    for worker in [start() for _ in range(number)]:
        asked[worker.ready.remote()] = worker, None
    while left:
        (answer,), _ = ray.wait(list(asked))
        worker, shard = asked.pop(answer)
        try:
            found = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from None
            raise
        except ray.exceptions.RayError as error:  # it died, or its machine
            deaths += 1
            if deaths > MOST_DEATHS * number:
                raise UserError(f"--ray: workers die again and again ({error})") from None
            if shard is not None:
                waiting.appendleft(shard)
            worker = start()
            asked[worker.ready.remote()] = worker, None
            continue
        if shard is not None:
            tally += found
            left, deaths = left - 1, 0
            progress(made.manifest["number"][shard])
        if waiting:
            shard = waiting.popleft()
            asked[worker.do.remote(shard)] = worker, shard
    return tally
