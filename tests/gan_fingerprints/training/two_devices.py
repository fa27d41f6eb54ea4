"""Runs in an interpreter of its own: three steps on one device and on two, then compares.

TensorFlow's devices can be divided only before anything else has used them.
"""

import keras
import numpy as np
import tensorflow as tf

from classifier.networks import Classifier
from classifier.training import loss_per_image
from gan_fingerprints.training.optimizer import adam, apply_if_finite


def three_steps(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        network = Classifier(16, 3, fmap_base=64, fmap_max=16)
        optimizer = adam(0.0, 0.99, 1e-8)
        optimizer.build(network.trainable_variables)
        optimizer.learning_rate.assign(0.001)
    skipped = tf.Variable(0, dtype=tf.int64)

    def gradients_of(images, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(loss_per_image(network(images), labels)) / 8
        return loss, tape.gradient(loss, network.trainable_variables)

    @tf.function
    def step(images, labels):
        loss, gradients = strategy.run(gradients_of, (images, labels))
        apply_if_finite(strategy, optimizer, gradients, network.trainable_variables, skipped)
        return strategy.reduce("SUM", loss, axis=None)

    rng = np.random.RandomState(0)
    images = rng.uniform(-1, 1, [24, 16, 16, 3]).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[rng.randint(3, size=24)]
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8, drop_remainder=True)
    losses = [float(step(*b)) for b in strategy.experimental_distribute_dataset(batches)]
    return losses, [np.asarray(v) for v in network.trainable_variables], int(skipped)


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one = three_steps(tf.distribute.get_strategy())
    two = three_steps(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    np.testing.assert_allclose(one[0], two[0], rtol=1e-4)
    for a, b in zip(one[1], two[1], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)
    assert one[2] == two[2] == 0
    print("same")


if __name__ == "__main__":
    main()
