"""Damaged network files of every kind: refused in one line, or read, and no code is run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifier.networks import Classifier
from classifier_visNet.networks import AutoEncoder
from gan_fingerprints.ipm.networks import Generator as BatchGenerator
from gan_fingerprints.networks import files
from ProGAN.networks import Generator
from SNGAN.gen_models.resnet import ResNetGenerator
from tests.conftest import PROJECT
from tests.faults.test_images import damaged
from tests.published import Network, pickled, published_variables

SMALL = {"resolution": 16, "fmap_base": 64, "fmap_max": 16}
READER = PROJECT / "tests/gan_fingerprints/networks/published/read_hostile.py"
SLOWEST, MOST = 5, 500  # seconds of a processor, MiB


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    """A whole file of each kind: ours, and those of the release that are one file."""
    folder = tmp_path_factory.mktemp("whole")
    G = Generator(**SMALL)
    networks = {
        "classifier.safetensors": (Classifier(**SMALL, num_sources=2), ["a", "b"]),
        "visnet.safetensors": (AutoEncoder(**SMALL, num_sources=2), ["a", "b"]),
        "generator.safetensors": (G, None),
        "ipm.safetensors": (BatchGenerator(gf_dim=2), None),
        "sngan.npz": (ResNetGenerator(32, ch=2, n_classes=1), None),
    }
    made = {}
    for name, (network, names) in networks.items():
        files.save(folder / name, network, {}, names)
        made[name] = (folder / name).read_bytes()
    arguments = {"num_channels": 3, "label_size": 0, **SMALL}
    made["progan.pkl"] = pickled(Network("G_paper", arguments, published_variables(G)))
    return made


def reports(folder: Path, contents: dict[str, bytes]) -> dict[str, dict]:
    """What came of reading each file, in a process of its own that is watched."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    paths = "\n".join(str(folder / name) for name in contents)
    done = subprocess.run(
        [sys.executable, READER], input=paths, capture_output=True, text=True, check=True
    )
    return {Path(path).name: report for path, report in json.loads(done.stdout).items()}


def test_whole_files_are_read(originals, tmp_path):
    assert {r["status"] for r in reports(tmp_path, originals).values()} == {"read"}


def test_damaged_network_files(originals, tmp_path, times, counted):
    rng = np.random.default_rng(0)
    number = times(4000, 240)
    survived, refused = 0, dict.fromkeys(originals, 0)
    for start in range(0, number, 240):  # a few at a time on the disk
        names = [list(originals)[i % len(originals)] for i in range(start, start + 240)]
        contents = {f"{i}-{name}": damaged(originals[name], rng) for i, name in enumerate(names)}
        for file, report in reports(tmp_path, contents).items():
            said = (file, report)
            assert report["status"] in ("refused", "read"), said
            assert report["events"] == [], said
            assert report["seconds"] < SLOWEST, said
            assert report["mebibytes"] < MOST, said
            refused[file.partition("-")[2]] += report["status"] == "refused"
            survived += 1
    counted(survived, survived)
    assert survived >= number
    # Files of ours have a checksum: what was changed is noticed, but for changes of nothing.
    for name, times_refused in refused.items():
        if name.endswith(".safetensors"):
            assert times_refused >= 0.95 * survived / len(originals), name
