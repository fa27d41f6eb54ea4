"""The network of descriptors against NumPy; its files as those of any other network."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints import Attributor
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.networks import files, header
from gan_fingerprints.networks.cooccurrence import Cooccurrence
from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.networks.stored import Refused, StoredNetwork
from gan_fingerprints.program import UserError

NAMES = ["real", "a", "b"]


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    network = Cooccurrence(resolution=32, num_sources=3, components=7)
    arrays = [rng.normal(size=x.shape).astype(np.float32) for x in network.discriminant]
    arrays[1] = 1 + np.abs(arrays[1])  # deviations
    for variable, array in zip(network.discriminant, arrays, strict=True):
        variable.assign(array)
    return network


def pixels(number, height, width):
    # All levels occur: they are found again however they were scaled.
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (number, height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(32, 32), (40, 33)])
def test_answers_are_those_of_numpy(network, size):
    images = pixels(6, *size)
    mean, deviation, weight, bias, components = (np.asarray(x) for x in network.discriminant)
    standard = (descriptors(images) - mean) / deviation
    for scaled in (images.astype(np.float32) / 127.5 - 1, images / np.float32(255) * 2 - 1):
        logits, found = network.answers(tf.constant(scaled))
        np.testing.assert_allclose(found, standard @ components, atol=2e-3)
        np.testing.assert_allclose(logits, standard @ weight + bias, atol=2e-3)
        np.testing.assert_array_equal(network(scaled), logits)
        np.testing.assert_array_equal(network.fingerprints(scaled), found)


def test_a_file_is_attributed_with_as_any_other(network, tmp_path):
    path = tmp_path / "network.safetensors"
    centres = Centres(np.zeros([3, 7], np.float32), np.ones(7, np.float32))
    scale = Calibration(30.0, "max_softmax", 0.0, 0.05, centres, "5" * 64)
    files.save(path, network, {"seed": 1}, NAMES, scale)
    images = pixels(5, 32, 32)
    rows = list(Attributor.load(path, batch=4).attribute(images))
    logits = np.asarray(network(images.astype(np.float32) / 127.5 - 1))
    expected = np.exp(logits / 30) / np.exp(logits / 30).sum(axis=1, keepdims=True)
    found = [list(row.probabilities.values()) for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert [row.most_probable for row in rows] == [NAMES[i] for i in logits.argmax(1)]


def test_what_a_file_may_not_say(network, tmp_path):
    path = tmp_path / "network.safetensors"
    arrays = files.arrays_of(network)
    arguments = {"resolution": 32, "num_sources": 3, "components": 7}

    def loaded(arguments, arrays):
        files.write(path, StoredNetwork("cooccurrence", arguments, arrays, NAMES, {}))
        return files.load(path, files.constructors(), "--model")

    assert loaded(arguments, arrays).network.name == "cooccurrence"
    with pytest.raises(UserError, match="found nothing, expected"):
        loaded(arguments, {name: x for name, x in arrays.items() if name != "bias"})
    with pytest.raises(UserError, match=r"weight: found \(5, 3\), expected \(1872, 3\)"):
        loaded(arguments, arrays | {"weight": np.zeros([5, 3], np.float32)})
    with pytest.raises(UserError, match="fmap_base: unknown"):
        loaded(arguments | {"fmap_base": 64}, arrays)
    many = StoredNetwork("cooccurrence", arguments | {"num_sources": 2**16}, arrays, None, {})
    with pytest.raises(Refused, match=r"some 122,\d+,\d+ parameters, but it holds 22,467"):
        header.require_plausible(many)
