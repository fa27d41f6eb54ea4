"""ProGAN's losses with a discriminator whose gradient is known."""

import numpy as np
import pytest
import tensorflow as tf

from ProGAN import losses

RANDOM = np.random.RandomState(0)
REALS, FAKES = RANDOM.randn(2, 3, 4, 4, 3)
WEIGHTS = RANDOM.randn(4, 4, 3)
MIX = np.array([0.0, 0.3, 0.9]).reshape(3, 1, 1, 1)
LABELS = np.eye(2)[[0, 1, 1]]


def score(images):
    return np.sum(WEIGHTS * images**2, axis=(1, 2, 3)) / 2


def logits(images):
    return images[:, 0, 0, :2]


def D(images):
    """Scores ½ Σ w·x², whose gradient is w·x; two pixels as label logits."""
    scores = tf.reduce_sum(tf.constant(WEIGHTS) * images**2, [1, 2, 3]) / 2
    return scores[:, None], images[:, 0, 0, :2]


def cross_entropy(images):
    values = logits(images)
    return np.log(np.exp(values).sum(axis=1)) - (values * LABELS).sum(axis=1)


def test_the_generators_loss():
    fakes = tf.constant(FAKES)
    np.testing.assert_allclose(
        losses.generator_loss(D, fakes, tf.constant(LABELS)), -score(FAKES) + cross_entropy(FAKES)
    )
    unlabelled = losses.generator_loss(D, fakes, tf.zeros([3, 0], tf.float64))
    np.testing.assert_allclose(unlabelled, -score(FAKES))


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("options", [{}, {"upscaling": 4, "gp_weight": 3.0, "drift_weight": 0.5}])
def test_the_discriminators_loss(labelled, options):
    values = {"upscaling": 1, "gp_weight": 10.0, "drift_weight": 0.001} | options
    slopes = WEIGHTS * (REALS + MIX * (FAKES - REALS))
    norms = np.sqrt(np.sum(slopes**2, axis=(1, 2, 3))) / values["upscaling"]
    expected = score(FAKES) - score(REALS) + values["gp_weight"] * (norms - 1) ** 2
    expected += values["drift_weight"] * score(REALS) ** 2
    if labelled:
        expected += cross_entropy(REALS) + cross_entropy(FAKES)
    labels = tf.constant(LABELS if labelled else np.zeros((3, 0)))
    found = losses.discriminator_loss(
        D, tf.constant(REALS), tf.constant(FAKES), labels, tf.constant(MIX), **options
    )
    np.testing.assert_allclose(found, expected)
