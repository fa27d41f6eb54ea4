"""Speed and memory of the classifier at 128 px (the paper's network, minibatch 32).

Rates count only the layers' own multiply-adds and are given as a share of the machine's float32
matrix-multiplication rate, measured in turn in the same run.

    python3 benchmarks/classifier.py --out classifier.json
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks import machine
from gan_fingerprints import program

RESOLUTION, MINIBATCH, SOURCES = 128, 32, 5


def multiply_adds(network, training: bool) -> float:
    """Of the layers' convolutions and products, for one image.

    Training adds, per layer, one of the same size for the weights' gradient and, but for the
    first layer, one for the inputs' gradient.
    """
    forward = []
    side = RESOLUTION
    for first, second in network.convs:
        forward += [conv.weight.shape.num_elements() * side**2 for conv in (first, second)]
        side //= 2
    forward.append(network.last_conv.weight.shape.num_elements() * side**2)
    forward += [d.weight.shape.num_elements() for d in (network.head, network.to_logits)]
    return 3 * sum(forward) - forward[0] if training else sum(forward)


def steps(precision: str):
    """One training step and one inference step of the paper's network, as functions."""
    import keras
    import tensorflow as tf

    from classifier.config import Config
    from classifier.training import Trainer
    from gan_fingerprints.networks.layers import to_network

    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    strategy = tf.distribute.get_strategy()
    trainer = Trainer(Config(minibatch=MINIBATCH), RESOLUTION, SOURCES, strategy)
    shape = (MINIBATCH, RESOLUTION, RESOLUTION, 3)
    pixels = tf.constant(np.random.RandomState(0).randint(256, size=shape).astype(np.uint8))
    labels = tf.one_hot(tf.range(MINIBATCH) % SOURCES, SOURCES)
    infer = tf.function(lambda pixels: trainer.logits_of(to_network(pixels)))
    calls = (lambda: trainer.update(pixels, labels), lambda: infer(pixels))
    for call in calls:
        call()
    return trainer.C, *calls


def main() -> None:
    arguments = program.Parser(__doc__.partition("\n")[0], machine.rounds(7)).parse_args()
    program.load_tensorflow()

    network, train, infer = steps("float32")

    def rate(call, training: bool, calls: int):
        work = multiply_adds(network, training) * MINIBATCH
        return lambda: work / machine.seconds_per_call(call, calls)

    def compare(call, training: bool, calls: int):
        return machine.paired_ratio(
            rate(call, training, calls), machine.matmul_rate, arguments.rounds
        )

    results = {
        "machine": machine.describe(),
        "training_of_matmul": compare(train, True, 3),
        "inference_of_matmul": compare(infer, False, 6),
    }
    results["peak_memory_mib"] = machine.peak_memory_mib()
    _, train_bfloat16, infer_bfloat16 = steps("bfloat16")
    for name, fast, slow in (
        ("training", train_bfloat16, train),
        ("inference", infer_bfloat16, infer),
    ):
        results[f"{name}_bfloat16_of_float32"] = machine.paired_ratio(
            lambda call=fast: MINIBATCH / machine.seconds_per_call(call, 3),
            lambda call=slow: MINIBATCH / machine.seconds_per_call(call, 3),
            arguments.rounds,
        )
    machine.report(results, arguments.out)


if __name__ == "__main__":
    program.run(main)
