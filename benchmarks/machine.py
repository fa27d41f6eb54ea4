"""What the benchmarks compare with: the machine's own rates, measured in the same run."""

from __future__ import annotations

import json
import os
import platform
import resource
import time
from collections.abc import Callable
from functools import lru_cache
from statistics import median
from typing import Any

from gan_fingerprints import program, typed
from gan_fingerprints.program import option
from gan_fingerprints.training.run import PRECISIONS


def seconds_per_call(function: Callable[[], Any], calls: int) -> float:
    """Wall time of a call, over `calls` in a row; the last result is waited for."""
    start = time.perf_counter()
    for _ in range(calls):
        result = function()
    if hasattr(result, "numpy"):
        result.numpy()
    return (time.perf_counter() - start) / calls


def matmul_rate(size: int = 4096) -> float:
    """Float32 multiply-adds per second of one large matrix product."""
    product = _square(size)
    product()
    return size**3 / seconds_per_call(product, 2)


@lru_cache
def _square(size: int) -> Callable[[], Any]:
    import tensorflow as tf

    matrix = tf.random.normal([size, size])
    return tf.function(lambda: matrix @ matrix)


def paired_ratio(
    rate: Callable[[], float], reference: Callable[[], float], rounds: int
) -> dict[str, float]:
    """Median of rate / reference over rounds that measure both in turn, as the machine drifts."""
    pairs = [(rate(), reference()) for _ in range(rounds)]
    ratios = [found / expected for found, expected in pairs]
    return {
        "ratio": round(median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "rate": round(median(found for found, _ in pairs), 2),
    }


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


PRECISION = {"--mixed_precision": option(PRECISIONS, "float32", "arithmetic of the layers")}


def rounds(default: int = 5) -> dict[str, Any]:
    """The options that all benchmarks have."""
    return {
        "--rounds": option(typed.positive_int, default, "pairs of measurements; the median counts"),
        "--out": option(typed.file, None, "write the results as JSON too"),
    }


def describe() -> dict[str, Any]:
    """The machine, for the record."""
    return {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load": [round(x, 2) for x in os.getloadavg()],
    }


def report(results: dict[str, Any], out: str | None) -> None:
    """Prints the results as JSON, and writes them to a file if one is named."""
    text = json.dumps(results, indent=2)
    print(text)
    if out:
        with program.whole_file(out) as partial:
            partial.write_text(text + "\n")
