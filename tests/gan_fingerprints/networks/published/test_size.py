"""Published files of real size load fast and in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.networks import Classifier
from classifier_visNet.networks import AutoEncoder, Critic
from gan_fingerprints.networks import files
from ProGAN.networks import Discriminator, Generator
from tests.published import Network, pickled, published_name

PROGAN = {"num_channels": 3, "resolution": 128, "label_size": 0}
CLASSIFIER = {"num_channels": 3, "resolution": 128, "label_size": 5, "fmap_base": 1024,
              "latent_res": -1}  # fmt: skip
VISNET = {**CLASSIFIER, "latent_res": 4}


def stored(function: str, network, arguments: dict) -> Network:
    arrays = files.arrays_of(network)
    return Network(function, arguments, {published_name(n): a for n, a in arrays.items()})


def progan() -> tuple[Network, ...]:
    G = stored("G_paper", Generator(128), PROGAN)
    return G, stored("D_paper", Discriminator(128), PROGAN), G


def visnet() -> tuple[Network, ...]:
    EG = stored("EG", AutoEncoder(128, 5), VISNET)
    return EG, stored("D_patch", Critic(128), CLASSIFIER), EG


def classifier() -> Network:
    return stored("C_patch", Classifier(128, 5), CLASSIFIER)


FILES = [
    (classifier, {"classifier": 8_913_797}),
    (progan, {"generator": 22_933_395, "discriminator": 22_941_314}),
    (visnet, {"visnet_autoencoder": 14_400_019}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "kinds"), FILES)
def test_real_sizes(tmp_path, make, kinds):
    path = tmp_path / "published.pkl"
    path.write_bytes(pickled(make()))
    program = Path(__file__).with_name("load_published.py")
    for kind, parameters in kinds.items():
        done = subprocess.run([sys.executable, program, path, kind], capture_output=True,
                              text=True, check=True)  # fmt: skip
        report = json.loads(done.stdout)
        print(f"{kind}: {path.stat().st_size / 2**20:.0f} MiB of file, {report}")
        assert report["parameters"] == parameters
        assert report["seconds"] < 10
        assert report["mebibytes"] < 1024
