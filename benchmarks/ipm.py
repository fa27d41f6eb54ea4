"""Speed and memory of one iteration of CramerGAN's or MMDGAN's training (128 px, batch 8).

The rate counts the multiply-adds that the layers really do, forward and backward, in the traced
graph, and is given as a share of the machine's float32 matrix-multiplication rate, measured in
turn in the same run.

    python3 benchmarks/ipm.py --out ipm.json
    python3 benchmarks/ipm.py --model cramer --batch 32 --rounds 1
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
from CramerGAN.gan.main import CRAMER_GAN
from gan_fingerprints import program, typed
from gan_fingerprints.ipm.config import ARCHITECTURES, Config
from gan_fingerprints.program import option
from MMDGAN.gan.main import MMD_GAN

PROGRAMS = {"cramer": CRAMER_GAN, "mmd": MMD_GAN}

OPTIONS = {
    "--model": option(typed.one_of(*PROGRAMS), "mmd", "the loss"),
    "--architecture": option(typed.one_of(*ARCHITECTURES), "g_resnet5", "the networks"),
    "--size": option(typed.positive_int.of("PIXELS"), 128, "side of the images"),
    "--width": option(typed.positive_int, 64, "gf_dim and df_dim"),
    "--batch": option(typed.positive_int, 8, "images per step"),
}


def step_of(arguments: argparse.Namespace):
    """See `machine.training`."""
    import tensorflow as tf

    from gan_fingerprints.ipm.training import Trainer

    given = {"architecture": arguments.architecture, "output_size": arguments.size}
    given |= {"gf_dim": arguments.width, "df_dim": arguments.width, "batch_size": arguments.batch}
    model = PROGRAMS[arguments.model]
    config = Config(**{key: x for key, x in model.defaults.items() if key != "name"}, **given)
    objective = model.objectives[config.model](config)
    trainer = Trainer(config, objective, 0, tf.distribute.get_strategy())
    pixels = machine.random_pixels(config.batch_size, config.output_size)
    work = machine.multiply_adds(trainer.update_G.get_concrete_function(pixels).graph)
    D = trainer.update_D.get_concrete_function(pixels).graph
    work += config.dsteps * machine.multiply_adds(D)
    stream = itertools.repeat([pixels])
    images = (config.dsteps + config.gsteps) * config.batch_size
    return lambda: trainer.step(stream)[0], work, images


if __name__ == "__main__":
    program.run(lambda: machine.training(__doc__, OPTIONS, step_of))
