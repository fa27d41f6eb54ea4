"""Speed and memory of one training step of visNet (128 px, the paper's network, minibatch 16).

The rate counts the multiply-adds that the layers really do, in the critic's step (with the gradient
of its gradient) and the auto-encoder's, and is given as a share of the machine's float32
matrix-multiplication rate, measured in turn in the same run.

    python3 benchmarks/visnet.py --out visnet.json
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
from types import SimpleNamespace

import numpy as np

from benchmarks import machine
from benchmarks.sngan import multiply_adds
from gan_fingerprints import program, typed
from gan_fingerprints.program import option

OPTIONS = {
    "--size": option(typed.power_of_two, 128, "side of the images"),
    "--fmap_base": option(typed.positive_int, 1024, "width"),
    "--batch": option(typed.positive_int, 16, "images per step"),
    "--sources": option(typed.positive_int, 5, "how many"),
    **machine.PRECISION,
    **machine.rounds(),
}


def needed(graph) -> SimpleNamespace:
    """The graph without operations whose results nothing uses; TensorFlow does not run them."""
    found, waiting = set(), [x.op for x in graph.outputs] + list(graph.control_outputs)
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [x.op for x in op.inputs] + list(op.control_inputs)
    return SimpleNamespace(get_operations=lambda: list(found))


def step_of(arguments: argparse.Namespace):
    """One training step as a function, and its multiply-adds."""
    import keras
    import tensorflow as tf

    from classifier_visNet.config import Config
    from classifier_visNet.training import Trainer

    keras.utils.set_random_seed(0)
    config = Config(fmap_base=arguments.fmap_base, minibatch=arguments.batch)
    trainer = Trainer(config, arguments.size, arguments.sources, tf.distribute.get_strategy())
    shape = (arguments.batch, arguments.size, arguments.size, 3)
    pixels = tf.constant(np.random.RandomState(0).randint(256, size=shape).astype(np.uint8))
    labels = tf.one_hot(tf.range(arguments.batch) % arguments.sources, arguments.sources)
    graph = trainer.update.get_concrete_function(pixels, labels).graph

    def step():
        return trainer.update(pixels, labels)

    step()
    return step, multiply_adds(needed(graph))


def main() -> None:
    arguments = program.Parser(__doc__.partition("\n")[0], OPTIONS).parse_args()
    program.load_tensorflow()
    import keras

    policy = "mixed_bfloat16" if arguments.mixed_precision == "bfloat16" else "float32"
    keras.config.set_dtype_policy(policy)
    step, work = step_of(arguments)
    share = machine.paired_ratio(
        lambda: work / machine.seconds_per_call(step, 2), machine.matmul_rate, arguments.rounds
    )
    results = {
        "machine": machine.describe(),
        "settings": vars(arguments),
        "multiply_adds": work,
        "seconds_per_step": round(work / share["rate"], 3),
        "images_per_second": round(share["rate"] / work * arguments.batch, 2),
        "training_of_matmul": share,
        "peak_memory_mib": machine.peak_memory_mib(),
    }
    machine.report(results, arguments.out)


if __name__ == "__main__":
    program.run(main)
