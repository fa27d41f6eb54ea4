"""What the benchmarks share: the machine's own rates, the work of a step, and the report."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from gan_fingerprints import program, typed
from gan_fingerprints.program import option
from gan_fingerprints.training.run import PRECISIONS, write_json


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
    return ratios_of([(rate(), reference()) for _ in range(rounds)])


def ratios_of(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The ratios of rates that were measured in turn: median and extremes."""
    ratios = [one / other for one, other in pairs]
    return {
        "ratio": round(median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "rate": round(median(one for one, _ in pairs), 2),
    }


def share_of_matmul(
    step: Callable[[], Any], work: int, calls: int, rounds: int
) -> dict[str, float]:
    """The rate of a step of `work` multiply-adds beside that of one large matrix product."""
    return paired_ratio(lambda: work / seconds_per_call(step, calls), matmul_rate, rounds)


def multiply_adds(graph: Any) -> int:
    """Of the layers' convolutions and products in a graph, as it was traced."""
    total = 0
    for op in graph.get_operations():
        # A product with a single row is a power iteration of spectral normalization.
        if op.type == "MatMul" and min(x.shape[0] for x in op.inputs) > 1:
            inner = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
            total += inner * op.outputs[0].shape.num_elements()
        elif op.type == "Conv2D":
            total += op.inputs[1].shape.num_elements() * _places(op.outputs[0])
        elif op.type == "Conv2DBackpropInput":
            total += op.inputs[1].shape.num_elements() * _places(op.inputs[2])
        elif op.type == "Conv2DBackpropFilter":
            total += op.outputs[0].shape.num_elements() * _places(op.inputs[2])
    return total


def _places(images: Any) -> int:
    return math.prod(images.shape[:3])


def needed(graph: Any) -> SimpleNamespace:
    """The graph without operations whose results nothing uses; TensorFlow does not run them."""
    used, waiting = set(), [x.op for x in graph.outputs] + list(graph.control_outputs)
    while waiting:
        op = waiting.pop()
        if op not in used:
            used.add(op)
            waiting += [x.op for x in op.inputs] + list(op.control_inputs)
    return SimpleNamespace(get_operations=lambda: list(used))


def random_pixels(number: int, size: int) -> Any:
    """The same uint8 images [number, size, size, 3] every time."""
    import tensorflow as tf

    return tf.constant(
        np.random.RandomState(0).randint(256, size=(number, size, size, 3)).astype(np.uint8)
    )


def set_precision(precision: str) -> None:
    """Sets the arithmetic of layers that are made from now on: float32 or bfloat16."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")


def training(
    description: str,
    options: Mapping[str, Any],
    step_of: Callable[[argparse.Namespace], tuple[Callable[[], Any], int, int]],
) -> None:
    """The whole program of a benchmark of training.

    Args:
        description: its first line is that of the help page.
        options: those of its own.
        step_of: makes, of their values, a training step as a function; its multiply-adds; and how
            many real images it sees.
    """
    precision = {"--mixed_precision": option(PRECISIONS, "float32", "arithmetic of the layers")}
    every = {**options, **precision, **rounds()}
    arguments = program.Parser(description.partition("\n")[0], every).parse_args()
    program.load_tensorflow()
    set_precision(arguments.mixed_precision)
    step, work, images = step_of(arguments)
    step()  # the first call is slower
    share = share_of_matmul(step, work, 1, arguments.rounds)
    results = {
        "machine": describe(),
        "settings": vars(arguments),
        "multiply_adds": work,
        "seconds_per_step": round(work / share["rate"], 3),
        "real_images_per_second": round(share["rate"] / work * images, 2),
        "training_of_matmul": share,
        "peak_memory_mib": peak_memory_mib(),
    }
    report(results, arguments.out)


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


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
    print(json.dumps(results, indent=2))
    if out:
        write_json(Path(out), results)
