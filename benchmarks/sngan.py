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

import argparse
import itertools

import numpy as np

from benchmarks import machine
from gan_fingerprints import program, typed
from gan_fingerprints.program import option
from SNGAN.config import SIZES, Config

OPTIONS = {
    "--size": option(typed.one_of(*SIZES), 128, "side of the images"),
    "--ch": option(typed.positive_int, 64, "width"),
    "--batch": option(typed.positive_int, 8, "images per step"),
    "--n_dis": option(typed.positive_int, 5, "D steps"),
    **machine.PRECISION,
    **machine.rounds(),
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


def multiply_adds(graph) -> int:
    """Of the layers' convolutions and products in a graph, as it was traced."""
    total = 0
    for op in graph.get_operations():
        if op.type == "MatMul" and min(x.shape[0] for x in op.inputs) > 1:
            inner = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
            total += inner * op.outputs[0].shape.num_elements()
        elif op.type == "Conv2D":
            total += op.inputs[1].shape.num_elements() * pixels_of(op.outputs[0])
        elif op.type == "Conv2DBackpropInput":
            total += op.inputs[1].shape.num_elements() * pixels_of(op.inputs[2])
        elif op.type == "Conv2DBackpropFilter":
            total += op.outputs[0].shape.num_elements() * pixels_of(op.inputs[2])
    return total


def pixels_of(tensor) -> int:
    return int(np.prod(tensor.shape[:3]))


def iteration_of(config: Config):
    """One iteration as a function, and its multiply-adds."""
    import tensorflow as tf

    from SNGAN.training import Trainer

    trainer = Trainer(config, tf.distribute.get_strategy())
    trainer.set_learning_rate(config.alpha)
    shape = (config.batchsize, config.size, config.size, 3)
    pixels = np.random.RandomState(0).randint(256, size=shape).astype(np.uint8)
    inputs = (tf.constant(pixels), tf.zeros([config.batchsize, 1]))
    work = multiply_adds(trainer.update_G.get_concrete_function().graph)
    work += config.n_dis * multiply_adds(trainer.update_D.get_concrete_function(*inputs).graph)

    stream = itertools.repeat(inputs)

    def iteration():
        return trainer.step(stream)[-1]

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
    results = {
        "machine": machine.describe(),
        "settings": vars(arguments),
        "multiply_adds": work,
        "seconds_per_iteration": round(work / share["rate"], 3),
        "real_images_per_second": round(share["rate"] / work * config.images_per_iteration, 2),
        "training_of_matmul": share,
        "peak_memory_mib": machine.peak_memory_mib(),
    }
    machine.report(results, arguments.out)


if __name__ == "__main__":
    program.run(main)
