"""ProGAN's networks against outputs of the published program."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.images import to_uint8
from gan_fingerprints.networks.layers import box_downscale, box_upscale
from ProGAN.networks import Discriminator, Generator, full_size_images, level_and_fade
from tests.published import fill, nhwc, read_networks, relative_error

TOLERANCE = 1e-4
NAMES = ["progan_r32_fb128_fm32", "progan_r32_fb128_fm32_unfused", "progan_r32_fb128_fm32_lod1.3"]
LODS = [0, 0.5, 1, 2.3]


def networks(path):
    fused = "unfused" not in path.name
    shape = {"resolution": 32, "fmap_base": 128, "fmap_max": 32, "fused_scale": fused}
    kinds = (Generator, Discriminator, Generator)
    arrays = read_networks(path)
    return [fill(kind(**shape), a) for kind, a in zip(kinds, arrays, strict=True)]


@pytest.fixture(scope="module", params=NAMES)
def published(request, reference):
    name = f"progan/{request.param}"
    return networks(reference(f"{name}.nosrc.pkl")), np.load(reference(f"{name}.ref.npz"))


@pytest.mark.parametrize("lod", LODS)
def test_generators_match(published, lod):
    (G, _, Gs), reference = published
    level, fade = level_and_fade(32, lod)
    for name, network in (("G", G), ("Gs", Gs)):
        images = network(reference["latents"], level=level, fade=fade or None)
        images = box_upscale(images, 32 // 2**level)
        expected = nhwc(reference[f"{name}_images_lod{lod}"])
        assert relative_error(images, expected) < TOLERANCE


@pytest.mark.parametrize("lod", LODS)
def test_discriminator_matches(published, lod):
    (_, D, _), reference = published
    level, fade = level_and_fade(32, lod)
    images = box_downscale(tf.constant(nhwc(reference["images"])), 32 // 2**level)
    scores, labels = D(images, level=level, fade=fade or None)
    assert relative_error(scores, reference[f"D_scores_lod{lod}"]) < TOLERANCE
    assert labels.shape == (8, 0)


@pytest.mark.parametrize("minibatch", [1, 2])
def test_smaller_minibatches_form_other_groups(published, minibatch):
    (_, D, _), reference = published
    images = nhwc(reference["images"])
    parts = [D(images[i : i + minibatch])[0] for i in range(0, len(images), minibatch)]
    expected = reference[f"D_scores_lod0_mb{minibatch}"]
    assert relative_error(np.concatenate(parts), expected) < TOLERANCE


def test_stored_lod_is_used(reference):
    name = "progan/progan_r32_fb128_fm32_lod1.3"
    _, _, Gs = networks(reference(f"{name}.nosrc.pkl"))
    reference = np.load(reference(f"{name}.ref.npz"))
    assert float(Gs.lod) == pytest.approx(1.3)
    images = full_size_images(Gs, tf.constant(reference["latents"]), float(Gs.lod))
    assert relative_error(images, nhwc(reference["Gs_images_savedlod"])) < TOLERANCE


def test_published_images_of_a_seed(reference):
    _, _, Gs = networks(reference("progan/progan_r32_fb128_fm32.nosrc.pkl"))
    reference = np.load(reference("progan/gen_seed0.npz"))
    latents = np.random.RandomState(0).randn(4, 32).astype(np.float32)
    np.testing.assert_array_equal(latents, reference["latents"])
    images = to_uint8(full_size_images(Gs, tf.constant(latents), float(Gs.lod)).numpy())
    difference = np.abs(images.astype(int) - reference["images_uint8_nhwc"])
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999


def test_only_the_layers_in_use_are_trained():
    shape = {"resolution": 32, "fmap_base": 64, "fmap_max": 16}
    for kind in (Generator, Discriminator):
        network = kind(**shape)
        inputs = tf.random.normal([4, 16] if kind is Generator else [4, 8, 8, 3])
        for fading in (False, True):
            with tf.GradientTape() as tape:
                outputs = network(inputs, level=3, fade=tf.constant(0.4) if fading else None)
                outputs = outputs if kind is Generator else outputs[0]
                loss = tf.reduce_sum(tf.square(outputs))
            gradients = tape.gradient(loss, network.trainable_variables)
            pairs = zip(network.trainable_variables, gradients, strict=True)
            used = {v.path for v, g in pairs if g is not None}
            assert used == {v.path for v in network.trainable_at(3, fading)}


def test_labels_are_inputs_and_outputs():
    G = Generator(16, label_size=3, fmap_base=64, fmap_max=16)
    D = Discriminator(16, label_size=3, fmap_base=64, fmap_max=16)
    latents = tf.random.normal([4, 16])
    first, second = (G(tf.concat([latents, tf.one_hot([k] * 4, 3)], 1)).numpy() for k in range(2))
    assert np.abs(first - second).max() > 1e-3
    scores, logits = D(first)
    assert scores.shape == (4, 1)
    assert logits.shape == (4, 3)
