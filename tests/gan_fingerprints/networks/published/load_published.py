"""Loads a published file in a process of its own; prints time and memory beyond the framework."""

import json
import os
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path[0] = str(Path(__file__).resolve().parents[4])

import numpy as np  # noqa: E402

from classifier.networks import Classifier  # noqa: E402
from classifier_visNet.networks import AutoEncoder  # noqa: E402
from gan_fingerprints.networks import files  # noqa: E402
from ProGAN.networks import Discriminator, Generator  # noqa: E402

KINDS = {"generator": Generator, "discriminator": Discriminator, "classifier": Classifier,
         "visnet_autoencoder": AutoEncoder}  # fmt: skip


def peak() -> float:
    """Most memory of this program so far, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


if __name__ == "__main__":
    _, path, kind = sys.argv
    small = KINDS[kind](16, fmap_base=64, fmap_max=16)  # what the framework itself takes
    np.asarray(small.variables[0])
    before, start = peak(), time.perf_counter()
    network = files.load(path, {kind: KINDS[kind]}, "--model_path").network
    seconds = time.perf_counter() - start
    report = {"seconds": seconds, "mebibytes": peak() - before, "framework": before}
    print(json.dumps({**report, "parameters": network.count_params()}))
