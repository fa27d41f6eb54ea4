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

import argparse
import itertools

import numpy as np

from benchmarks import machine
from benchmarks.sngan import multiply_adds
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
    **machine.PRECISION,
    **machine.rounds(),
}


def configuration(arguments: argparse.Namespace) -> Config:
    defaults = dict(PROGRAMS[arguments.model].defaults)
    defaults.pop("name")
    return Config(
        **defaults, architecture=arguments.architecture, output_size=arguments.size,
        gf_dim=arguments.width, df_dim=arguments.width, batch_size=arguments.batch,
    )  # fmt: skip


def iteration_of(config: Config):
    """One iteration as a function, and its multiply-adds."""
    import tensorflow as tf

    from gan_fingerprints.ipm.training import Trainer

    objective = PROGRAMS[config.model].objectives[config.model](config)
    trainer = Trainer(config, objective, 0, tf.distribute.get_strategy())
    shape = (config.batch_size, config.output_size, config.output_size, 3)
    pixels = tf.constant(np.random.RandomState(0).randint(256, size=shape).astype(np.uint8))
    work = multiply_adds(trainer.update_G.get_concrete_function(pixels).graph)
    work += config.dsteps * multiply_adds(trainer.update_D.get_concrete_function(pixels).graph)

    stream = itertools.repeat([pixels])

    def iteration():
        return trainer.step(stream)[0]

    iteration()
    return iteration, work


def main() -> None:
    arguments = program.Parser(__doc__.partition("\n")[0], OPTIONS).parse_args()
    program.load_tensorflow()
    import keras

    policy = "mixed_bfloat16" if arguments.mixed_precision == "bfloat16" else "float32"
    keras.config.set_dtype_policy(policy)
    config = configuration(arguments)
    iteration, work = iteration_of(config)
    share = machine.paired_ratio(
        lambda: work / machine.seconds_per_call(iteration, 1), machine.matmul_rate, arguments.rounds
    )
    images = (config.dsteps + config.gsteps) * config.batch_size
    results = {
        "machine": machine.describe(),
        "settings": vars(arguments),
        "multiply_adds": work,
        "seconds_per_iteration": round(work / share["rate"], 3),
        "real_images_per_second": round(share["rate"] / work * images, 2),
        "training_of_matmul": share,
        "peak_memory_mib": machine.peak_memory_mib(),
    }
    machine.report(results, arguments.out)


if __name__ == "__main__":
    program.run(main)
