"""Speed and memory of the classifier at 128 px (the paper's network, minibatch 32).

Rates count only the layers' own multiply-adds and are given as a share of the machine's float32
matrix-multiplication rate, measured in turn in the same run.

    python3 benchmarks/classifier.py --out classifier.json
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

from benchmarks import machine
from gan_fingerprints import program

RESOLUTION, MINIBATCH, SOURCES = 128, 32, 5


def steps(precision: str):
    """A training and an inference step of the paper's network, each with its multiply-adds."""
    import tensorflow as tf

    from classifier.config import Config
    from classifier.training import Trainer
    from gan_fingerprints.networks.layers import to_network

    machine.set_precision(precision)
    strategy = tf.distribute.get_strategy()
    trainer = Trainer(Config(minibatch=MINIBATCH), RESOLUTION, SOURCES, strategy)
    pixels = machine.random_pixels(MINIBATCH, RESOLUTION)
    labels = tf.one_hot(tf.range(MINIBATCH) % SOURCES, SOURCES)
    infer = tf.function(lambda pixels: trainer.logits_of(to_network(pixels)))

    def step_of(function, *inputs):
        function(*inputs)  # the first call is slower
        graph = function.get_concrete_function(*inputs).graph
        return lambda: function(*inputs), machine.multiply_adds(machine.needed(graph))

    return step_of(trainer.update, pixels, labels), step_of(infer, pixels)


def images_per_second(step):
    return lambda: MINIBATCH / machine.seconds_per_call(step, 3)


def main() -> None:
    arguments = program.Parser(__doc__.partition("\n")[0], machine.rounds(7)).parse_args()
    program.load_tensorflow()
    rounds = arguments.rounds
    train, infer = steps("float32")
    results = {
        "machine": machine.describe(),
        "training_of_matmul": machine.share_of_matmul(*train, 3, rounds),
        "inference_of_matmul": machine.share_of_matmul(*infer, 6, rounds),
        "peak_memory_mib": machine.peak_memory_mib(),
    }
    pairs = zip(("training", "inference"), steps("bfloat16"), (train, infer), strict=True)
    for name, (fast, _), (slow, _) in pairs:
        results[f"{name}_bfloat16_of_float32"] = machine.paired_ratio(
            images_per_second(fast), images_per_second(slow), rounds
        )
    machine.report(results, arguments.out)


if __name__ == "__main__":
    program.run(main)
