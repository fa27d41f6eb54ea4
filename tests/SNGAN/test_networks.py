"""SNGAN's networks, losses, gradients and power iterations against the published program."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks import files
from gan_fingerprints.networks.files import named_variables
from gan_fingerprints.networks.published.chainer_snapshot import chainer_order
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.evaluations import sampling
from SNGAN.gen_models.resnet import WIDTHS, ResNetGenerator
from SNGAN.losses import discriminator_loss, generator_loss
from SNGAN.training import D_gradients, G_gradients
from tests.published import arrays_in, nhwc, relative_error

TOLERANCE = 1e-4


def read_pair(find):
    return [
        arrays_in(find(f"sngan/sngan_ch4_{name}_150000.npz"))
        for name in ("ResNetGenerator", "SNResNetProjectionDiscriminator")
    ]


class Published:
    """Networks, their published weights, and what the published program computed with them."""

    def __init__(self, find):
        self.reference = np.load(find("sngan/sngan_ch4.ref.npz"))
        self.images = nhwc(self.reference["x"]).astype(np.float32)
        self.arrays = read_pair(find)
        self.G = ResNetGenerator(ch=4, n_classes=1)
        self.D = SNResNetProjectionDiscriminator(ch=4, n_classes=1)

    def reset(self):
        for network, arrays in zip((self.G, self.D), self.arrays, strict=True):
            files.fill(network, arrays, "published weights")
        return self

    def state_errors(self, network, prefix):
        """Relative errors of the arrays that the reference holds under `prefix`/…"""
        found = files.arrays_of(network)
        role = prefix.removesuffix("_after_train1") if "avg" in prefix else "u"
        return [
            relative_error(found[f"{key.split('/', 1)[1]}/{role}"], self.reference[key])
            for key in self.reference.files
            if key.startswith(f"{prefix}/")
        ]


@pytest.fixture(scope="module")
def unfilled(reference):
    return Published(reference)


@pytest.fixture
def published(unfilled):
    return unfilled.reset()


def test_generator_matches(published):
    images = published.G(published.reference["z"])
    assert relative_error(images, nhwc(published.reference["G_test"])) < TOLERANCE


def test_discriminator_matches_and_evaluation_changes_nothing(published):
    D, reference = published.D, published.reference
    before = files.arrays_of(D)
    assert relative_error(D(published.images), reference["D_test_noY"]) < TOLERANCE
    assert relative_error(D(published.images, reference["y"]), reference["D_test_Y"]) < TOLERANCE
    for key, array in files.arrays_of(D).items():
        np.testing.assert_array_equal(array, before[key], key)


def test_training_calls_move_u_by_one_power_iteration_each(published):
    D, reference = published.D, published.reference
    scores = D(published.images, training=True)
    assert relative_error(scores, reference["D_train_noY"]) < TOLERANCE
    errors = published.state_errors(D, "u_after_D_train1")
    assert len(errors) == 19
    assert max(errors) < TOLERANCE
    scores = D(published.images, training=True)
    assert relative_error(scores, reference["D_train_noY_second"]) < TOLERANCE
    assert max(published.state_errors(D, "u_after_D_train2")) < TOLERANCE


def test_generator_in_training_and_its_running_statistics(published):
    G, reference = published.G, published.reference
    images = G(reference["z_gen_step"], training=True)
    first = reference["G_train_first"]
    assert relative_error(images[: len(first)], nhwc(first)) < TOLERANCE
    errors = published.state_errors(G, "avg_mean_after_train1")
    errors += published.state_errors(G, "avg_var_after_train1")
    assert len(errors) == 22
    assert max(errors) < TOLERANCE


def require_gradients(network, variables, gradients, reference, side):
    names = {id(v): name for name, v in named_variables(network).items()}
    for variable, gradient in zip(variables, gradients, strict=True):
        name = names[id(variable)]
        gradient = chainer_order(gradient.numpy())
        expected = float(reference[f"gradnorm_{side}/{name}"])
        assert np.linalg.norm(gradient) == pytest.approx(expected, rel=1e-3, abs=1e-6), name
        first = reference[f"grad_{side}_first64/{name}"]
        scale = max(np.abs(first).max(), 1e-5)
        difference = np.abs(gradient.ravel()[: first.size] - first).max()
        assert difference / scale < 10 * TOLERANCE or expected < 1e-6, name


def test_losses_and_gradients_match(published):
    G, D, reference = published.G, published.D, published.reference
    loss, gradients = G_gradients(G, D, reference["z_gen_step"], None, "hinge", False, 4)
    assert float(loss) == pytest.approx(float(reference["loss_gen"]), rel=TOLERANCE)
    require_gradients(G, G.trainable_variables, gradients, reference, "gen")
    loss, gradients = D_gradients(
        G, D, published.images, None, reference["z_dis_step"], None, "hinge", False, 4
    )
    assert float(loss) == pytest.approx(float(reference["loss_dis"]), rel=TOLERANCE)
    require_gradients(D, D.variables_in_use(False), gradients, reference, "dis")
    assert max(published.state_errors(D, "u_after_trainstep")) < TOLERANCE


def test_published_images_of_a_seed(published, reference):
    reference = np.load(reference("sngan/sngan_ch4.gen_seed0.npz"))
    z = sampling.latents(np.random.RandomState(0), published.G, 4)
    np.testing.assert_array_equal(z, reference["z"])
    (images,) = sampling.pictures(published.G, z, np.zeros(4, int))
    expected = reference["images_uint8_nhwc"]  # all four, or the first of them
    difference = np.abs(images[: len(expected)].astype(int) - expected)
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize(
    "size", [pytest.param(x, marks=pytest.mark.slow) if x > 64 else x for x in WIDTHS]
)
def test_every_size_and_its_gradients(size):
    G = ResNetGenerator(size, ch=1, dim_z=8)
    D = SNResNetProjectionDiscriminator(size, ch=1)
    images = G(tf.random.normal([2, 8]))
    assert images.shape == (2, size, size, 3)
    assert D(images).shape == (2, 1)
    _, gradients = G_gradients(G, D, tf.random.normal([2, 8]), None, "dcgan", False, 2)
    assert all(g is not None for g in gradients)


def test_classes_condition_both_networks():
    G = ResNetGenerator(32, ch=2, dim_z=8, n_classes=3)
    D = SNResNetProjectionDiscriminator(32, ch=2, n_classes=3)
    for block in G.blocks:  # as they start, all classes are the same
        block.b1.gammas.W.assign(tf.random.normal(block.b1.gammas.W.shape, seed=1))
    for variable in G.non_trainable_variables:
        if variable.name == "avg_var":
            variable.assign(tf.ones_like(variable))
    z = tf.random.stateless_normal([2, 8], [0, 1])
    first, second = (G(z, tf.constant([k, k])).numpy() for k in (1, 2))
    assert np.abs(first - second).max() > 1e-3
    mixture = tf.constant([[0.0, 1.0, 0.0]] * 2)
    np.testing.assert_allclose(G(z, mixture), first, atol=1e-6)
    scores = [D(first, tf.constant([k, k])).numpy() for k in (1, 2)]
    assert np.abs(scores[0] - scores[1]).max() > 1e-4
    _, gradients = D_gradients(
        G, D, first, tf.constant([0, 1]), z, tf.constant([1, 2]), "hinge", True, 2
    )
    assert len(gradients) == len(D.trainable_variables)
    assert all(g is not None for g in gradients)
    assert len(D.variables_in_use(False)) == len(D.trainable_variables) - 1


def test_losses_against_their_closed_forms():
    real, fake = tf.constant([[2.0], [0.5]]), tf.constant([[-3.0], [0.25]])
    np.testing.assert_allclose(discriminator_loss(real, fake), [0.0, 0.5 + 1.25])
    np.testing.assert_allclose(generator_loss(fake), [3.0, -0.25])
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    expected = softplus(np.array([-2.0, -0.5])) + softplus(np.array([-3.0, 0.25]))
    np.testing.assert_allclose(discriminator_loss(real, fake, "dcgan"), expected, rtol=1e-6)
    expected = softplus(np.array([3.0, -0.25]))
    np.testing.assert_allclose(generator_loss(fake, "dcgan"), expected, rtol=1e-6)
