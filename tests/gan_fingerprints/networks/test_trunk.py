"""What the networks of the publication's figure 2 see of an image."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from classifier.networks import Classifier
from gan_fingerprints.networks.layers import box_downscale
from gan_fingerprints.networks.trunk import Trunk

ROW = np.array([1, 4, 6, 4, 1]) / 16


@pytest.mark.parametrize(("side", "field"), [(128, 3), (64, 10), (32, 24), (16, 52), (8, 108)])
def test_patches_have_the_published_receptive_field(side, field):
    network = Classifier(128, 3, fmap_base=256, fmap_max=8, latent_res=side)
    images = tf.random.stateless_normal([1, 128, 128, 3], [0, 0])
    with tf.GradientTape() as tape:
        tape.watch(images)
        logit = network.to_logits(network.features(images))[0, side // 2, side // 2, 0]
    seen = np.abs(tape.gradient(logit, images)[0]).sum(axis=-1) > 0
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (0, 1))
    assert rows[-1] - rows[0] + 1 == field
    assert columns[-1] - columns[0] + 1 == field


def blurred(image):
    for axis in (0, 1):
        image = ndimage.convolve1d(image, ROW, axis, mode="mirror")
    return image


def halved(image):
    return blurred(image)[::2, ::2]


def doubled(image):
    zeros = np.zeros((2 * image.shape[0], 2 * image.shape[1], 3))
    zeros[::2, ::2] = image
    return 4 * blurred(zeros)


def view(mode, side, image):
    trunk = Trunk(32, mode, side)
    return trunk._view(tf.constant(image[None], tf.float32))[0].numpy()


def test_low_and_high_frequencies_against_scipy():
    image = np.random.default_rng(0).normal(size=(32, 32, 3))
    low = halved(halved(image))
    np.testing.assert_allclose(view("predownscale", 8, image), low, atol=1e-5)
    band = low - doubled(halved(low))
    np.testing.assert_allclose(view("predownscale_residual", 8, image), band, atol=1e-5)
    band = image - doubled(halved(image))
    np.testing.assert_allclose(view("predownscale_residual", 32, image), band, atol=1e-5)
    np.testing.assert_array_equal(view("postpool", 4, image), image.astype(np.float32))


def test_every_halving_is_made():
    image = np.random.default_rng(0).normal(size=(64, 64, 3))
    low = Trunk(64, "predownscale", 4)._view(tf.constant(image[None], tf.float32))
    np.testing.assert_allclose(low[0], halved(halved(halved(halved(image)))), atol=1e-5)


def test_low_frequencies_do_not_see_a_chessboard_and_high_ones_do_not_see_a_constant():
    chessboard = np.tile(np.indices((32, 32)).sum(axis=0)[..., None] % 2 * 2.0 - 1, 3)
    assert np.abs(view("predownscale", 16, chessboard)).max() < 1e-6
    assert np.abs(view("predownscale_residual", 32, chessboard)).min() > 0.9
    assert np.abs(view("predownscale_residual", 32, np.ones((32, 32, 3)))).max() < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((32, "median"), "mode='median'; expected one of postpool"),
        ((48,), "resolution=48"),
        ((32, "predownscale", 64), "switching_res=64"),
        ((32, "predownscale", 8, 16), "lowest=16; expected a power of two from 4 to 8"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Trunk(*arguments)


@pytest.mark.parametrize(
    ("arguments", "sides"),
    [({}, (32, 16, 8)), ({"lowest": 8}, (32, 16)),
     ({"mode": "postpool", "switching_res": 16}, (32,)),
     ({"mode": "predownscale", "switching_res": 16}, (16, 8)),
     ({"mode": "predownscale_residual", "switching_res": 32}, (32, 16, 8))],
)  # fmt: skip
@pytest.mark.parametrize("fused", [False, True])
def test_a_pair_of_convolutions_at_every_side(arguments, sides, fused):
    trunk = Trunk(32, fused_scale=fused, **arguments)
    found = trunk.layers(lambda stage, name, resample=None: (stage, name, resample), "E_")
    second, resample = ("Conv1_down", "down") if fused else ("Conv1", None)
    assert found == [
        ((stage - 1, f"E_{side}x{side}_Conv0", None),
         (stage - 2, f"E_{side}x{side}_{second}", resample))
        for side in sides for stage in [int(np.log2(side))]
    ]  # fmt: skip
    assert trunk == Trunk(32, **{"mode": "postpool", "switching_res": 4, "lowest": 4,
                                 "fused_scale": fused} | arguments)  # fmt: skip
    assert fused or trunk == Trunk(32, **arguments)


@pytest.mark.parametrize("fused", [False, True])
def test_features_are_rectified_halved_and_pooled(fused):
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)

    def pooled(x, factor):
        side = x.shape[1] // factor
        return x.reshape(1, side, factor, side, factor, 3).mean(axis=(2, 4))

    def rectified(x):
        return np.where(x > 0, x, 0.2 * x)

    def second(x):
        return box_downscale(1 - x) if fused else 1 - x

    found = Trunk(16, fused_scale=fused).features(tf.constant(image), [(lambda x: 3 * x, second)])
    x = 1 - rectified(3 * image)
    x = rectified(pooled(x, 2)) if fused else pooled(rectified(x), 2)
    np.testing.assert_allclose(found, pooled(x, 2), atol=1e-5)
