"""A minibatch in halves is the same as whole; random keys; the running average."""

import numpy as np
import pytest
import tensorflow as tf

from classifier.networks import Classifier
from gan_fingerprints.networks.layers import in_halves, to_network
from gan_fingerprints.training.optimizer import random_key, update_average


@pytest.mark.parametrize("number", [6, 5])
def test_halves_give_the_same_logits_and_gradients(number):
    network = Classifier(16, 3, fmap_base=64, fmap_max=16)
    images = tf.random.stateless_normal([number, 16, 16, 3], [0, 1])
    sizes = []

    def counted(x):
        sizes.append(x.shape[0])
        return network(x)

    found = []
    for function in (network, in_halves(counted)):
        with tf.GradientTape() as tape:
            logits = function(images)
            loss = tf.reduce_sum(logits**2)
        found.append([logits, *tape.gradient(loss, network.trainable_variables)])
    for whole, halves in zip(*found, strict=True):
        np.testing.assert_allclose(halves, whole, rtol=1e-4, atol=1e-4 * np.abs(whole).max())
    assert sizes == ([3, 3] if number == 6 else [5])


def test_random_keys_are_of_seed_step_stream_and_replica():
    steps = tf.Variable(5, dtype=tf.int64)
    assert random_key(9, steps).numpy().tolist() == [9, 5 * 64]
    steps.assign(2**40)
    assert random_key(2**32 - 1, steps, 2**48).numpy().tolist() == [2**32 - 1, 2**46 + 2**48]


def test_the_average_moves_towards_the_network():
    average, network = (Classifier(16, 2, fmap_base=64, fmap_max=16) for _ in range(2))
    before = [v.numpy() for v in average.trainable_variables]
    update_average(average, network, 0.75)
    for old, new, value in zip(
        before, average.trainable_variables, network.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(new.numpy(), 0.75 * old + 0.25 * value.numpy(), atol=1e-6)
    update_average(average, network, 0.0)
    for new, value in zip(average.trainable_variables, network.trainable_variables, strict=True):
        np.testing.assert_array_equal(new.numpy(), value.numpy())


def test_pixels_become_numbers_from_minus_one_to_one():
    found = to_network(tf.constant([0, 51, 255], tf.uint8)).numpy()
    np.testing.assert_allclose(found, [-1, -0.6, 1], atol=1e-7)
