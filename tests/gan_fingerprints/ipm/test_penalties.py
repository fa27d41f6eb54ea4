"""The penalties on a discriminator, in functions whose slopes are known."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.ipm import losses

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randn(3, 4, 5, 2)
WEIGHTS = RANDOM.randn(4, 5, 2)


def witness(images):
    """½ Σ w·x², whose slope is w·x."""
    return tf.reduce_sum(tf.constant(WEIGHTS) * images**2, [1, 2, 3]) / 2


def test_norm_keeps_its_slope_finite_at_zero():
    found = losses.norm(tf.constant([[3.0, 4.0], [0.0, 0.0]], tf.float64), axis=1)
    np.testing.assert_allclose(found, np.sqrt([25 + 1e-5, 1e-5]))


@pytest.mark.parametrize(("axes", "summed"), [("all", (1, 2, 3)), ("rows", 1)])
def test_slope_penalty_of_a_known_slope(axes, summed):
    norms = np.sqrt(np.sum((WEIGHTS * IMAGES) ** 2, axis=summed) + 1e-5)
    assert norms.shape == ((3,) if axes == "all" else (3, 5, 2))
    gradient = tf.constant(WEIGHTS * IMAGES)
    np.testing.assert_allclose(losses.gradient_norm(gradient, axes), norms)
    found = losses.slope_penalty(witness, tf.constant(IMAGES), axes)
    assert found.dtype == tf.float32
    assert float(found) == pytest.approx(np.mean((norms - 1) ** 2), rel=1e-5)


def test_all_pixels_are_the_default():
    images = tf.constant(IMAGES)
    assert losses.slope_penalty(witness, images) == losses.slope_penalty(witness, images, "all")
    np.testing.assert_array_equal(losses.gradient_norm(images), losses.gradient_norm(images, "all"))


def test_between_goes_from_real_to_generated():
    real, fake = np.full((2, 1, 1, 1), 10.0), np.full((2, 1, 1, 1), 20.0)
    found = losses.between(real, fake, np.array([0.0, 0.25]).reshape(2, 1, 1, 1))
    np.testing.assert_allclose(np.ravel(found), [10, 12.5])


def test_mean_square_is_summed_over_layers():
    layers = {"h0": tf.constant([[1.0, 3.0]]), "h1": tf.constant([[2.0], [4.0], [0.0]], tf.float16)}
    found = losses.mean_square(layers)
    assert found.dtype == tf.float32
    assert float(found) == pytest.approx((1 + 9) / 2 + (4 + 16 + 0) / 3)
