"""Files of ONNX through the command line: what is in them, and when there is none."""

import json
import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from gan_fingerprints import __main__
from gan_fingerprints.ipm import sampling
from gan_fingerprints.networks import files
from gan_fingerprints.networks.graphs import checked
from gan_fingerprints.program import UserError
from ProGAN.networks import Discriminator
from tests.conftest import PROJECT
from tests.gan_fingerprints.networks.graphs import test_classifiers, test_generators

NETWORKS = {**test_classifiers.NETWORKS, **test_generators.NETWORKS}
SAID = re.compile(r"largest difference from TensorFlow: (\S+)")


def convert(network, folder, name="out.onnx", sources=None):
    files.save(folder / "in.safetensors", network, {"seed": 7}, sources)
    __main__.run(["convert", str(folder / "in.safetensors"), str(folder / name)])
    return folder / name


@pytest.mark.parametrize(
    "name", ["paper", "three_members", "cooccurrence", "visnet", "labels", "sngan_classes"]
)
def test_a_file_runs_and_says_how_far_it_is_off(name, tmp_path, capsys):
    module = test_generators if name in test_generators.NETWORKS else test_classifiers
    network = module.filled(NETWORKS[name])
    sources = ["a", "b", "c"] if network.name in files.NAMING else None
    path = convert(network, tmp_path, sources=sources)
    assert float(SAID.search(capsys.readouterr().out)[1]) <= 3e-5
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    metadata = {x.key: x.value for x in model.metadata_props}
    assert metadata["network"] == network.name
    assert json.loads(metadata["arguments"]) == network.arguments
    assert json.loads(metadata["provenance"])["seed"] == 7
    assert metadata["images"].startswith("RGB, ")
    assert json.loads(metadata.get("source_names", "null")) == sources


def test_images_of_a_batch_gan_are_those_of_its_population(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "STATISTICS_BATCHES", 3)
    network = test_generators.filled(NETWORKS["dcgan"])
    path = convert(network, tmp_path)
    assert float(SAID.search(capsys.readouterr().out)[1]) <= 3e-5
    sampling.collect_statistics(network, 0)
    z = np.random.default_rng(2).uniform(-1, 1, (5, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"latents": z})
    np.testing.assert_allclose(found, network(z, statistics="population"), rtol=0, atol=3e-5)
    alone = session.run(None, {"latents": z[3:4]})[0]
    np.testing.assert_allclose(alone, found[3:4], rtol=0, atol=1e-6)


def test_what_differs_too_much_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(checked, "MOST", 1e-9)
    with pytest.raises(UserError, match=r"differ by .* from TensorFlow's, expected at most 1e-09"):
        convert(test_classifiers.filled(NETWORKS["paper"]), tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ["in.safetensors"]


def test_what_has_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"'.onnx', expected .safetensors for a discriminator"):
        convert(Discriminator(16, fmap_base=64, fmap_max=16), tmp_path)
    growing = NETWORKS["fused"]()
    growing.lod.assign(1.0)
    with pytest.raises(UserError, match="lod 1: this network has not grown to its 32×32 pixels"):
        convert(growing, tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ["in.safetensors"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("three_members", "not compared with TensorFlow, which is not installed"),
        ("sngan", "not compared with TensorFlow, which is not installed"),
        ("dcgan", "error: .*needs TensorFlow: pip install 'gan-fingerprints"),
    ],
)
def test_without_tensorflow(name, said, tmp_path):
    files.save(tmp_path / "in.safetensors", NETWORKS[name](), {})
    program = PROJECT / "tests/without_tensorflow.py"
    words = ["convert", tmp_path / "in.safetensors", tmp_path / "out.onnx"]
    done = subprocess.run([sys.executable, program, *words], capture_output=True, text=True)
    assert re.search(said, done.stdout + done.stderr), done.stdout + done.stderr
    assert (tmp_path / "out.onnx").exists() == (done.returncode == 0)
