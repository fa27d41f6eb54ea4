"""What the programs of both classifiers share."""

import argparse

import numpy as np
import pytest

from classifier_visNet.networks import AutoEncoder
from gan_fingerprints.attribution.measuring import accuracy
from gan_fingerprints.attribution.tables import load_network
from gan_fingerprints.program import UserError


class Answers:
    """As a tensor: has .numpy()."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def numpy(self):
        return self.values


class Data:
    """130 images of four sources, whose first pixel is the number of their source."""

    count = 130
    labels = np.eye(4, dtype=np.float32)[np.arange(130) % 4]

    def images(self, indices):
        return (np.asarray(indices) % 4).astype(np.uint8)[:, None, None, None]


@pytest.mark.parametrize("most", [5000, 100, 64])
def test_accuracy_counts_each_chosen_image_once(most):
    asked = []

    def predict(pixels):
        asked.append(pixels)
        answers = pixels[:, 0, 0, 0].astype(int)
        return Answers(np.where(answers == 3, 0, answers))  # never says 3

    found = accuracy(predict, Data(), most, seed=1)
    chosen = np.random.default_rng([1, 0]).permutation(130)[:most] % 4
    assert found == pytest.approx(np.mean(chosen != 3))
    assert {part.shape for part in asked} == {(64, 1, 1, 1)}


@pytest.fixture
def load(reference, capsys):
    def load(names):
        path = reference("visnet/visnet_r32.nosrc.pkl")
        arguments = argparse.Namespace(model_path=str(path), source_names=names)
        kinds = {"visnet_autoencoder": AutoEncoder}
        return load_network(arguments, kinds), capsys.readouterr().out

    return load


def test_assumed_source_names_are_said(load):
    loaded, printed = load(None)
    assert loaded.source_names[:2] == ["CelebA_real_data", "ProGAN_generated_data"]
    assert "source names are assumed" in printed


def test_given_source_names_are_taken_silently(load):
    loaded, printed = load("a,b,c,d,e")
    assert loaded.source_names == ["a", "b", "c", "d", "e"]
    assert printed == ""


def test_another_number_of_source_names_is_refused(load):
    with pytest.raises(UserError, match="found 2 names"):
        load("a,b")
