"""The classifier's outputs, loss, gradients and steps against the published program."""

import re

import numpy as np
import pytest
import tensorflow as tf

from classifier.networks import Classifier
from classifier.training import loss_per_image
from gan_fingerprints.networks.layers import to_network
from gan_fingerprints.training.optimizer import adam
from tests.published import fill, nhwc, our_name, read_networks, relative_error

TOLERANCE = 1e-4
SHAPES = {
    "classifier_r32_postpool_sw4_lr-1": {"resolution": 32, "fmap_base": 64, "fmap_max": 32},
    "classifier_r128_tiny_label5": {"resolution": 128, "fmap_base": 64, "fmap_max": 32},
}


@pytest.fixture(scope="module", params=list(SHAPES))
def published(request, reference):
    name = request.param
    (arrays,) = read_networks(reference(f"classifier/{name}.nosrc.pkl"))
    network = fill(Classifier(num_sources=5, **SHAPES[name]), arrays)
    files = [np.load(reference(f"classifier/{name}.{kind}.npz")) for kind in ("ref", "loss")]
    return network, arrays, *files


def test_logits_match(published):
    network, _, reference, _ = published
    images = nhwc(reference["images"])
    assert relative_error(network(images), reference["logits"]) < TOLERANCE
    one_by_one = np.concatenate([network(images[i : i + 1]) for i in range(len(images))])
    assert relative_error(one_by_one, reference["logits_mb1"]) < TOLERANCE
    pixels = tf.constant(reference["images_u8_nhwc"])
    assert relative_error(network(to_network(pixels)), reference["logits_u8"]) < TOLERANCE


def test_loss_gradients_and_steps_match(published):
    network, arrays, _, reference = published
    fill(network, arrays)
    images, labels = nhwc(reference["reals"]), tf.constant(reference["labels"])
    optimizer = adam(0.0, 0.99, 1e-8)
    optimizer.build(network.trainable_variables)
    optimizer.learning_rate.assign(0.001)
    for k in range(4):  # "step k" of the reference is the loss after k + 1 steps
        with tf.GradientTape() as tape:
            losses = loss_per_image(network(images), labels)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, network.trainable_variables)
        if k == 0:
            assert relative_error(losses, reference["loss"]) < TOLERANCE
            compare_gradients(network, gradients, reference)
        elif f"step{k - 1}/loss" in reference:
            assert relative_error(losses, reference[f"step{k - 1}/loss"]) < TOLERANCE
        optimizer.apply(gradients, network.trainable_variables)


def compare_gradients(network, gradients, reference):
    found = {
        v.path.partition("/")[2]: g.numpy()
        for v, g in zip(network.trainable_variables, gradients, strict=True)
    }
    checked = 0
    for key in reference.files:
        kind, _, name = key.partition("/")
        if kind == "gradnorm":
            norm = np.linalg.norm(found[our_name(name)])
            assert norm == pytest.approx(float(reference[key]), rel=TOLERANCE), key
        elif kind == "grad":
            gradient = found[our_name(name)].ravel()[: reference[key].size]
            assert relative_error(gradient, reference[key].ravel()) < TOLERANCE, key
        checked += kind in ("grad", "gradnorm")
    assert checked >= 20


@pytest.mark.parametrize(
    "name",
    ["postpool_sw8_lr-1", "predownscale_sw8_lr-1", "postpool_sw4_lr4", "predownscale_sw8_lr4"],
)
def test_published_options_match(name, reference):
    (arrays,) = read_networks(reference(f"classifier/classifier_r32_{name}.nosrc.pkl"))
    mode, side, latent_res = re.fullmatch(r"(\w+)_sw(\d+)_lr(-?\d+)", name).groups()
    network = Classifier(
        32, 5, 64, 512, mode=mode, switching_res=int(side), latent_res=int(latent_res)
    )
    fill(network, arrays)
    expected = np.load(reference(f"classifier/classifier_r32_{name}.ref.npz"))
    images, logits = nhwc(expected["images"]), expected["logits"]
    if network.patches:
        assert relative_error(network.to_logits(network.features(images)), nhwc(logits)) < TOLERANCE
        logits = logits.mean(axis=(2, 3))
    assert relative_error(network(images), logits) < TOLERANCE


def test_paper_network_has_the_published_number_of_parameters():
    assert Classifier(128, 5).count_params() == 8_913_797


def test_every_resolution_builds():
    for resolution in (16, 32, 64):
        network = Classifier(resolution, 3, fmap_base=64, fmap_max=16)
        assert network(tf.zeros([2, resolution, resolution, 3])).shape == (2, 3)
