"""visNet's outputs, losses, gradients and steps against the published program."""

import numpy as np
import pytest
import tensorflow as tf

from classifier_visNet.config import Config
from classifier_visNet.losses import critic_loss
from classifier_visNet.networks import AutoEncoder, Critic
from classifier_visNet.training import D_gradients, EG_gradients, total_loss
from gan_fingerprints.networks import files
from gan_fingerprints.training.optimizer import adam, update_average
from tests.published import fill, nhwc, our_name, read_networks, relative_error

TOLERANCE = 1e-4
STEP_TOLERANCE = 1e-3  # of weights and losses after Adam steps
SHAPE = {"resolution": 32, "fmap_base": 64, "fmap_max": 512}
ADAM = (0.0, 0.99, 1e-8)


class Published:
    """The networks and inputs that the reference files were computed from."""

    def __init__(self, reference):
        EG, D, EGs = read_networks(reference("visnet/visnet_r32.nosrc.pkl"))
        self.EG = fill(AutoEncoder(num_sources=5, **SHAPE), EG)
        self.D = fill(Critic(**SHAPE), D)
        self.EGs = fill(AutoEncoder(num_sources=5, **SHAPE), EGs)
        self.outputs = np.load(reference("visnet/visnet_r32.ref.npz"))
        self.losses = np.load(reference("visnet/visnet_r32.loss.npz"))
        self.reals = tf.constant(nhwc(self.losses["reals"]))
        self.labels = tf.constant(self.losses["labels"])
        self.mix = tf.constant(self.losses["mix"])

    def losses_and_gradients(self, which):
        """Losses [8] and gradients, of the networks as they are now."""
        if which == "D_rec":
            return D_gradients(self.EG, self.D, Config(), self.reals, self.mix, 8)
        parts, gradients = EG_gradients(self.EG, self.D, Config(), self.reals, self.labels, 8)
        return total_loss(parts, Config()), gradients

    def network(self, which):
        return {"EG": self.EG, "D_rec": self.D, "EGs": self.EGs}[which]


@pytest.fixture
def published(reference):
    return Published(reference)


@pytest.mark.parametrize("name", ["EG", "EGs"])
def test_outputs_match(published, name):
    images = tf.constant(nhwc(published.outputs["images"]))
    found = getattr(published, name).outputs(images)
    expected = published.outputs
    assert relative_error(found.reconstructions, nhwc(expected[f"{name}_recs"])) < TOLERANCE
    assert relative_error(found.fingerprints, nhwc(expected[f"{name}_fingerprints"])) < TOLERANCE
    assert relative_error(found.logits, expected[f"{name}_logits"]) < TOLERANCE
    assert relative_error(getattr(published, name)(images), found.logits) == 0


def test_critic_scores_match_also_one_by_one(published):
    expected = published.outputs
    images = nhwc(expected["images"])
    together, alone = (expected[f"D_rec_scores{x}"].reshape(-1, 1) for x in ("", "_mb1"))
    assert relative_error(published.D(images), together) < TOLERANCE
    one_by_one = np.concatenate([published.D(images[i : i + 1]) for i in range(len(images))])
    assert relative_error(one_by_one, alone) < TOLERANCE
    assert (
        relative_error(one_by_one, together) > 5 * TOLERANCE
    )  # the minibatch standard deviation acts


@pytest.mark.parametrize("which", ["EG", "D_rec"])
def test_losses_and_gradients_match(published, which):
    reference = published.losses
    assert float(reference["rec_weight"]) == pytest.approx(Config().rec_weight)
    assert float(reference["rec_G_weight"]) == pytest.approx(Config().adv_weight)
    losses, gradients = published.losses_and_gradients(which)
    assert relative_error(losses, reference[f"{which}_loss"]) < TOLERANCE
    variables = published.network(which).trainable_variables
    found = {v.path.partition("/")[2]: g.numpy() for v, g in zip(variables, gradients, strict=True)}
    checked = 0
    for key in reference.files:
        kind, _, name = key.partition("/")
        if kind == f"{which}_gradnorm":
            norm = np.linalg.norm(found[our_name(name)])
            assert norm == pytest.approx(float(reference[key]), rel=TOLERANCE), key
        elif kind == f"{which}_grad":
            gradient = found[our_name(name)].ravel()[: reference[key].size]
            assert relative_error(gradient, reference[key].ravel()) < TOLERANCE, key
        checked += kind in (f"{which}_gradnorm", f"{which}_grad")
    assert checked >= 2 * len(variables) - 2


def test_three_steps_of_critic_autoencoder_and_average(published):
    EG, D, EGs, reference = published.EG, published.D, published.EGs, published.losses
    networks = {"EG": EG, "D_rec": D, "EGs": EGs}
    start = {k: files.arrays_of(network) for k, network in networks.items()}
    optimizers = {"D_rec": adam(*ADAM), "EG": adam(*ADAM)}
    for which, optimizer in optimizers.items():
        optimizer.build(networks[which].trainable_variables)
        optimizer.learning_rate.assign(0.001)
    for k in range(3):
        for which, optimizer in optimizers.items():
            gradients = published.losses_and_gradients(which)[1]
            optimizer.apply(gradients, networks[which].trainable_variables)
        update_average(EGs, EG, 0.999)
        for which in ("EG", "D_rec"):
            losses = published.losses_and_gradients(which)[0]
            expected = reference[f"step{k}/{which}_loss"]
            assert relative_error(losses, expected) < STEP_TOLERANCE, (k, which)
    for which, network in networks.items():
        for name, array in files.arrays_of(network).items():
            for key in (k for k in reference.files if k.startswith(f"after3/{which}_")):
                kind, _, published_name = key[len("after3/") :].partition("/")
                if our_name(published_name) != name:
                    continue
                if kind.endswith("deltanorm"):
                    moved = np.linalg.norm(array - start[which][name])
                    assert moved == pytest.approx(float(reference[key]), rel=STEP_TOLERANCE), key
                else:
                    first = array.ravel()[: reference[key].size]
                    assert relative_error(first, reference[key]) < STEP_TOLERANCE, key


@pytest.mark.parametrize("latent_res", [-1, 4, 8])
@pytest.mark.parametrize("fused_scale", [False, True])
def test_every_form_builds_and_its_gradients_are_finite(latent_res, fused_scale):
    shape = {"resolution": 16, "fmap_base": 64, "fmap_max": 16, "fused_scale": fused_scale}
    options = {"use_pixelnorm": True, "normalize_latents": True}
    EG = AutoEncoder(num_sources=3, latent_res=latent_res, **options, **shape)
    D = Critic(latent_res=latent_res, **shape)
    images = tf.random.stateless_uniform([4, 16, 16, 3], [1, 2], -1, 1)
    assert EG.outputs(images).reconstructions.shape == (4, 16, 16, 3)
    assert D(images).shape == (4, 1)
    labels, mix = tf.one_hot([0, 1, 2, 0], 3), tf.constant([[[[0.3]]]])
    gradients = EG_gradients(EG, D, Config(), images, labels, 4)[1]
    gradients += D_gradients(EG, D, Config(), images, mix, 4)[1]
    assert all(np.isfinite(g).all() for g in gradients)


def test_variables_of_the_dense_form_have_the_published_names():
    EG = AutoEncoder(16, 3, 64, 16, latent_res=-1)
    shapes = {name: tuple(v.shape) for name, v in files.named_variables(EG).items()}
    assert shapes["E_4x4_Dense1/weight"] == (16 * 16, 16)
    assert shapes["G_4x4_Dense0/weight"] == (16, 16 * 16)
    assert shapes["G_4x4_Dense0/bias"] == (16,)
    assert "G_4x4_Conv1/weight" in shapes
    assert "G_4x4_Conv0/weight" not in shapes
    assert shapes["Conv_fingerprints/weight"] == (16, 16, 3, 3)


@pytest.mark.parametrize("correlation", ["inner", "normalized"])
def test_logits_are_correlations(correlation):
    EG = AutoEncoder(16, 3, 64, 16, correlation=correlation)
    found = EG.outputs(tf.random.stateless_uniform([2, 16, 16, 3], [1, 2], -1, 1))
    image = found.fingerprints.numpy().astype(np.float64).reshape(2, -1)
    model = EG.model_fingerprints.weight.numpy().astype(np.float64).reshape(-1, 3).T
    if correlation == "normalized":
        expected = np.corrcoef(image, model)[:2, 2:]
    else:
        expected = image @ model.T / np.sqrt(16 * 16 * 3)
    assert relative_error(found.logits, expected) < 1e-5


def test_unknown_correlation_is_refused():
    with pytest.raises(ValueError, match="cosine"):
        AutoEncoder(16, 3, 64, 16, correlation="cosine")


def test_gradient_penalty_of_a_linear_critic_is_known():
    weight = tf.random.stateless_normal([8 * 8 * 3, 1], [3, 4])

    def D(images):
        return tf.matmul(tf.reshape(images, [len(images), -1]), weight)

    reals, fakes = (tf.random.stateless_normal([4, 8, 8, 3], [k, 0]) for k in range(2))
    losses = critic_loss(D, reals, fakes, tf.zeros([4, 1, 1, 1]), gp_weight=10, drift_weight=0.001)
    real, fake, norm = D(reals)[:, 0], D(fakes)[:, 0], np.linalg.norm(weight)
    expected = fake - real + 10 * (norm - 1) ** 2 + 0.001 * real**2
    assert relative_error(losses, expected) < 1e-5


def test_paper_network_has_the_expected_number_of_parameters():
    # Trunk and model fingerprints as of the classifier of 8,913,797 parameters, by hand.
    EG, D = AutoEncoder(128, 5), Critic(128)
    assert EG.encode(tf.zeros([1, 128, 128, 3])).shape == (1, 4, 4, 512)
    trunk = sum(int(np.prod(v.shape)) for v in D.trainable_variables)
    classifier = 8_913_797
    head = 512 * 5 + 5
    assert trunk == classifier - head + 9 * 512 + 513  # one more feature map, one score
    assert EG.model_fingerprints.count_params() == 128 * 128 * 3 * 5
