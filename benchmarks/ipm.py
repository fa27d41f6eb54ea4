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
from gan_fingerprints import program
from gan_fingerprints.ipm.config import ARCHITECTURES, Config
from MMDGAN.gan.main import MMD_GAN

PROGRAMS = {"cramer": CRAMER_GAN, "mmd": MMD_GAN}


def parse_arguments() -> argparse.Namespace:
    parser = program.Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=tuple(PROGRAMS), default="mmd", help="the loss")
    parser.add_argument("--architecture", choices=tuple(ARCHITECTURES), default="g_resnet5",
                        help="the networks")  # fmt: skip
    parser.add_argument("--size", type=program.positive_int, default=128, metavar="PIXELS",
                        help="side of the images")  # fmt: skip
    parser.add_argument("--width", type=program.positive_int, default=64, metavar="N",
                        help="gf_dim and df_dim")  # fmt: skip
    parser.add_argument("--batch", type=program.positive_int, default=8, metavar="N",
                        help="images per step")  # fmt: skip
    parser.add_argument("--mixed_precision", choices=("float32", "bfloat16"), default="float32",
                        help="arithmetic of the layers")  # fmt: skip
    parser.add_argument("--rounds", type=program.positive_int, default=5, metavar="N",
                        help="pairs of measurements; the median counts")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write the results as JSON too")
    return parser.parse_args()


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
    arguments = parse_arguments()
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
