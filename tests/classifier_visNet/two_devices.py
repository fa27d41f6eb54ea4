"""Runs in an interpreter of its own: three steps on one device and on two, then compares.

TensorFlow's devices can be divided only before anything else has used them.
"""

import numpy as np
import tensorflow as tf

from classifier_visNet.config import Config
from classifier_visNet.training import Trainer

# Without what is drawn or grouped per device, the steps are the same up to rounding.
CONFIG = Config(fmap_base=64, fmap_max=16, minibatch=8, gp_weight=0.0, mbstd_group_size=0)


def steps_on(strategy):
    trainer = Trainer(CONFIG, 16, 3, strategy)
    rng = np.random.RandomState(0)
    pixels = rng.randint(256, size=(24, 16, 16, 3)).astype(np.uint8)
    labels = np.eye(3, dtype=np.float32)[rng.randint(3, size=24)]
    data = tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(8)
    batches = strategy.experimental_distribute_dataset(data)
    stream = iter(batches)
    losses = [trainer.step(stream).numpy() for _ in range(3)]
    assert int(trainer.shown) == 24
    assert int(trainer.skipped) == 0
    return np.array(losses), trainer


def main():
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    expected, alone = steps_on(tf.distribute.OneDeviceStrategy("CPU:0"))
    found, pair = steps_on(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    assert np.abs(expected[0] - expected[-1]).max() > 0.01
    for name in ("EG", "D", "EGs"):
        for one, two in zip(
            getattr(alone, name).variables, getattr(pair, name).variables, strict=True
        ):
            first, second = (part.numpy() for part in two.value.values)
            np.testing.assert_array_equal(first, second, two.path)
            # Adam's first steps have the size of the rate whatever the gradient's, so where that
            # is nearly zero its rounding decides.
            close = np.isclose(first, one.numpy(), atol=1e-4)
            assert close.mean() > 0.97, two.path


if __name__ == "__main__":
    main()
