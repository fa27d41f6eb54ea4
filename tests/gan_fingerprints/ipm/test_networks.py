"""Networks against the published outputs, and every architecture's shapes."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.ipm import layers
from gan_fingerprints.ipm.config import ARCHITECTURES, require_size
from gan_fingerprints.ipm.networks import Discriminator, Generator
from gan_fingerprints.networks.layers import box_upscale, upscale_conv2d_3x3
from gan_fingerprints.program import UserError
from tests.published import relative_error, those_kept


def test_outputs_of_the_published_networks(published_run):
    numbers = published_run.numbers("train")
    trainer = published_run.trainer()
    G = those_kept(trainer.G(numbers["z"]), numbers["G"])
    assert relative_error(G, numbers["G"]) < 1e-5
    found = trainer.D(numbers["images"])
    assert relative_error(found["hF"], numbers["d_images"]) < 1e-5
    d_G = those_kept(numbers["d_G"], numbers["G"])
    assert relative_error(trainer.D(numbers["G"])["hF"], d_G) < 1e-5
    assert list(found) == ["h0", "h1", "h2", "h3", "h4", "hF"]
    for name, activations in found.items():
        first = numbers[f"d_images_layers_first/{name}"]
        assert relative_error(activations[0], first) < 1e-5
        squares = np.mean(np.square(activations).reshape(32, -1), axis=1)
        assert relative_error(squares, numbers[f"l2layer/images/{name}"]) < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes_range_and_gradients_of_every_architecture(architecture):
    size = 32 if architecture != "dcgan" else 16
    G = Generator(architecture, size, gf_dim=2, z_dim=5)
    D = Discriminator(architecture, size, df_dim=2, dof_dim=3)
    with tf.GradientTape() as tape:
        pictures = G(tf.random.stateless_uniform([4, 5], [0, 0], -1, 1))
        features = D(pictures)["hF"]
        loss = tf.reduce_sum(tf.square(features))
    assert pictures.shape == (4, size, size, 3)
    assert 0 <= np.min(pictures) < np.max(pictures) <= 1
    assert features.shape == (4, 3)
    variables = G.trainable_variables + D.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert gradient is not None, variable.path


def test_features_of_the_fully_convolutional_discriminator_are_those_of_every_place():
    D = Discriminator("d_fullconv5", 64, df_dim=2, dof_dim=3)
    assert D(tf.zeros([2, 64, 64, 3]))["hF"].shape == (2, 2 * 2 * 3)


def test_batch_norm_of_the_discriminator_only_where_asked():
    for batch_norm in (False, True):
        D = Discriminator("dcgan5", 32, df_dim=2, dof_dim=3, batch_norm=batch_norm)
        names = {v.path.split("/")[1] for v in D.variables}
        assert any("bn" in name for name in names) == batch_norm


@pytest.mark.parametrize("architecture", ["g_resnet5", "dcgan"])
def test_sizes_that_cannot_be_made(architecture):
    require_size(architecture, 64)
    with pytest.raises(UserError, match=r"--output_size 100: .* multiples of \d+"):
        require_size(architecture, 100)


def test_upscaling_convolution_is_that_of_the_repeated_image():
    random = np.random.RandomState(0)
    x = random.randn(2, 16, 16, 3).astype(np.float32)
    weight = random.randn(3, 3, 3, 4).astype(np.float32)
    expected = tf.nn.conv2d(box_upscale(tf.constant(x)), weight, 1, "SAME")
    found = upscale_conv2d_3x3(tf.constant(x), tf.constant(weight))
    assert relative_error(found, expected) < 1e-5


def test_kinds_of_batch_norm_statistics():
    x = np.random.RandomState(0).randn(6, 4, 4, 2).astype(np.float32) * 3 + 1
    norm = layers.BatchNorm(name="norm")
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    normalized = (x - mean) / np.sqrt(variance + 1e-5)
    assert relative_error(norm(x), normalized) < 1e-5
    np.testing.assert_array_equal(norm.moving_mean, [0, 0])  # "batch" leaves them alone
    norm.moving_variance.assign([0, 0])
    assert relative_error(norm(x, statistics="collect"), normalized) < 1e-5
    assert relative_error(norm.moving_mean, mean) < 1e-5
    assert relative_error(norm.moving_variance, variance + mean**2) < 1e-5
    norm.moving_variance.assign(variance)
    assert relative_error(norm(x[:1], statistics="population"), normalized[:1]) < 1e-5


def test_layer_norm_is_per_image():
    x = np.random.RandomState(0).randn(2, 4, 4, 3).astype(np.float32) * [[[[2]]], [[[5]]]]
    found = layers.LayerNorm(name="norm")(x.astype(np.float32))
    spread = x.std((1, 2, 3), keepdims=True)
    expected = (x - x.mean((1, 2, 3), keepdims=True)) / np.sqrt(spread**2 + 1e-5)
    assert relative_error(found, expected) < 1e-5
