"""The losses of visNet with a critic whose gradient is known."""

import numpy as np
import pytest
import tensorflow as tf

from classifier_visNet import losses

RANDOM = np.random.RandomState(0)
REALS, FAKES = RANDOM.randn(2, 3, 4, 4, 3)
WEIGHTS = RANDOM.randn(4, 4, 3)
MIX = np.array([0.0, 0.3, 0.9]).reshape(3, 1, 1, 1)


def score(images):
    return np.sum(WEIGHTS * images**2, axis=(1, 2, 3)) / 2


def D(images):
    """Scores ½ Σ w·x², whose gradient is w·x."""
    return tf.reduce_sum(tf.constant(WEIGHTS) * images**2, [1, 2, 3])[:, None] / 2


def test_the_autoencoders_three_losses():
    logits, labels = RANDOM.randn(3, 2), np.eye(2)[[0, 1, 1]]
    found = losses.autoencoder_losses(
        D, tf.constant(REALS), tf.constant(FAKES), tf.constant(logits), tf.constant(labels)
    )
    np.testing.assert_allclose(found.rec, np.abs(FAKES - REALS).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(found.adv, -score(FAKES))
    entropy = np.log(np.exp(logits).sum(axis=1)) - (logits * labels).sum(axis=1)
    np.testing.assert_allclose(found.cls, entropy)


@pytest.mark.parametrize("options", [{}, {"gp_weight": 3.0, "drift_weight": 0.5}])
def test_the_critics_loss(options):
    values = {"gp_weight": 10.0, "drift_weight": 0.001} | options
    slopes = WEIGHTS * (REALS + MIX * (FAKES - REALS))
    norms = np.sqrt(np.sum(slopes**2, axis=(1, 2, 3)))
    expected = score(FAKES) - score(REALS) + values["gp_weight"] * (norms - 1) ** 2
    expected += values["drift_weight"] * score(REALS) ** 2
    found = losses.critic_loss(
        D, tf.constant(REALS), tf.constant(FAKES), tf.constant(MIX), **options
    )
    np.testing.assert_allclose(found, expected)
