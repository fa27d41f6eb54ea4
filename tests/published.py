"""Networks of the published programs for the tests: read by the library, written by pickle."""

import io
import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np

from gan_fingerprints.networks import files
from gan_fingerprints.networks.published import network_pickle
from gan_fingerprints.networks.published.network_pickle import our_name  # noqa: F401


def read_networks(path: Path) -> list[dict[str, np.ndarray]]:
    """The weights of each network in a published pickle, under our names."""
    networks = network_pickle.read(path)
    return [{name: np.asarray(a) for name, a in net.arrays.items()} for net in networks]


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    """The weights of the only network in a file of any format, under our names, in our order."""
    (stored,) = files.read(path, "test")
    return {name: np.asarray(array) for name, array in stored.arrays.items()}


def fill(network, arrays):
    files.fill(network, arrays, "published weights")
    return network


def nhwc(images):
    return np.ascontiguousarray(np.transpose(images, [0, 2, 3, 1]))


def relative_error(found, expected) -> float:
    """Largest difference, relative to the largest expected value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def those_kept(found, expected):
    """Of a batch's results those that the reference files kept: all, or every eighth."""
    return np.asarray(found)[:: len(found) // len(expected)]


class Network:
    """Stands for the published class while a pickle is written."""

    def __init__(self, function, arguments, variables, name="net"):
        self.state = {
            "version": 2,
            "name": name,
            "static_kwargs": arguments,
            "build_module_src": "raise SystemExit('this text must never run')\n" * 40,
            "build_func_name": function,
            "variables": list(variables.items()),
        }

    def __getstate__(self):
        return self.state


def pickled(content, protocol=4) -> bytes:
    """A pickle as the release wrote it, of one `Network` or a tuple of them."""
    module = types.ModuleType("tfutil")
    module.Network = Network
    Network.__module__, Network.__qualname__ = "tfutil", "Network"
    before = sys.modules.get("tfutil")
    sys.modules["tfutil"] = module
    try:
        file = io.BytesIO()
        pickle.Pickler(file, protocol).dump(content)
        return file.getvalue()
    finally:
        del sys.modules["tfutil"]
        if before is not None:
            sys.modules["tfutil"] = before


def published_variables(network, seed=0) -> dict[str, np.ndarray]:
    """Random weights for a network of ours, under the published names."""
    random, variables = np.random.default_rng(seed), {}
    for name, variable in files.named_variables(network).items():
        array = random.standard_normal(tuple(variable.shape), np.float32)
        variables[published_name(name)] = np.float32(0) if name == "lod" else array
    return variables


def published_name(name: str) -> str:
    """`8x8_Conv0_up/weight` → `8x8/Conv0_up/weight`."""
    return re.sub(r"^((?:[EG]_)?\d+x\d+)_", r"\1/", name)
