"""Speed and memory of one iteration of SNGAN's training (128 px, ch 64, 5 D + 1 G, batch 8).

The rate counts the multiply-adds that the layers really do, forward and backward, in the traced
graph (power iterations left out), and is given as a share of the machine's float32
matrix-multiplication rate, measured in turn in the same run.

    python3 benchmarks/sngan.py --out sngan.json
    python3 benchmarks/sngan.py --size 32 --ch 32 --batch 32 --n_dis 2
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import itertools

from benchmarks import machine
from gan_fingerprints import program, typed
from gan_fingerprints.program import option
from SNGAN.config import SIZES, Config

OPTIONS = {
    "--size": option(typed.one_of(*SIZES), 128, "side of the images"),
    "--ch": option(typed.positive_int, 64, "width"),
    "--batch": option(typed.positive_int, 8, "images per step"),
    "--n_dis": option(typed.positive_int, 5, "D steps"),
}


def configuration(arguments: argparse.Namespace) -> Config:
    model = {"size": arguments.size, "ch": arguments.ch, "n_classes": 1}
    return Config(
        batchsize=arguments.batch, iteration=1, iteration_decay_start=1, seed=0,
        display_interval=1, progressbar_interval=1, snapshot_interval=1, evaluation_interval=1,
        generator={**model, "dim_z": 128}, discriminator=model, dataset="FolderDataset",
        image_list=None, alpha=2e-4, beta1=0.0, beta2=0.9, n_dis=arguments.n_dis,
        n_gen_samples=arguments.batch, conditional=False, loss_type="hinge",
    )  # fmt: skip


def step_of(arguments: argparse.Namespace):
    """See `machine.training`."""
    import tensorflow as tf

    from SNGAN.training import Trainer

    config = configuration(arguments)
    trainer = Trainer(config, tf.distribute.get_strategy())
    trainer.set_learning_rate(config.alpha)
    pixels = machine.random_pixels(config.batchsize, config.size)
    inputs = (pixels, tf.zeros([config.batchsize, 1]))
    work = machine.multiply_adds(trainer.update_G.get_concrete_function().graph)
    D = trainer.update_D.get_concrete_function(*inputs).graph
    work += config.n_dis * machine.multiply_adds(D)
    stream = itertools.repeat(inputs)
    return lambda: trainer.step(stream)[-1], work, config.images_per_iteration


if __name__ == "__main__":
    program.run(lambda: machine.training(__doc__, OPTIONS, step_of))
