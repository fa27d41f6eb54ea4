"""Spectral normalization, batch norm and resampling convolutions against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks.layers import box_downscale, box_upscale
from SNGAN import layers
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator


@pytest.mark.parametrize("shape", [(64, 32), (20, 300), (3, 3, 16, 48), (1, 1, 7, 5)])
def test_sigma_is_the_largest_singular_value_after_50_calls(shape):
    weight = np.random.RandomState(len(shape)).randn(*shape).astype(np.float32)
    matrix = weight.reshape(-1, shape[-1])
    u = tf.constant(np.random.RandomState(1).randn(1, shape[-1]), tf.float32)
    for _ in range(50):
        sigma, u = layers.power_iteration(tf.constant(matrix), u)
    assert float(sigma) == pytest.approx(np.linalg.svd(matrix, compute_uv=False)[0], rel=0.01)


@pytest.mark.parametrize("kind", ["convolution", "linear", "embedding"])
def test_normalized_weights_have_norm_1_and_evaluation_calls_change_nothing(kind):
    layer, x = {
        "convolution": (layers.SNConv2D(24), tf.random.normal([2, 8, 8, 16])),
        "linear": (layers.SNLinear(30), tf.random.normal([2, 50])),
        "embedding": (layers.SNEmbed(40), tf.random.normal([2, 5])),
    }[kind]
    for _ in range(50):
        layer(x, training=True)
    before = layer.u.numpy()
    layer(x)
    np.testing.assert_array_equal(layer.u.numpy(), before)
    weight = layer.normalized(False).numpy()
    weight = weight.reshape(-1, weight.shape[-1])
    assert np.linalg.svd(weight, compute_uv=False)[0] == pytest.approx(1, rel=0.01)


def test_gradient_of_sigma_flows_through_the_weight_only():
    matrix = tf.constant(np.random.RandomState(0).randn(6, 4), tf.float32)
    u = tf.constant(np.random.RandomState(1).randn(1, 4), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([matrix, u])
        sigma, new_u = layers.power_iteration(matrix, u)
    by_matrix, by_u = tape.gradient(sigma, [matrix, u])
    v = (u.numpy() @ matrix.numpy().T).ravel()
    expected = np.outer(v / np.linalg.norm(v), new_u.numpy())  # dσ/dW = v uᵀ
    np.testing.assert_allclose(by_matrix, expected, rtol=1e-5, atol=1e-6)
    assert by_u is None


@pytest.mark.parametrize("kind", [layers.BatchNorm, layers.CategoricalBatchNorm])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_batch_norm_and_its_running_statistics(kind, n_classes):
    random = np.random.RandomState(0)
    layer, x = kind(), random.randn(2, 3, 3, 4).astype(np.float32) * 3 + 1
    classes = np.eye(n_classes, dtype=np.float32)[[0, n_classes - 1]]
    arguments = (classes,) if kind is layers.CategoricalBatchNorm else ()
    found = layer(x, *arguments, training=True).numpy()
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(variance + 2e-5), atol=1e-5)
    start = 0.0 if arguments else 1.0
    unbiased = variance * 18 / 17
    np.testing.assert_allclose(layer.avg_mean.numpy(), 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(layer.avg_var.numpy(), 0.9 * start + 0.1 * unbiased, rtol=1e-5)
    running = (layer.avg_mean.numpy(), layer.avg_var.numpy())
    expected = (x - running[0]) / np.sqrt(running[1] + 2e-5)
    np.testing.assert_allclose(layer(x, *arguments), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(layer.avg_mean.numpy(), running[0])
    assert int(layer.N) == 0


@pytest.mark.parametrize("side", [4, layers.FUSE_FROM_SIDE, 2 * layers.FUSE_FROM_SIDE])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_resampling_convolutions_are_what_they_say(side, kernel_size):
    x = tf.random.normal([2, side, side, 5], seed=0)
    weight = tf.random.normal([kernel_size, kernel_size, 5, 7], seed=1)
    plain = tf.nn.conv2d(box_upscale(x), weight, 1, "SAME")
    np.testing.assert_allclose(layers.convolve(x, weight, "up"), plain, atol=1e-4)
    plain = box_downscale(tf.nn.conv2d(x, weight, 1, "SAME"))
    np.testing.assert_allclose(layers.convolve(x, weight, "down"), plain, atol=1e-4)


def test_bfloat16_keeps_weights_norms_and_statistics_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        D = SNResNetProjectionDiscriminator(32, ch=4)
        norm = layers.CategoricalBatchNorm()
        y = norm(tf.random.normal([2, 4, 4, 3]), tf.ones([2, 1]), training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {v.dtype for v in D.variables} == {"float32"}
    assert y.dtype == tf.bfloat16
    assert norm.avg_var.dtype == "float32"
    images = tf.random.normal([2, 32, 32, 3], seed=3)
    scores = D(images, training=True)
    assert scores.dtype == tf.float32
    for variable in (D.blocks[0].c1.u, D.blocks[2].c2.u):
        assert np.linalg.norm(variable.numpy()) == pytest.approx(1, abs=1e-5)
