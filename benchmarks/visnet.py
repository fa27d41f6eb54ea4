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
    from gan_fingerprints import missing

    missing.explain()

import argparse

from benchmarks import machine
from gan_fingerprints import program, typed
from gan_fingerprints.program import option

OPTIONS = {
    "--size": option(typed.power_of_two, 128, "side of the images"),
    "--fmap_base": option(typed.positive_int, 1024, "width"),
    "--batch": option(typed.positive_int, 16, "images per step"),
    "--sources": option(typed.positive_int, 5, "how many"),
}


def step_of(arguments: argparse.Namespace):
    """See `machine.training`."""
    import keras
    import tensorflow as tf

    from classifier_visNet.config import Config
    from classifier_visNet.training import Trainer

    keras.utils.set_random_seed(0)
    batch, sources = arguments.batch, arguments.sources
    config = Config(fmap_base=arguments.fmap_base, minibatch=batch)
    trainer = Trainer(config, arguments.size, sources, tf.distribute.get_strategy())
    pixels = machine.random_pixels(batch, arguments.size)
    labels = tf.one_hot(tf.range(batch) % sources, sources)
    graph = trainer.update.get_concrete_function(pixels, labels).graph
    work = machine.multiply_adds(machine.needed(graph))
    return lambda: trainer.update(pixels, labels), work, batch


if __name__ == "__main__":
    program.run(lambda: machine.training(__doc__, OPTIONS, step_of))
