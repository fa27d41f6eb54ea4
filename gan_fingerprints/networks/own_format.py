"""One network in one file: safetensors, with a header that says which network it is.

The metadata holds one JSON text under `gan_fingerprints`: network name, constructor arguments,
input range, source names in label order and calibration (classifiers), provenance, and the SHA-256
of all that and the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from gan_fingerprints.calibration import Calibration
from gan_fingerprints.networks.stored import Refused, StoredNetwork, require_plausible
from gan_fingerprints.program import UserError

HEADER_KEY = "gan_fingerprints"
CALIBRATION = "calibration/"  # arrays whose names start so are not the network's
MAX_FILE = 2**30  # bytes


@contextmanager
def _opened(path: Path, flag: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Header and open file of a network of ours; UserError for all that the file does wrong."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise Refused(f"{path.stat().st_size:,} bytes, expected at most {MAX_FILE:,}")
        with safetensors.safe_open(path, framework="numpy") as file:
            yield json.loads((file.metadata() or {})[HEADER_KEY]), file
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError,
            RecursionError, MemoryError, OSError) as error:  # fmt: skip
        raise UserError(
            f"{flag} {path}: not a network file of ours, or damaged ({str(error)[:400]}); "
            "expected a .safetensors file that a training run wrote"
        ) from None


def describe(path: Path, flag: str) -> StoredNetwork:
    """What the header of a file of ours says; of its arrays only the shapes are read.

    Raises:
        UserError: not a file of ours, or damaged so far.
    """
    with _opened(path, flag) as (header, file):
        return _described(header, file)


def _described(header: Mapping[str, Any], file: Any) -> StoredNetwork:
    names = [name for name in file.keys() if not name.startswith(CALIBRATION)]  # noqa: SIM118
    shapes = {
        name: SimpleNamespace(shape=tuple(file.get_slice(name).get_shape())) for name in names
    }
    return StoredNetwork(
        str(header["network"]), dict(header["arguments"]), shapes, header["source_names"],
        dict(header["provenance"]),
    )  # fmt: skip


def read(path: Path, flag: str) -> list[StoredNetwork]:
    """The one network of a file of ours; UserError when it is damaged; `flag` named the file."""
    with _opened(path, flag) as (header, file):
        stated = header.pop("sha256", None)
        stored = _described(header, file)
        require_plausible(stored)
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        weights = {name: arrays[name] for name in stored.arrays}
        stored = replace(stored, arrays=weights, calibration=_calibration(header, arrays))
    if stated != _checksum(header, arrays):
        raise UserError(
            f"{flag} {path}: damaged (its content does not have the SHA-256 that it states); "
            "get a fresh copy"
        )
    return [stored]


def write(path: Path, stored: StoredNetwork) -> None:
    """Writes a file of ours; the same network gives the same bytes."""
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
    path.write_bytes(safetensors.numpy.save(arrays, {HEADER_KEY: json.dumps(header)}))


def _calibration(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Calibration | None:
    if "calibration" not in header:
        return None
    parts = {name.removeprefix(CALIBRATION): x for name, x in arrays.items()}
    made = Calibration.of(header["calibration"], parts)
    if len(made.centres.means) != len(header["source_names"]):
        raise ValueError(f"a calibration of {len(made.centres.means)} sources")
    return made


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
