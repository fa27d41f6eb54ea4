"""CramerGAN's losses against reference numbers and plain NumPy."""

import numpy as np
import pytest

from CramerGAN.gan.core.cramer import Cramer, RedditCramer, critic


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference("gan/mmd_functions.npz")) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def features(numbers):
    """real, [g, g2]"""
    return numbers["Y"], [numbers["X"], numbers["Z"]]


def length(x):
    return np.sqrt(np.sum(x.astype(np.float64) ** 2, axis=1) + 1e-5)


def test_losses_against_reference_numbers(numbers, features):
    assert float(Cramer().generator(*features)) == pytest.approx(numbers["cramer/g_loss"], rel=1e-5)
    found = float(Cramer().discriminator(*features))
    assert found == pytest.approx(numbers["cramer/d_loss_no_gp"], rel=1e-5)
    found = Cramer().witness(features[0], *features)
    np.testing.assert_allclose(found, numbers["cramer/critic_images_G"], rtol=1e-5, atol=1e-5)
    found = float(RedditCramer().generator(*features))
    assert found == pytest.approx(numbers["reddit_cramer/g_loss"], rel=1e-4)


def test_losses_against_numpy(features):
    real, (g, g2) = features
    expected = length(g - real) + length(g2 - real) - length(g - g2)
    assert float(Cramer().generator(*features)) == pytest.approx(expected.mean(), rel=1e-5)
    f = {"real": length(real - g) - length(real), "g2": length(g2 - g) - length(g2)}
    expected = -np.mean(f["real"] - f["g2"])
    assert float(Cramer().discriminator(*features)) == pytest.approx(expected, rel=1e-5)


def test_the_energy_distance_is_zero_for_one_point_and_grows():
    point = np.ones([4, 3], np.float32)
    same = float(Cramer().generator(point, [point, point]))
    apart = float(Cramer().generator(point, [point + 3, point + 3]))
    assert same == pytest.approx(np.sqrt(1e-5), rel=1e-4)
    assert apart == pytest.approx(2 * np.sqrt(27), rel=1e-3)


def test_both_players_of_the_reddit_variant_have_one_loss(features):
    objective = RedditCramer()
    assert float(objective.discriminator(*features)) == -float(objective.generator(*features))
    real, (g, g2) = features
    expected = np.mean(critic(real, g)) - np.mean(critic(g, g2))
    assert float(objective.generator(*features)) == pytest.approx(expected, rel=1e-5)
