"""One network in one file: safetensors, with a header that says which network it is.

The metadata holds one JSON text under `gan_fingerprints`: network name, constructor arguments,
input range, source names in label order and calibration (classifiers), provenance, and the SHA-256
of all that and the weights. Loading builds the network from our own code by name and fills it;
nothing in the file is executed. Files of the 2019 release load the same way, see
`networks.published`; what a file holds decides, not its name.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from gan_fingerprints.calibration import Calibration
from gan_fingerprints.networks.published import chainer_snapshot, network_pickle
from gan_fingerprints.networks.published.source_names import source_names
from gan_fingerprints.networks.stored import Refused, StoredNetwork, clipped, require_plausible
from gan_fingerprints.program import UserError, existing_file, whole_file

if TYPE_CHECKING:
    import keras

HEADER_KEY = "gan_fingerprints"
CALIBRATION = "calibration/"  # arrays whose names start so are not the network's
CHECKPOINT_KINDS = {"ipm_generator", "ipm_discriminator"}  # these may be in a folder
MAX_FILE = 2**30  # bytes
ZIP_START = b"PK"
PICKLE_STARTS = (b"\x80", b"(", b"c", b"]", b"}", b"i")


@dataclass(frozen=True)
class Loaded:
    """A network read from a file, and what its header says.

    Attributes:
        names_assumed: the line to print when the file carries no source names and they are the
            known order of the release; empty otherwise.
        calibration: what the file holds of it, or None.
    """

    network: keras.Model
    arguments: dict[str, Any]
    source_names: list[str] | None
    provenance: dict[str, Any]
    names_assumed: str = ""
    calibration: Calibration | None = None


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
    calibration: Calibration | None = None,
) -> None:
    """Writes a network whose class keeps its constructor arguments in `arguments`."""
    stored = StoredNetwork(
        network.name, network.arguments, arrays_of(network), source_names, provenance,
        calibration=calibration,
    )  # fmt: skip
    write(path, stored)


def write(path: str | Path, stored: StoredNetwork) -> None:
    """Writes a network that was never built, e.g. one read from a published file."""
    arrays = {name: np.asarray(array, order="C") for name, array in stored.arrays.items()}
    header = {
        "network": stored.kind,
        "arguments": stored.arguments,
        "input_range": [-1, 1],
        "source_names": stored.source_names,
        "provenance": stored.provenance,
    }
    if stored.calibration:
        header["calibration"] = stored.calibration.header()
        arrays |= {CALIBRATION + name: x for name, x in stored.calibration.arrays().items()}
    header["sha256"] = _checksum(header, arrays)
    with whole_file(path) as partial:
        partial.write_bytes(safetensors.numpy.save(arrays, {HEADER_KEY: json.dumps(header)}))


def load(
    path: str | Path,
    kinds: Mapping[str, Callable[..., keras.Model]],
    flag: str,
    names: str | None = None,
) -> Loaded:
    """Reads a network file of ours, or a pickle, snapshot or checkpoint of the release.

    Args:
        path: the file.
        kinds: network name → class, for the kinds that are welcome. Of a published file with
            several, the last welcome one is taken: the averaged generator or auto-encoder.
        flag: the command-line flag that named the file, for messages.
        names: value of `--source_names`; None for those of the file, or the release's known
            order where it carries none (see `Loaded.names_assumed`).

    Raises:
        UserError: not a network file, another kind, damaged, or not fitting its own header.
    """
    if not CHECKPOINT_KINDS & kinds.keys():
        existing_file(path, flag)
    networks = read(path, flag)
    welcome = [network for network in networks if network.kind in kinds]
    if not welcome:
        held = " and a ".join(dict.fromkeys(clipped(network.kind) for network in networks))
        raise UserError(f"{flag} {path}: holds a {held}, expected a {' or '.join(kinds)}")
    stored = welcome[-1]
    origin = f"{flag} {path}"
    try:
        require_plausible(stored)
        network = kinds[stored.kind](**stored.arguments)
    except (Refused, TypeError, ValueError, KeyError) as error:
        raise UserError(
            f"{origin}: arguments that make no {stored.kind} ({str(error)[:500]})"
        ) from None
    fill(network, stored.arrays, origin)
    sources, assumed = stored.source_names, ""
    if "num_sources" in stored.arguments and (sources is None or names):
        outputs, file_name = stored.arguments["num_sources"], Path(path).name
        sources, _, assumed = source_names(outputs, names, file_name)
    arguments = getattr(network, "arguments", stored.arguments)
    return Loaded(network, arguments, sources, stored.provenance, assumed, stored.calibration)


def fill(network: keras.Model, arrays: Mapping[str, Any], origin: str) -> None:
    """Sets every variable; UserError unless names and shapes agree exactly."""
    variables = named_variables(network)
    for name in [*variables, *arrays]:
        expected = tuple(variables[name].shape) if name in variables else "no such array"
        found = arrays[name].shape if name in arrays else "nothing"
        if expected != found:
            raise UserError(f"{origin}: array {clipped(name)}: found {found}, expected {expected}")
    for name, variable in variables.items():
        try:
            variable.assign(np.asarray(arrays[name]))
        except ValueError as error:
            raise UserError(f"{origin}: array {clipped(name)}: {error}") from None


def read(path: str | Path, flag: str) -> list[StoredNetwork]:
    """What a network file of any format holds, in the order of the file; nothing is built.

    A TensorFlow 1 checkpoint is named by its folder, a folder above, its prefix or its index.

    Raises:
        UserError: not a network file, or damaged.
    """
    path = Path(path)
    if path.is_dir() or path.suffix == ".index" or Path(f"{path}.index").is_file():
        from gan_fingerprints.networks.published import (
            tf1_checkpoint,  # import this module
            tf1_networks,
        )

        return tf1_networks.read(tf1_checkpoint.newest(path, flag), flag)
    path = existing_file(path, flag)
    if is_ours(path):
        return [_read_ours(path, flag)]
    start = _start(path)
    if start[:2] == ZIP_START:
        return _published(path, flag, lambda file: [chainer_snapshot.read(file)])
    if start[:1] in PICKLE_STARTS:
        return _published(path, flag, network_pickle.read)
    raise UserError(
        f"{flag} {path}: not a network file of ours nor of the 2019 release; expected a "
        ".safetensors file that a training run wrote, or a published .pkl or .npz"
    )


def is_ours(path: Path) -> bool:
    """Whether a file looks like a safetensors file: a length, then JSON."""
    return _start(path)[8:] == b"{"


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(9)


def _published(
    path: Path, flag: str, reader: Callable[[Path], list[StoredNetwork]]
) -> list[StoredNetwork]:
    try:
        networks = reader(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except Refused as error:
        raise UserError(
            f"{flag} {path}: refused: {error}; not a network file of the 2019 release, or damaged"
        ) from None
    return [
        replace(network, provenance={
            "published_file": path.name,
            "published_sha256": digest,
            "published_network": network.published_as,
        })
        for network in networks
    ]  # fmt: skip


def _read_ours(path: Path, flag: str) -> StoredNetwork:
    try:
        if path.stat().st_size > MAX_FILE:
            raise Refused(f"{path.stat().st_size:,} bytes, expected at most {MAX_FILE:,}")
        with safetensors.safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[HEADER_KEY])
            found = header.pop("sha256", None)
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: _Shape(tuple(part.get_shape())) for name, part in slices.items()}
            weights = {name: x for name, x in shapes.items() if not name.startswith(CALIBRATION)}
            stored = StoredNetwork(
                str(header["network"]), dict(header["arguments"]), weights,
                header["source_names"], dict(header["provenance"]),
            )  # fmt: skip
            require_plausible(stored)
            arrays = {name: file.get_tensor(name) for name in slices}
            calibration = _calibration(header, arrays)
            stored = replace(
                stored, arrays={name: arrays[name] for name in weights}, calibration=calibration
            )
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError,
            RecursionError, MemoryError, OSError) as error:  # fmt: skip
        raise UserError(
            f"{flag} {path}: not a network file of ours, or damaged ({str(error)[:400]}); "
            "expected a .safetensors file that a training run wrote"
        ) from None
    if found != _checksum(header, arrays):
        raise UserError(
            f"{flag} {path}: damaged (its content does not have the SHA-256 that it states); "
            "get a fresh copy"
        )
    return stored


def _calibration(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Calibration | None:
    if "calibration" not in header:
        return None
    parts = {name.removeprefix(CALIBRATION): x for name, x in arrays.items()}
    made = Calibration.of(header["calibration"], parts)
    if len(made.centres.means) != len(header["source_names"]):
        raise ValueError(f"a calibration of {len(made.centres.means)} sources")
    return made


@dataclass(frozen=True)
class _Shape:
    """An array that is still in its file."""

    shape: tuple[int, ...]


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


CLASSES = {
    "classifier": "classifier.networks:Classifier",
    "visnet_autoencoder": "classifier_visNet.networks:AutoEncoder",
}


def constructors(*kinds: str) -> dict[str, Callable[..., Any]]:
    """What `load` builds networks of some kinds with, by default of all in CLASSES."""
    return {kind: partial(_construct, kind) for kind in kinds or CLASSES}


def _construct(kind: str, **arguments: Any) -> Any:
    module, _, name = CLASSES[kind].partition(":")
    return getattr(importlib.import_module(module), name)(**arguments)
