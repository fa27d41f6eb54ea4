"""Runs in an interpreter of its own: four iterations on two devices, then checks and exits.

TensorFlow's devices can be divided only before anything else has used them.
"""

import numpy as np
import tensorflow as tf

from gan_fingerprints.ipm.config import Config
from gan_fingerprints.ipm.sampling import collect_statistics
from gan_fingerprints.ipm.training import Trainer
from MMDGAN.gan.core.wgan_gp import WassersteinGP


def main():
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    config = Config(model="wgan_gp", dof_dim=1, architecture="dcgan", output_size=16, gf_dim=2,
                    df_dim=2, z_dim=8, batch_size=8, learning_rate=1e-3)  # fmt: skip
    trainer = Trainer(config, WassersteinGP(), 0, strategy)

    # Gradients of 3 and 5 times the same: their mean, clipped to norm 1, in two shares.
    def shares():
        number = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
        return trainer._clipped([(3 + 2 * number) * tf.constant([0.0, 1.0])])[0]

    found = strategy.run(shares)
    np.testing.assert_allclose(strategy.reduce("SUM", found, axis=None), [0, 1], rtol=1e-6)

    watched = trainer.G.linear.weight, trainer.D.convs[1].weight
    before = [v.numpy() for v in watched]
    pixels = np.random.RandomState(0).randint(256, size=(32, 16, 16, 3)).astype(np.uint8)
    data = tf.data.Dataset.from_tensor_slices(pixels).batch(8)
    for batch in strategy.experimental_distribute_dataset(data):
        losses = [float(trainer.update_D(batch)), float(trainer.update_G(batch))]
        assert np.isfinite(losses).all()
    assert int(trainer.shown) == 2 * 32
    assert int(trainer.skipped) == 0
    collect_statistics(trainer.G, 0)
    for variable in trainer.G.variables + trainer.D.variables:
        first, second = (part.numpy() for part in variable.value.values)
        np.testing.assert_array_equal(first, second, variable.path)
    for variable, old in zip(watched, before, strict=True):
        assert np.abs(variable.numpy() - old).max() > 1e-4


if __name__ == "__main__":
    main()
