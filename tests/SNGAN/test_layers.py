"""Spectral normalization, batch norm and resampling convolutions against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks.layers import box_downscale, box_upscale
from SNGAN import layers
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.gen_models.resnet import ResNetGenerator


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
    weight = layer.weight(False).numpy()
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


@pytest.mark.parametrize(
    ("layer", "shape", "fans"),
    [(layers.Conv2D(40, 3, gain=2.0), (1, 4, 4, 20), (9 * 20, 9 * 40)),
     (layers.Conv2D(60), (1, 4, 4, 20), (9 * 20, 9 * 60)),
     (layers.SNConv2D(40, 1, gain=0.5), (1, 4, 4, 80), (80, 40)),
     (layers.SNConv2D(40), (1, 4, 4, 20), (9 * 20, 9 * 40)),
     (layers.Linear(80), (1, 50), (50, 80)), (layers.SNLinear(80), (1, 50), (50, 80)),
     (layers.SNEmbed(80), (1, 50), (50, 80))],
)  # fmt: skip
def test_weights_start_uniform_within_glorots_bounds(layer, shape, fans):
    keras.utils.set_random_seed(0)
    layer(tf.zeros(shape))
    bound = getattr(layer, "gain", 1.0) * np.sqrt(6 / sum(fans))
    found = layer.W.numpy()
    assert 0.99 * bound < found.max() <= bound
    assert -bound <= found.min() < -0.99 * bound
    assert found.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    assert not hasattr(layer, "b") or not layer.b.numpy().any()
    if hasattr(layer, "u"):
        sides = {"SNEmbed": 50, "SNLinear": 80, "SNConv2D": 40}
        assert layer.u.shape == (1, sides[type(layer).__name__])
        assert 0.6 < layer.u.numpy().std() < 1.4


@pytest.mark.parametrize("kind", [layers.Conv2D, layers.SNConv2D])
@pytest.mark.parametrize("resample", [None, "up", "down"])
def test_convolutions_add_their_bias_after_resampling(kind, resample):
    layer, x = kind(4, 3, resample=resample), tf.random.normal([2, 8, 8, 3], seed=1)
    layer(x)
    bias = np.arange(1, 5, dtype=np.float32)
    layer.b.assign(bias)
    weight = layer.W if kind is layers.Conv2D else layer.weight(False)
    expected = layers.convolve(x, tf.convert_to_tensor(weight), resample) + bias
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    assert {variable.name for variable in layer.trainable_variables} == {"W", "b"}


def one_iteration(matrix, u):
    """W / σ and the new u, as appendix A of Miyato et al. has them; matrix [rows, columns]."""
    v = matrix @ u / np.linalg.norm(matrix @ u)
    u = matrix.T @ v / np.linalg.norm(matrix.T @ v)
    return v @ matrix @ u, u


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["convolution", "linear", "embedding"])
def test_one_call_divides_by_one_power_iteration(kind, training):
    layer, x = {
        "convolution": (layers.SNConv2D(6, 1), tf.random.normal([2, 1, 1, 5], seed=0)),
        "linear": (layers.SNLinear(6), tf.random.normal([2, 5], seed=0)),
        "embedding": (layers.SNEmbed(5), tf.random.normal([2, 6], seed=0)),
    }[kind]
    layer(x)
    if kind != "embedding":
        layer.b.assign(np.arange(6.0))
    W, u = layer.W.numpy().astype(float), layer.u.numpy().astype(float)[0]
    matrix = W.reshape(5, 6) if kind == "convolution" else W.T  # [in, out], of classes [out, in]
    sigma, new_u = one_iteration(matrix, u)
    weight = matrix.T if kind == "embedding" else matrix
    expected = x.numpy().reshape(2, -1) @ weight / sigma
    expected += 0 if kind == "embedding" else np.arange(6)
    np.testing.assert_allclose(layer(x, training=training).numpy().reshape(2, -1), expected, 1e-4)
    np.testing.assert_allclose(layer.u.numpy()[0], new_u if training else u, rtol=1e-4, atol=1e-6)


def test_a_linear_layer_by_hand():
    layer = layers.Linear(2)
    layer.build((None, 3))
    layer.W.assign([[1.0, 2, 3], [4, 5, 6]])
    layer.b.assign([10.0, 20])
    np.testing.assert_allclose(layer(tf.constant([[1.0, 0, -1]])), [[8, 18]])


def test_a_direction_of_length_zero_stays_finite():
    sigma, u = layers.power_iteration(tf.zeros([3, 2]), tf.ones([1, 2]))
    assert float(sigma) == 0
    np.testing.assert_array_equal(u, np.zeros((1, 2)))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_scales_and_shifts_by_channel(training):
    layer, x = layers.BatchNorm(), tf.random.normal([4, 3, 3, 2], seed=0)
    plain = layer(x, training=training)
    layer.gamma.assign([2.0, 3.0])
    layer.beta.assign([-1.0, 5.0])
    expected = plain.numpy() * [2, 3] + [-1, 5]
    if not training:
        layer.avg_mean.assign([0.0, 0.0])
        layer.avg_var.assign([1.0, 1.0])
    np.testing.assert_allclose(layer(x, training=training), expected, rtol=1e-4, atol=1e-4)
    assert {v.name for v in layer.trainable_variables} == {"gamma", "beta"}
    assert layer.N.dtype == "int64"


@pytest.mark.parametrize("n_classes", [1, 3])
def test_every_class_has_its_scale_and_shift(n_classes):
    random = np.random.RandomState(0)
    layer, x = layers.CategoricalBatchNorm(), random.randn(3, 2, 2, 2).astype(np.float32)
    classes = random.dirichlet(np.ones(n_classes), 3).astype(np.float32)  # mixtures
    plain = layer(x, classes, training=True)
    np.testing.assert_array_equal(layer.gammas.W.numpy(), np.ones((n_classes, 2)))
    np.testing.assert_array_equal(layer.betas.W.numpy(), np.zeros((n_classes, 2)))
    gammas, betas = random.randn(2, n_classes, 2).astype(np.float32)
    layer.gammas.W.assign(gammas)
    layer.betas.W.assign(betas)
    gamma, beta = (classes @ rows for rows in (gammas, betas))
    expected = plain.numpy() * gamma[:, None, None] + beta[:, None, None]
    np.testing.assert_allclose(layer(x, classes, training=True), expected, rtol=1e-4, atol=1e-5)
    together, alone = layer(x, classes), layer(x[:1], classes[:1])
    np.testing.assert_allclose(together[:1], alone, rtol=1e-4, atol=1e-5)


def test_the_blocks_convolutions_start_larger_by_the_root_of_2_than_their_shortcuts():
    keras.utils.set_random_seed(0)
    for network in (ResNetGenerator(32, ch=16), SNResNetProjectionDiscriminator(32, ch=16)):
        for block in network.blocks:
            for layer in filter(None, (block.c1, block.c2, block.c_sc)):
                bound = layer.gain * np.sqrt(
                    6 / np.prod(layer.W.shape[:2]) / sum(layer.W.shape[2:])
                )
                assert 0.9 * bound < layer.W.numpy().max() <= bound
                assert layer.gain == (1 if layer is block.c_sc else pytest.approx(np.sqrt(2)))
