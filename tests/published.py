"""Weights of the published programs for the tests, as arrays under our names."""

import io
import pickle
from pathlib import Path

import numpy as np

from gan_fingerprints import networks_io

_ARRAY_PARTS = ("_reconstruct", "_frombuffer", "ndarray", "dtype", "scalar")


class _Network:
    """Stands for the published class; keeps its state and runs nothing."""

    def __setstate__(self, state):
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if name == "Network":
            return _Network
        if module.partition(".")[0] == "numpy" and name in _ARRAY_PARTS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def our_name(name: str) -> str:
    """`8x8/Conv1/weight` → `8x8_Conv1/weight`."""
    layer, _, role = name.rpartition("/")
    return f"{layer.replace('/', '_')}/{role}" if layer else role


def read_networks(path: Path) -> list[dict[str, np.ndarray]]:
    """The weights of each network in a published pickle."""
    content = _Unpickler(io.BytesIO(path.read_bytes())).load()
    networks = content if isinstance(content, tuple) else (content,)
    return [{our_name(k): np.asarray(v) for k, v in net.state["variables"]} for net in networks]


def fill(network, arrays):
    networks_io.fill(network, arrays, "published weights")
    return network


def nhwc(images):
    return np.ascontiguousarray(np.transpose(images, [0, 2, 3, 1]))


def relative_error(found, expected) -> float:
    """Largest difference, relative to the largest expected value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
