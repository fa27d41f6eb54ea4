"""MMDGAN's kernels and losses against reference numbers and brute force."""

import numpy as np
import pytest
import tensorflow as tf

from CramerGAN.gan.core.cramer import Cramer, RedditCramer
from MMDGAN.gan.core.mmd import FUNCTIONS, MMD, mmd2
from MMDGAN.gan.core.wgan_gp import WassersteinGP
from MMDGAN.gan.kernels import KERNELS
from tests.published import relative_error


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference("gan/mmd_functions.npz")) as file:
        return {name: file[name] for name in file.files}


def pair(name, x, y):
    """One value of a kernel, in double precision, straight from its definition."""
    if name.startswith("tanh_"):
        return pair(name[5:], np.tanh(x), np.tanh(y))
    squared, product = np.sum((x - y) ** 2), np.sum(x * y)
    if name == "dot":
        return product
    if name == "distance":
        lengths = [np.sqrt(np.sum(z**2) + 1e-5) for z in (x, y, x - y)]
        return lengths[0] + lengths[1] - lengths[2]
    if name == "mix_rbf":
        return sum(np.exp(-squared / (2 * s**2)) for s in (2, 5, 10, 20, 40, 80))
    weight = {"mix_rq": 0, "mix_rq_dot": 0.1, "mix_rq_1dot": 1, "mix_rq_10dot": 10,
              "mix_rq_01dot": 0.1, "mix_rq_001dot": 0.01}[name]  # fmt: skip
    return sum((1 + squared / (2 * a)) ** -a for a in (0.1, 1, 10)) + weight * product


def biased_mmd2(x, y, name):
    """With k(x, x) left in, mean over all pairs."""
    k = [float(tf.reduce_mean(FUNCTIONS[name](a, b))) for a, b in ((x, x), (y, y), (x, y))]
    return k[0] + k[1] - 2 * k[2]


def test_every_kernel_has_a_name_and_a_function():
    assert list(KERNELS) == list(FUNCTIONS)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_against_brute_force(name, numbers):
    x, y = numbers["X"][:9].astype(np.float64), numbers["Y"][:7].astype(np.float64)
    expected = [[pair(name, a, b) for b in y] for a in x]
    found = FUNCTIONS[name](tf.constant(x, tf.float32), tf.constant(y, tf.float32))
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_and_mmd2_against_reference_numbers(name, numbers):
    x, y = (tf.constant(numbers[key]) for key in "XY")
    for key, (a, b) in {"XX": (x, x), "XY": (x, y), "YY": (y, y)}.items():
        assert relative_error(FUNCTIONS[name](a, b), numbers[f"{name}/K_{key}"]) < 1e-4
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        found = mmd2(x, y, name, "published")
    assert float(found) == pytest.approx(float(numbers[f"{name}/mmd2"]), rel=1e-4, abs=1e-6)
    for key, gradient in zip("XY", tape.gradient(found, [x, y]), strict=True):
        assert relative_error(gradient, numbers[f"{name}/grad_mmd2_{key}"]) < 1e-4
    assert biased_mmd2(x, y, name) == pytest.approx(float(numbers[f"{name}/mmd2_biased"]), rel=1e-4)


@pytest.mark.parametrize("name", ["mix_rq_1dot", "distance", "mix_rbf"])
def test_the_exact_diagonal_against_brute_force(name, numbers):
    x, y = numbers["X"][:8].astype(np.float64), numbers["Y"][:8].astype(np.float64)
    within = [
        np.mean([pair(name, z[i], z[j]) for i in range(8) for j in range(8) if i != j])
        for z in (x, y)
    ]
    across = np.mean([pair(name, a, b) for a in x for b in y])
    found = mmd2(tf.constant(x, tf.float32), tf.constant(y, tf.float32), name)
    assert float(found) == pytest.approx(sum(within) - 2 * across, rel=1e-4)


@pytest.mark.parametrize("name", ["mix_rq_1dot", "mix_rbf", "distance"])
def test_unbiased_mmd2_of_equal_distributions_is_zero_on_average(name):
    random = np.random.RandomState(0)
    draws = random.randn(200, 2, 32, 8).astype(np.float32)
    estimate = tf.function(lambda x, y: mmd2(x, y, name))
    values = [float(estimate(x, y)) for x, y in draws]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    biased = [biased_mmd2(x, y, name) for x, y in draws[:20]]
    # A bias of this size would have been seen.
    assert np.mean(biased) > 10 * np.std(values) / np.sqrt(200)


def test_the_published_diagonal_is_biased_with_a_dot_product():
    random = np.random.RandomState(0)
    values = [
        float(mmd2(*random.randn(2, 32, 8).astype(np.float32), "mix_rq_1dot", "published"))
        for _ in range(50)
    ]
    # ⟨x, x⟩ is 8 on average and stays in with weight 1/(32 - 1), twice.
    assert np.mean(values) == pytest.approx(2 * 8 / 31, rel=0.15)


def test_objective_and_witness(numbers):
    x, y = (tf.constant(numbers[key]) for key in "XY")
    objective = MMD("mix_rq_1dot", "published")
    expected = float(numbers["mix_rq_1dot/mmd2"])
    assert float(objective.generator(y, [x])) == pytest.approx(expected, rel=1e-5)
    assert float(objective.discriminator(y, [x])) == pytest.approx(-expected, rel=1e-5)
    points = numbers["Z"][:3].astype(np.float64)
    expected = [
        np.mean([pair("mix_rq_1dot", p, b) for b in numbers["Y"].astype(np.float64)])
        - np.mean([pair("mix_rq_1dot", p, a) for a in numbers["X"].astype(np.float64)])
        for p in points
    ]
    found = objective.witness(tf.constant(points, tf.float32), y, [x])
    assert relative_error(found, expected) < 1e-4


def test_wasserstein_losses():
    real, fake = np.array([[1.0], [3.0]], np.float32), np.array([[5.0], [9.0]], np.float32)
    objective = WassersteinGP()
    assert float(objective.generator(real, [fake])) == -7
    assert float(objective.discriminator(real, [fake])) == 5
    np.testing.assert_array_equal(objective.witness(real, real, [fake]), [1, 3])


def test_the_distance_kernel_at_the_origin():
    """√(0 + 1e-5) twice, less the same once."""
    points = tf.constant([[0.0, 0, 0], [1.0, 0, 0]])
    found = FUNCTIONS["distance"](points[:1], points)
    np.testing.assert_allclose(found, [[np.sqrt(1e-5)] * 2], rtol=1e-4)


@pytest.mark.parametrize(
    ("objective", "batches"), [(MMD(), 1), (WassersteinGP(), 1), (Cramer(), 2), (RedditCramer(), 2)]
)
def test_how_many_batches_of_generated_images_a_loss_takes(objective, batches):
    assert objective.fake_batches == batches
    features = tf.random.normal([4, 3], seed=0)
    fakes = [tf.random.normal([4, 3], seed=i) for i in range(1, batches + 1)]
    for loss in (objective.generator, objective.discriminator):
        assert np.isfinite(float(loss(features, fakes)))
