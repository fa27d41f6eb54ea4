"""Latents and images of a seed: the published ones exactly, ours independent of their batch."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.ipm import latents, sampling
from gan_fingerprints.ipm.networks import Generator
from tests.published import relative_error, those_kept

OPERATIONS = {"cramer": 60, "mmd": 59}


@pytest.fixture(scope="module")
def G():
    tf.keras.utils.set_random_seed(1)
    made = Generator("g_resnet5", 32, gf_dim=2, z_dim=20)
    sampling.collect_statistics(made, 0)
    return made


def test_latents_of_a_seed_as_published(published_run):
    numbers = published_run.numbers("gen")
    operation = OPERATIONS[published_run.model]
    assert operation == numbers["op_seed2"]
    z = latents.published(0, 64, 100, 32, operation)
    np.testing.assert_array_equal(z, numbers["z"])
    np.testing.assert_array_equal(latents.published(0, 33, 100, 32, operation), z)


def test_philox_of_known_answers():
    """The test vectors of Salmon et al. 2011 (Random123), for counter and key of all zeros."""
    found = latents.philox(np.zeros([1, 4], np.uint64), 0)
    np.testing.assert_array_equal(found[0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
    found = latents.philox(np.full([1, 4], 0xFFFFFFFF, np.uint64), 2**64 - 1)
    np.testing.assert_array_equal(found[0], [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD])


def test_images_of_a_seed_as_published(published_run):
    numbers = published_run.numbers("gen")
    config = published_run.config
    made = Generator(**config.generator)
    published_run.fill(made)
    parts = list(sampling.images_of(made, numbers["z"], "batch", 32))
    found = those_kept(np.concatenate(parts), numbers["samples"])
    assert relative_error(found, numbers["samples"]) < 1e-5
    levels = sampling.to_uint8(found).astype(int) - np.rint(numbers["samples"] * 255)
    assert np.abs(levels).max() <= 1
    assert np.mean(levels != 0) < 1e-3


def test_one_fixed_range_for_every_image():
    values = np.array([0, 0.25, 0.5, 1.0, 0.001, 0.998, 1.2, -0.1])
    np.testing.assert_array_equal(sampling.to_uint8(values), [0, 64, 128, 255, 0, 254, 255, 0])


def test_own_latents_begin_the_same_however_many():
    z = latents.of_seed(3, 10, 7)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(latents.of_seed(3, 4, 7), z[:4])
    assert not np.array_equal(latents.of_seed(4, 10, 7), z)
    assert -1 <= z.min() < -0.8 < 0.8 < z.max() < 1


def test_with_population_statistics_an_image_depends_on_its_latent_alone(G):
    z = latents.of_seed(0, 70, 20)
    together = np.concatenate(list(sampling.images_of(G, z, "population", 7)))
    assert len(together) == 70
    (alone,) = sampling.images_of(G, z[40:41], "population", 64)
    # Up to rounding: on some processors, matrix products round the rows of a batch differently.
    np.testing.assert_allclose(alone[0], together[40], atol=1e-6)
    shuffled = np.concatenate(list(sampling.images_of(G, z[::-1], "population", 5)))
    np.testing.assert_allclose(shuffled[::-1], together, atol=1e-6)


def test_with_batch_statistics_it_depends_on_its_neighbours(G):
    z = latents.of_seed(0, 8, 20)
    (first,) = sampling.images_of(G, z, "batch", 8)
    other = np.concatenate([z[:1], latents.of_seed(1, 7, 20)])
    (second,) = sampling.images_of(G, other, "batch", 8)
    assert np.abs(first[0] - second[0]).max() > 1e-3


def test_population_statistics_are_those_of_many_images(G):
    """The first batch norm sees the linear layer alone: its moments over other latents agree."""
    z = np.random.RandomState(5).uniform(-1, 1, [20_000, 20]).astype(np.float32)
    weight, bias = (np.asarray(v) for v in G.linear.weights)
    x = (z @ weight + bias).reshape(len(z), G.widths[0], -1)
    norm = G.blocks[0]["norm_1"]
    spread = x.std((0, 2))
    assert np.abs(norm.moving_mean - x.mean((0, 2))).max() < 0.06 * spread.max()
    assert relative_error(norm.moving_variance, x.var((0, 2))) < 0.05
    before = np.asarray(norm.moving_mean)
    sampling.collect_statistics(G, 0)
    np.testing.assert_array_equal(norm.moving_mean, before)
