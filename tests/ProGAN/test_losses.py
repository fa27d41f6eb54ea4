"""ProGAN's losses, gradients and optimizer steps against the published program."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks.layers import box_downscale
from gan_fingerprints.training.optimizer import adam, update_average
from ProGAN.config import Config
from ProGAN.networks import Discriminator, Generator, level_and_fade
from ProGAN.training import D_gradients, G_gradients, real_images
from tests.published import fill, nhwc, our_name, read_networks, relative_error

TOLERANCE = 1e-4
# In the unfused reference one LeakyReLU of G sits on its kink: moving the latents by 1e-6 makes
# one gradient jump by up to 3e-2, between our values and the published ones.
GRADIENT_TOLERANCE = {"progan_r32_fb128_fm32": 1e-3, "progan_r32_fb128_fm32_unfused": 3e-2}
STEP_TOLERANCE = {"progan_r32_fb128_fm32": 1e-3, "progan_r32_fb128_fm32_unfused": 2e-2}
SHAPE = {"resolution": 32, "fmap_base": 128, "fmap_max": 32}
LODS = [0, 0.5, 1.3]


class Published:
    """The networks and inputs that one reference file was computed from."""

    def __init__(self, reference, name):
        self.name = name
        shape = {**SHAPE, "fused_scale": "unfused" not in name}
        arrays = read_networks(reference(f"progan/{name}.nosrc.pkl"))
        self.G = fill(Generator(**shape), arrays[0])
        self.D = fill(Discriminator(**shape), arrays[1])
        self.Gs = fill(Generator(**shape), arrays[2])
        self.reference = np.load(reference(f"progan/{name}.loss.npz"))
        self.labels = tf.constant(self.reference["labels"])
        self.lat_G = tf.constant(self.reference["lat_G"])
        self.lat_D = tf.constant(self.reference["lat_D"])
        self.mix = tf.constant(self.reference["mix"])

    def reals(self, level):
        images = tf.constant(nhwc(self.reference["reals"]))
        return box_downscale(images, 32 // 2**level)

    def D_step(self, level, fade):
        return D_gradients(
            self.G, self.D, Config(), self.reals(level), self.labels, self.lat_D, self.mix,
            level, fade, 8,
        )  # fmt: skip

    def G_step(self, level, fade):
        return G_gradients(self.G, self.D, self.labels, self.lat_G, level, fade, 8)


UNFUSED = pytest.param("progan_r32_fb128_fm32_unfused", marks=pytest.mark.slow)


@pytest.fixture(params=["progan_r32_fb128_fm32", UNFUSED])
def published(request, reference):
    return Published(reference, request.param)


def published_name(variable):
    return variable.path.partition("/")[2]


@pytest.mark.parametrize("lod", LODS)
@pytest.mark.parametrize("which", ["G", "D"])
def test_losses_and_gradients_match(published, lod, which):
    level, fade = level_and_fade(32, lod)
    network = getattr(published, which)
    step = getattr(published, f"{which}_step")
    loss, gradients = step(level, tf.constant(fade, tf.float32) if fade else None)
    reference = published.reference
    assert float(loss) == pytest.approx(reference[f"lod{lod}/{which}_loss"].mean(), rel=TOLERANCE)
    trained = network.trainable_at(level, bool(fade))
    found = {published_name(v): g for v, g in zip(trained, gradients, strict=True)}
    checked, tolerance = 0, GRADIENT_TOLERANCE[published.name]
    for key in reference.files:
        prefix, kind, name = [*key.split("/", 2), "", ""][:3]
        if prefix != f"lod{lod}" or kind not in (f"{which}_gradnorm", f"{which}_grad"):
            continue
        gradient = found.get(our_name(name))
        if kind.endswith("gradnorm"):
            norm = 0.0 if gradient is None else float(tf.norm(gradient))
            assert norm == pytest.approx(float(reference[key]), rel=tolerance, abs=1e-6), key
        elif gradient is not None:
            expected = reference[key].ravel()
            gradient = gradient.numpy().ravel()[: expected.size]
            scale = max(np.abs(expected).max(), 1e-3)
            assert np.abs(gradient - expected).max() / scale < tolerance, key
        checked += 1
    assert checked >= 20


def test_three_steps_of_discriminator_average_and_generator(published):
    G, D, Gs, reference = published.G, published.D, published.Gs, published.reference
    level, fade = level_and_fade(32, 0.5)
    fade = tf.constant(fade, tf.float32)
    start = {
        name: {published_name(v): v.numpy() for v in getattr(published, name).variables}
        for name in ("G", "D", "Gs")
    }
    G_adam, D_adam = adam(0.0, 0.99, 1e-8), adam(0.0, 0.99, 1e-8)
    for optimizer, network in ((G_adam, G), (D_adam, D)):
        optimizer.build(network.trainable_variables)
        optimizer.learning_rate.assign(0.001)
    for k in range(3):
        D_adam.apply(published.D_step(level, fade)[1], D.trainable_at(level, True))
        update_average(Gs, G, 0.999)
        G_adam.apply(published.G_step(level, fade)[1], G.trainable_at(level, True))
        for which, step in (("D", published.D_step), ("G", published.G_step)):
            expected = reference[f"step{k}/{which}_loss"].mean()
            assert float(step(level, fade)[0]) == pytest.approx(
                expected, rel=STEP_TOLERANCE[published.name]
            ), (k, which)
    for name in ("G", "D", "Gs"):
        for variable in getattr(published, name).trainable_variables:
            ours = published_name(variable)
            moved = variable.numpy() - start[name][ours]
            layer, _, role = ours.rpartition("/")
            side, _, kind = layer.partition("_")
            key = f"{side}/{kind}/{role}" if "x" in side else ours
            expected = float(reference[f"after3/{name}_deltanorm/{key}"])
            tolerance = 10 * STEP_TOLERANCE[published.name]
            assert np.linalg.norm(moved) == pytest.approx(expected, rel=tolerance, abs=1e-6), key


def test_real_images_follow_the_fade(reference):
    reference = np.load(reference("data/process_reals.npz"))
    for lod in ("0", "0.3", "1", "1.7", "2.5"):
        level, fade = level_and_fade(32, float(lod))
        pixels = nhwc(reference[f"in_lod{lod}"])
        images = real_images(tf.constant(pixels), tf.constant(fade, tf.float32) if fade else None)
        expected = nhwc(reference[f"out_lod{lod}"])[:, :: 32 // 2**level, :: 32 // 2**level]
        assert relative_error(images, expected) < 1e-6
