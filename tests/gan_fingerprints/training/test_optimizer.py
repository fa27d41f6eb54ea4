"""A minibatch in halves is the same as whole."""

import numpy as np
import pytest
import tensorflow as tf

from classifier.networks import Classifier
from gan_fingerprints.networks.layers import in_halves


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
