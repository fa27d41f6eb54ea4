"""Layers against short NumPy versions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks.layers import (
    EqualizedConv2D,
    EqualizedDense,
    EqualizedDenseTo4x4,
    box_downscale,
    box_upscale,
    feature_maps,
    flatten_channels_first,
    gaussian_downscale,
    gaussian_upscale,
    leaky_relu,
    minibatch_stddev,
    pixel_norm,
    reflect_pad,
)

RNG = np.random.RandomState(0)


def normal(*shape):
    return RNG.randn(*shape).astype(np.float32)


def convolve(padded, weight):
    """Plain correlation of [N, H + k - 1, W + k - 1, C] with [k, k, C, F]."""
    k = weight.shape[0]
    height, width = padded.shape[1] - k + 1, padded.shape[2] - k + 1
    patches = [padded[:, i : i + height, j : j + width] for i in range(k) for j in range(k)]
    return np.einsum("pnhwc,pcf->nhwf", np.stack(patches), weight.reshape(k * k, *weight.shape[2:]))


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflect", "reflect")])
def test_convolution_pads_as_said_and_scales_its_weight(padding, mode):
    layer = EqualizedConv2D(5, padding=padding)
    x = normal(2, 6, 6, 3)
    layer(x)
    bias = normal(5)
    layer.bias.assign(bias)
    weight = layer.weight.numpy() * np.sqrt(2) / np.sqrt(3 * 3 * 3)
    expected = convolve(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode), weight) + bias
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_stored_weights_are_standard_normal():
    keras.utils.set_random_seed(3)
    layer = EqualizedConv2D(64)
    layer.build((None, 8, 8, 64))
    weight = layer.weight.numpy()
    assert abs(weight.mean()) < 0.02
    assert abs(weight.std() - 1) < 0.02
    assert not layer.bias.numpy().any()


def test_fused_upscaling_equals_upscaling_then_convolution():
    fused, plain = EqualizedConv2D(4, resample="up"), EqualizedConv2D(4)
    x = tf.constant(normal(2, 5, 5, 3))
    fused(x), plain(x)
    # The transposed convolution takes [k, k, out, in], and mirrored.
    fused.weight.assign(plain.weight.numpy()[::-1, ::-1].transpose(0, 1, 3, 2))
    np.testing.assert_allclose(fused(x), plain(box_upscale(x)), rtol=1e-4, atol=1e-5)


def test_fused_downscaling_equals_convolution_then_downscaling():
    fused, plain = EqualizedConv2D(4, resample="down"), EqualizedConv2D(4)
    x = tf.constant(normal(2, 8, 8, 3))
    fused(x), plain(x)
    fused.weight.assign(plain.weight)
    np.testing.assert_allclose(fused(x), box_downscale(plain(x)), rtol=1e-4, atol=1e-5)


def test_resampling_refuses_reflection():
    with pytest.raises(ValueError, match="received padding='reflect'"):
        EqualizedConv2D(4, resample="up", padding="reflect")


def test_dense_layers():
    x = normal(3, 7)
    dense, to_image = EqualizedDense(5, gain=1.0), EqualizedDenseTo4x4(2)
    dense(x), to_image(x)
    np.testing.assert_allclose(
        dense(x), x @ dense.weight.numpy() / np.sqrt(7), rtol=1e-4, atol=1e-5
    )
    to_image.bias.assign([10.0, 20.0])
    flat = x @ to_image.weight.numpy() * np.sqrt(2) / 4 / np.sqrt(7)
    expected = flat.reshape(3, 2, 4, 4).transpose(0, 2, 3, 1) + np.array([10, 20])
    np.testing.assert_allclose(to_image(x), expected, rtol=1e-4, atol=1e-5)


def test_pixel_norm_makes_unit_mean_square():
    x = normal(2, 4, 4, 8) * 5
    expected = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(pixel_norm(x), expected, rtol=1e-5)


@pytest.mark.parametrize(("n", "group"), [(8, 4), (3, 4), (4, 2)])
def test_minibatch_stddev_groups_every_nth_image(n, group):
    x = normal(n, 4, 4, 6)
    found = minibatch_stddev(tf.constant(x), group).numpy()
    np.testing.assert_array_equal(found[..., :6], x)
    size = min(group, n)
    for k in range(n // size):
        members = [i for i in range(n) if i % (n // size) == k]
        spread = np.sqrt(x[members].var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(found[members, ..., 6], spread, rtol=1e-5)


def test_box_resampling():
    x = normal(2, 4, 6, 3)
    np.testing.assert_array_equal(box_upscale(x, 2), x.repeat(2, axis=1).repeat(2, axis=2))
    halves = x.reshape(2, 2, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(box_downscale(x, 2), halves, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(box_downscale(box_upscale(x, 4), 4), x, rtol=1e-5)


def test_small_functions():
    np.testing.assert_allclose(leaky_relu(tf.constant([-1.0, 0.0, 2.0])), [-0.2, 0.0, 2.0])
    x = normal(2, 3, 4, 5)
    expected = x.transpose(0, 3, 1, 2).reshape(2, -1)
    np.testing.assert_array_equal(flatten_channels_first(tf.constant(x)), expected)
    assert [feature_maps(s, 8192, 512) for s in (1, 4, 5, 6)] == [512, 512, 256, 128]


@pytest.mark.parametrize("make", [lambda: EqualizedConv2D(4), lambda: EqualizedDense(4)])
def test_layers_compute_in_bfloat16_and_keep_float32_weights(make):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = make()
        x = tf.constant(normal(2, 4, 4, 3) if isinstance(layer, EqualizedConv2D) else normal(2, 3))
        found = layer(x)
        assert found.dtype == tf.bfloat16
        assert layer.weight.dtype == "float32"
    finally:
        keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_small_convolutions_equal_large_ones(padding, kernel_size):
    """4x4 images, which take a matrix product, against tf.nn.conv2d of the padded ones."""
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 5)).astype(np.float32)
    layer = EqualizedConv2D(6, kernel_size, padding=padding)
    found = layer(x)
    border = kernel_size // 2
    mode = "reflect" if padding == "reflect" else "constant"
    padded = np.pad(x, [(0, 0), (border, border), (border, border), (0, 0)], mode)
    expected = tf.nn.conv2d(padded, layer.scaled_weight(), 1, "VALID")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_leaky_relu_and_its_first_and_second_gradients():
    x = tf.constant([-2.0, -0.5, 0.5, 3.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = leaky_relu(x) ** 2
        first = inner.gradient(y, x)
    np.testing.assert_allclose(y, [0.16, 0.01, 0.25, 9.0], rtol=1e-5)
    np.testing.assert_allclose(first, [-0.16, -0.04, 1.0, 6.0], rtol=1e-5)
    np.testing.assert_allclose(outer.gradient(first, x), [0.08, 0.08, 2.0, 2.0], rtol=1e-5)


def test_gaussian_resampling():
    """A constant stays, an impulse becomes the binomial kernel, halving picks even pixels."""
    np.testing.assert_allclose(gaussian_downscale(tf.ones([1, 8, 8, 2])), 1, rtol=1e-6)
    np.testing.assert_allclose(gaussian_upscale(tf.ones([1, 8, 8, 2])), 1, rtol=1e-6)
    row = np.array([1, 4, 6, 4, 1]) / 16
    impulse = np.zeros((1, 16, 16, 1), np.float32)
    impulse[0, 8, 8] = 1
    small = gaussian_downscale(impulse)[0, 3:6, 3:6, 0]
    np.testing.assert_allclose(small, np.outer(row[::2], row[::2]), rtol=1e-6)
    large = gaussian_upscale(impulse)[0, 14:19, 14:19, 0]
    np.testing.assert_allclose(large, 4 * np.outer(row, row), rtol=1e-6)


def test_mirrored_borders_and_their_gradient():
    x, upstream = tf.constant(normal(2, 4, 5, 3)), tf.constant(normal(2, 6, 7, 3))
    borders = [[0, 0], [1, 1], [1, 1], [0, 0]]
    results = []
    for pad in (reflect_pad, lambda y: tf.pad(y, borders, "REFLECT")):
        with tf.GradientTape() as tape:
            tape.watch(x)
            padded = pad(x)
        results.append((padded, tape.gradient(padded, x, upstream)))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
