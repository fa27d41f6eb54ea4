"""Layers of CramerGAN and MMDGAN in closed forms: how they start, and what they divide by."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.ipm import layers
from gan_fingerprints.networks.layers import box_downscale, box_upscale


@pytest.mark.parametrize(
    ("initializer", "deviation", "largest"),
    [(layers.he_uniform(), np.sqrt(4 / 9000), np.sqrt(12 / 9000)),
     (layers.glorot_uniform(), np.sqrt(2 / 9000), np.sqrt(6 / 9000)),
     (layers.normal(0.02), 0.02, np.inf),
     (layers.truncated_normal(0.02), 0.02 * 0.88, 2 * 0.02)],
)  # fmt: skip
def test_how_weights_start(initializer, deviation, largest):
    keras.utils.set_random_seed(0)
    layer = layers.Conv2D(400, 3, initializer)
    layer.build((None, 8, 8, 600))  # 9 · (600 + 400) connections
    weight = layer.weight.numpy()
    assert weight.std() == pytest.approx(deviation, rel=0.01)
    assert largest == np.inf or 0.99 < np.abs(weight).max() / largest < 1 + 1e-6
    assert not layer.bias.numpy().any()


def test_a_dense_layer_by_hand():
    keras.utils.set_random_seed(0)
    layer = layers.Linear(300)
    layer.build((None, 200))
    assert layer.weight.numpy().std() == pytest.approx(0.01, rel=0.02)
    x = np.random.RandomState(0).randn(2, 200).astype(np.float32)
    layer.bias.assign(np.arange(300.0))
    expected = x @ layer.weight.numpy() + np.arange(300)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-4)
    assert [v.name for v in layer.variables] == ["Matrix", "bias"]


@pytest.mark.parametrize("side", [4, 16, 32])
@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("resample", [None, "up", "down"])
def test_convolutions_resample_as_they_say(side, kernel_size, resample):
    layer = layers.Conv2D(4, kernel_size, layers.normal(1.0), resample=resample)
    x = tf.random.normal([2, side, side, 3], seed=0)
    layer(x)
    layer.bias.assign([1.0, 2, 3, 4])
    assert [v.name for v in layer.variables] == ["w", "biases"]
    x_in = box_upscale(x) if resample == "up" else x
    expected = tf.nn.conv2d(x_in, layer.weight, 1, "SAME") + np.float32([1, 2, 3, 4])
    expected = box_downscale(expected) if resample == "down" else expected
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


def test_a_convolution_without_bias_and_with_strides():
    layer = layers.Conv2D(4, 5, layers.normal(1.0), strides=2, bias=False)
    x = tf.random.normal([2, 8, 8, 3], seed=0)
    np.testing.assert_allclose(layer(x), tf.nn.conv2d(x, layer.weight, 2, "SAME"), atol=1e-5)
    assert [v.name for v in layer.variables] == ["w"]


def test_a_transposed_convolution_is_the_gradient_of_a_strided_one():
    layer, x = layers.Deconv2D(4), tf.random.normal([2, 6, 5, 3], seed=0)
    y = layer(x)
    assert y.shape == (2, 12, 10, 4)
    assert layer.weight.shape == (5, 5, 4, 3)
    images = tf.zeros_like(y)
    with tf.GradientTape() as tape:
        tape.watch(images)
        product = tf.reduce_sum(tf.nn.conv2d(images, layer.weight, 2, "SAME") * x)
    np.testing.assert_allclose(y, tape.gradient(product, images), atol=1e-5)
    keras.utils.set_random_seed(0)
    large = layers.Deconv2D(100)
    large.build((None, 4, 4, 100))
    assert large.weight.numpy().std() == pytest.approx(0.02, rel=0.01)


# So little contrast that what keeps the root away from zero counts.
X = (np.random.RandomState(0).randn(3, 4, 5, 2) * 0.003 + 1).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "axes"), [(layers.BatchNorm, (0, 1, 2)), (layers.LayerNorm, (1, 2, 3))]
)
def test_norms_divide_by_the_root_of_variance_plus_epsilon(kind, axes):
    layer, x = kind(), X.astype(np.float64)
    layer(X)
    layer.scale.assign([2.0, 3.0])
    layer.offset.assign([-1.0, 5.0])
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * [2, 3] + [-1, 5]
    np.testing.assert_allclose(layer(X), expected, atol=2e-3)
    assert (
        np.abs((x - mean) / np.sqrt(variance) - (x - mean) / np.sqrt(variance + 1e-5)).max() > 0.5
    )


def test_population_statistics_are_sums_of_moments_until_they_are_used():
    layer, x = layers.BatchNorm(), X.astype(np.float64)
    layer.build(X.shape)
    np.testing.assert_array_equal(layer.moving_variance.numpy(), [1, 1])
    plain = (X - layer.moving_mean.numpy()) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(layer(X, statistics="population"), plain, atol=1e-5)
    layer.moving_variance.assign([0.0, 0.0])
    for _ in range(2):
        np.testing.assert_array_equal(layer(X, statistics="collect"), layer(X, statistics="batch"))
    mean, square = x.mean((0, 1, 2)), (x**2).mean((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean.numpy(), 2 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 2 * square, rtol=1e-5)
    assert {v.name for v in layer.trainable_variables} == {"offset", "scale"}


def test_collected_variance_is_the_biased_one():
    layer, x = layers.BatchNorm(), np.random.RandomState(0).randn(1, 2, 2, 2).astype(np.float32)
    layer.build(x.shape)
    layer.moving_variance.assign([0.0, 0.0])
    layer(x, statistics="collect")
    expected = x.var((0, 1, 2)) + x.mean((0, 1, 2)) ** 2
    np.testing.assert_allclose(layer.moving_variance.numpy(), expected, rtol=1e-5)
