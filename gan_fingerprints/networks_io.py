"""One network in one file: safetensors, with a header that says which network it is.

The metadata holds one JSON text under `gan_fingerprints`: network name, constructor arguments,
input range, source names in label order (classifiers), provenance, and the SHA-256 of all that
and the weights. Loading builds the network from our own code by name and fills it; nothing in the
file is executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from gan_fingerprints.commands import UserError, existing_file, whole_file

if TYPE_CHECKING:
    import keras

HEADER_KEY = "gan_fingerprints"


@dataclass(frozen=True)
class Loaded:
    """A network read from a file, and what its header says."""

    network: keras.Model
    arguments: dict[str, Any]
    source_names: list[str] | None
    provenance: dict[str, Any]


def named_variables(network: keras.Model) -> dict[str, Any]:
    """The network's variables by layer and role, e.g. `8x8_Conv1/weight`, in creation order."""
    return {v.path.partition("/")[2] or v.path: v for v in network.variables}


def arrays_of(network: keras.Model) -> dict[str, np.ndarray]:
    """The network's weights by name, as `fill` takes them."""
    return {name: np.asarray(v) for name, v in named_variables(network).items()}


def save(
    path: str | Path,
    network: keras.Model,
    provenance: dict[str, Any],
    source_names: list[str] | None = None,
) -> None:
    """Writes a network whose class keeps its constructor arguments in `arguments`."""
    arrays = arrays_of(network)
    header = {
        "network": network.name,
        "arguments": network.arguments,
        "input_range": [-1, 1],
        "source_names": source_names,
        "provenance": provenance,
    }
    header["sha256"] = _checksum(header, arrays)
    with whole_file(path) as partial:
        partial.write_bytes(safetensors.numpy.save(arrays, {HEADER_KEY: json.dumps(header)}))


def load(path: str | Path, kinds: Mapping[str, Callable[..., keras.Model]], flag: str) -> Loaded:
    """Reads a network file.

    Args:
        path: the file.
        kinds: network name → class, for the kinds that are welcome.
        flag: the command-line flag that named the file, for messages.

    Raises:
        UserError: not a network file, another kind, damaged, or not fitting its own header.
    """
    path = existing_file(path, flag)
    header, arrays = _read(path, flag)
    name = str(header.get("network"))
    if name not in kinds:
        raise UserError(f"{flag} {path}: holds a {name}, expected a {' or '.join(kinds)}")
    if header.pop("sha256", None) != _checksum(header, arrays):
        raise UserError(
            f"{flag} {path}: damaged (its content does not have the SHA-256 that it states); "
            "get a fresh copy"
        )
    network = kinds[name](**header["arguments"])
    fill(network, arrays, f"{flag} {path}")
    return Loaded(network, header["arguments"], header["source_names"], header["provenance"])


def fill(network: keras.Model, arrays: Mapping[str, np.ndarray], origin: str) -> None:
    """Sets every variable; UserError unless names and shapes agree exactly."""
    variables = named_variables(network)
    for name in [*variables, *arrays]:
        expected = tuple(variables[name].shape) if name in variables else "no such array"
        found = arrays[name].shape if name in arrays else "nothing"
        if expected != found:
            raise UserError(f"{origin}: array {name}: found {found}, expected {expected}")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _read(path: Path, flag: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[HEADER_KEY])
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise UserError(
            f"{flag} {path}: not a network file of ours, or damaged ({error}); "
            "expected a .safetensors file that a training run wrote"
        ) from None


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
