"""Runs in an interpreter of its own: four iterations on two devices, then checks and exits.

TensorFlow's devices can be divided only before anything else has used them.
"""

import dataclasses
import sys

import numpy as np
import tensorflow as tf

from SNGAN import config as configuration
from SNGAN.training import Trainer


def main():
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    config = configuration.load(sys.argv[1])
    small = {"size": 32, "ch": 2, "n_classes": 1}
    config = dataclasses.replace(
        config, batchsize=4, n_gen_samples=4, generator={**small, "dim_z": 8}, discriminator=small
    )
    trainer = Trainer(config, strategy)
    trainer.set_learning_rate(1e-3)
    before = [v.numpy() for v in (trainer.G.l1.W, trainer.D.blocks[1].c1.u)]
    pixels = np.random.RandomState(0).randint(256, size=(16, 32, 32, 3)).astype(np.uint8)
    data = tf.data.Dataset.from_tensor_slices((pixels, np.zeros([16, 1], np.float32))).batch(4)
    for batch in strategy.experimental_distribute_dataset(data):
        losses = [float(trainer.update_G()), float(trainer.update_D(*batch))]
        assert np.isfinite(losses).all()
    assert int(trainer.shown) == 16
    assert int(trainer.skipped) == 0
    for variable in trainer.G.variables + trainer.D.variables:
        first, second = (part.numpy() for part in variable.value.values)
        np.testing.assert_array_equal(first, second, variable.path)
    for variable, old in zip((trainer.G.l1.W, trainer.D.blocks[1].c1.u), before, strict=True):
        assert np.abs(variable.numpy() - old).max() > 1e-4


if __name__ == "__main__":
    main()
