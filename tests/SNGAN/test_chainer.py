"""Snapshots exchanged with a real Chainer, where one is installed (requirements-chainer.txt)."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks import files
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.gen_models.resnet import ResNetGenerator
from tests.published import arrays_in, nhwc, relative_error

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("chainer_networks.py")
SHAPE = {"size": 32, "ch": 4, "n_classes": 3}


@pytest.fixture
def chainer_python():
    """An interpreter that has Chainer: $CHAINER_PYTHON, else .venv-chainer in the project."""
    python = os.environ.get("CHAINER_PYTHON", PROJECT / ".venv-chainer" / "bin" / "python")
    try:
        subprocess.run([python, "-c", "import chainer"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("Chainer is not installed: requirements-chainer.txt says how")
    return python


def randomized(network):
    """All weights and statistics random, so that nothing can be mistaken for its start value."""
    random = np.random.RandomState(1)
    for variable in network.variables:
        value = 0.3 * random.randn(*variable.shape)
        if variable.name == "N":
            value = np.array(7)
        variable.assign(np.abs(value) + 0.5 if variable.name == "avg_var" else value)
    return network


def test_chainer_computes_the_same_and_writes_the_same(chainer_python, tmp_path):
    G = randomized(ResNetGenerator(dim_z=16, **SHAPE))
    D = randomized(SNResNetProjectionDiscriminator(**SHAPE))
    ours = [tmp_path / "G.npz", tmp_path / "D.npz"]
    theirs = [tmp_path / "theirs_G.npz", tmp_path / "theirs_D.npz"]
    for path, network in zip(ours, (G, D), strict=True):
        files.save(path, network, {})
    outputs = tmp_path / "outputs.npz"
    subprocess.run([chainer_python, SCRIPT, *ours, outputs, *theirs], check=True)
    found = np.load(outputs)
    images = G(tf.constant(found["z"]), tf.constant(found["y"]))
    assert relative_error(images, nhwc(found["images"])) < 1e-4
    assert relative_error(D(images, tf.constant(found["y"])), found["scores"]) < 1e-4
    for path, network in zip(theirs, (G, D), strict=True):
        written = arrays_in(path)
        expected = files.arrays_of(network)
        assert {k: a.shape for k, a in written.items()} == {k: a.shape for k, a in expected.items()}
        for key, array in written.items():
            np.testing.assert_array_equal(array, expected[key], key)
