"""One network in one file: safetensors, with a header that says which network it is.

The metadata holds one JSON text under `gan_fingerprints`: network name, constructor arguments,
input range, source names in label order, calibration, enrolment, likelihoods, card and agreement
in bfloat16 (classifiers), provenance, and the SHA-256 of all that and the weights.
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

from gan_fingerprints.calibration import EITHER, Calibration
from gan_fingerprints.domain import PROPERTIES
from gan_fingerprints.likelihoods.fitted import Likelihoods
from gan_fingerprints.networks import header, stored_enrolment
from gan_fingerprints.networks.enrolment import Enrolment
from gan_fingerprints.networks.stored import Refused, StoredNetwork, clipped
from gan_fingerprints.program import UserError
from gan_fingerprints.scores import RANKS

HEADER_KEY = "gan_fingerprints"
CALIBRATION, ENROLMENT = "calibration/", "enrolment/"  # begin names of arrays of no network
MAX_FILE = 2**30  # bytes
MAX_BEGINNING = 2**23  # bytes that describe the arrays and hold the header
WEIGHTS, COUNTERS = ("F32",), ("I32", "I64")  # as safetensors calls their types


@contextmanager
def _opened(path: Path, flag: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Header and open file of a network of ours; UserError for all that the file does wrong."""
    try:
        require_size(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if HEADER_KEY not in metadata:
                raise Refused(f"without {HEADER_KEY} in its metadata")
            yield header.read(metadata[HEADER_KEY]), file
    except (safetensors.SafetensorError, ValueError, RecursionError, MemoryError, OSError) as error:
        why = str(error)[:400] if isinstance(error, Refused) else clipped(str(error))
        raise UserError(
            f"{flag} {path}: not a network file of ours, or damaged ({why}); "
            "expected a .safetensors file that a training run wrote"
        ) from None


def require_size(path: Path, most: int = MAX_FILE) -> None:
    """Refused where a file, or what describes its arrays, is larger than it may be."""
    with path.open("rb") as file:
        described = int.from_bytes(file.read(8), "little")
    for what, found, limit in (("the whole", path.stat().st_size, most),
                               ("the beginning", described, MAX_BEGINNING)):  # fmt: skip
        if found > limit:
            raise Refused(f"{what} is {found:,} bytes, expected at most {limit:,}")


def holds_network(path: Path) -> bool:
    """Whether a file says that it is one of ours; it may be damaged."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return HEADER_KEY in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


def describe(path: Path, flag: str) -> StoredNetwork:
    """What the header of a file of ours says; of its arrays only the shapes are read.

    Raises:
        UserError: not a file of ours, or damaged so far.
    """
    with _opened(path, flag) as (said, file):
        return _described(said, file)


def _described(said: Mapping[str, Any], file: Any) -> StoredNetwork:
    """Refused unless all arrays are of the types and shapes that can be told from the header."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    shapes = {
        name: SimpleNamespace(shape=tuple(part.get_shape()), stored_as=part.get_dtype())
        for name, part in slices.items()
    }
    for name, array in shapes.items():
        counts = said["network"] == "ResNetGenerator" and name.endswith("/N")
        if array.stored_as not in (COUNTERS if counts else WEIGHTS):
            raise Refused(f"array {clipped(name)} of type {array.stored_as}")
    beside = CALIBRATION, ENROLMENT
    weights = {name: x for name, x in shapes.items() if not name.startswith(beside)}
    stored = StoredNetwork(
        said["network"], said["arguments"], weights, said["source_names"], said["provenance"]
    )
    for what, prefix, expected in (
        ("a calibration", CALIBRATION, _of_calibration(said, stored)),
        ("an enrolment", ENROLMENT, _of_enrolment(said, stored)),
    ):
        found = {name: x.shape for name, x in shapes.items() if name.startswith(prefix)}
        if found != expected:
            listed = ", ".join(f"{clipped(name)} {list(shape)}" for name, shape in found.items())
            raise Refused(f"{what} of {listed or 'no arrays'}; expected {expected or 'none'}")
    return stored


def _of_calibration(said: Mapping[str, Any], stored: StoredNetwork) -> dict[str, tuple[int, ...]]:
    """Shapes of its arrays, by their names in the file; none without one."""
    if "calibration" not in said:
        return {}
    sources, features = stored.arguments["num_sources"], header.features_of(stored)
    expected: dict[str, tuple[int, ...]] = {"means": (sources, features), "deviations": (features,)}
    if said["calibration"].get("score") == EITHER:
        whitening = header.judged_of(stored), features
        expected |= {"whitening": whitening, "ranks": (2, sources, RANKS)}
    if "domain" in said["calibration"]:
        expected["domain"] = (2, len(PROPERTIES))
    return {CALIBRATION + name: shape for name, shape in expected.items()}


def _of_enrolment(said: Mapping[str, Any], stored: StoredNetwork) -> dict[str, tuple[int, ...]]:
    """The same of an enrolment's arrays."""
    if "enrolment" not in said:
        return {}
    sizes = stored.arguments["num_sources"], header.features_of(stored)
    shapes = stored_enrolment.shapes(said["enrolment"], *sizes)
    return {ENROLMENT + name: shape for name, shape in shapes.items()}


def read(path: Path, flag: str) -> list[StoredNetwork]:
    """The one network of a file of ours; UserError when it is damaged; `flag` named the file."""
    with _opened(path, flag) as (said, file):
        stored = _described(said, file)
        header.require_plausible(stored)
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if said.pop("sha256") != checksum(said, arrays):
            raise Refused("its content does not have the SHA-256 that it states: get a fresh copy")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise Refused(f"array {clipped(name)}: holds values that are not numbers")
        weights = {name: arrays.pop(name) for name in stored.arrays}
        stored = replace(
            stored, arrays=weights, calibration=_calibration(said, arrays),
            enrolment=_enrolment(said, arrays), likelihoods=_likelihoods(said),
            card=said.get("card"), bfloat16=said.get("bfloat16"),
        )  # fmt: skip
        header.require_lod(stored)
    return [stored]


def write(path: Path, stored: StoredNetwork) -> None:
    """Writes a file of ours; the same network gives the same bytes."""
    arrays = dict(stored.arrays)
    said: dict[str, Any] = {
        "network": stored.kind,
        "arguments": stored.arguments,
        "input_range": [-1, 1],
        "source_names": stored.source_names,
        "provenance": stored.provenance,
    }
    if stored.calibration:
        said["calibration"] = stored.calibration.header()
        arrays |= {CALIBRATION + name: x for name, x in stored.calibration.arrays().items()}
    if stored.enrolment:
        said["enrolment"] = stored_enrolment.header_of(stored.enrolment)
        of_it = stored_enrolment.arrays_of(stored.enrolment)
        arrays |= {ENROLMENT + name: x for name, x in of_it.items()}
    if stored.likelihoods:
        said["likelihoods"] = stored.likelihoods.header()
    if stored.card is not None:
        said["card"] = stored.card
    if stored.bfloat16 is not None:
        said["bfloat16"] = stored.bfloat16
    # In C's order: safetensors writes the memory as it lies, and takes the shape's word for it.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    said["sha256"] = checksum(said, arrays)
    path.write_bytes(safetensors.numpy.save(arrays, {HEADER_KEY: json.dumps(said)}))


def _calibration(said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Calibration | None:
    if "calibration" not in said:
        return None
    return Calibration.of(said["calibration"], _parts(arrays, CALIBRATION))


def _enrolment(said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Enrolment | None:
    if "enrolment" not in said:
        return None
    return stored_enrolment.read(said["enrolment"], _parts(arrays, ENROLMENT))


def _likelihoods(said: Mapping[str, Any]) -> Likelihoods | None:
    return Likelihoods.read(said["likelihoods"]) if "likelihoods" in said else None


def _parts(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}


def checksum(said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a header without it, and of arrays."""
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
