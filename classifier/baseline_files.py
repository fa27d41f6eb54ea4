"""Fitted baselines in files: safetensors, with a header of which nothing is believed unchecked.

The metadata holds one JSON text: method, parameters, source names, resolution, what it was fitted
on, and the SHA-256 of all that and the arrays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from classifier.baseline_methods import CHUNK, METHODS, Baseline, Eigenface
from gan_fingerprints.networks import header, own_format
from gan_fingerprints.networks.header import FIELDS, OBJECT, SIDES, Rule
from gan_fingerprints.networks.stored import Refused, clipped
from gan_fingerprints.program import UserError, existing_file, whole_file

HEADER_KEY = "gan_fingerprints_baseline"
MAX_FILE = 2**32  # bytes; neighbours are all in it
AT_ONCE = 2**25  # bytes of images to answer


def _whole(low: int, high: int) -> Rule:
    return Rule(lambda x: type(x) is int and low <= x <= high, f"a whole number, {low} to {high}")


def _number(low: float, high: float) -> Rule:
    return Rule(
        lambda x: type(x) in (int, float) and low <= x <= high, f"a number, {low:g} to {high:g}"
    )


RULES = {
    "method": Rule(lambda x: type(x) is str and x in METHODS, f"one of {', '.join(METHODS)}"),
    "parameters": OBJECT,
    "source_names": Rule(lambda x: type(x) is list, "a list of names"),
    "resolution": Rule(lambda x: type(x) is int and x in SIDES[2:], "16, 32, … or 4096"),
    "training_images": _whole(1, 2**31),
    **dict.fromkeys(("data", "validation_data", "sha256"), FIELDS["sha256"]),
}
PARAMETERS = {
    "knn": {"k": _whole(1, 2**31)},
    "eigenface": {"variance": _number(0, 1), "C": _number(0, 1e6)},
    "prnu": {"levels": _whole(1, 4), "sigma": _number(0.01, 255)},
}
SHAPES: dict[str, dict[str, tuple[str | int, ...]]] = {
    "knn": {"pixels": ("images", "side", "side", 3), "labels": ("images",), "sources": (1,)},
    "eigenface": {"mean": ("values",), "components": ("components", "values"),
                  "weights": ("sources", "components"), "bias": ("sources",)},
    "prnu": {"prints": ("sources", "values")},
}  # fmt: skip
"""Method → array → its shape, in words of `_sizes`."""
TYPES = {"pixels": ("U8",), "labels": ("I64",), "sources": ("I64",)}  # as safetensors calls them
FLOATS = ("F32", "F64")  # of all other arrays
LARGEST = 1e15  # number of theirs


def batch(resolution: int) -> int:
    """How many images to answer at once."""
    return max(1, min(CHUNK, AT_ONCE // (3 * resolution**2)))


def save(path: str | Path, baseline: Baseline, said: Mapping[str, Any]) -> None:
    """Writes a fitted baseline; `said` adds the other fields of the header but the SHA-256."""
    said = {**said, "method": baseline.name, "parameters": baseline.parameters}
    arrays = {name: np.ascontiguousarray(getattr(baseline, name)) for name in baseline.kept}
    said["sha256"] = own_format.checksum(said, arrays)
    with whole_file(path) as partial:
        partial.write_bytes(safetensors.numpy.save(arrays, {HEADER_KEY: json.dumps(said)}))


def load(path: str | Path, flag: str) -> tuple[Baseline, dict[str, Any]]:
    """Reads a fitted baseline and its header.

    Raises:
        UserError: it is something else, damaged, or says what cannot be.
    """
    with _opened(existing_file(path, flag), flag) as (said, file):
        _require_arrays(said, file)
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        unsigned = {name: value for name, value in said.items() if name != "sha256"}
        if said["sha256"] != own_format.checksum(unsigned, arrays):
            raise Refused("its content does not have the SHA-256 that it states: get a fresh copy")
        _require_values(said, arrays)
    method = METHODS[said["method"]]()
    method.parameters = said["parameters"]
    for name in method.kept:
        setattr(method, name, arrays[name])
    return method, said


@contextmanager
def _opened(path: Path, flag: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Header and open file; UserError for all that the file does wrong."""
    try:
        own_format.require_size(path, MAX_FILE)
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if HEADER_KEY not in metadata:
                raise Refused(f"without {HEADER_KEY} in its metadata")
            yield read_header(metadata[HEADER_KEY]), file
    except (safetensors.SafetensorError, ValueError, RecursionError, MemoryError, OSError) as error:
        why = str(error)[:400] if isinstance(error, Refused) else clipped(str(error))
        raise UserError(
            f"{flag} {path}: not a baseline of ours, or damaged ({why}); expected a .safetensors "
            "file that baselines.py wrote"
        ) from None


def read_header(text: str) -> dict[str, Any]:
    """What a JSON text states; Refused, or another ValueError, unless every field may be so."""
    said = header.loaded(text)
    header.require(said, RULES, ())
    header.require(said["parameters"], PARAMETERS[said["method"]], ())
    names = said["source_names"]
    header.require_names(names, max(2, len(names)))
    return said


def _sizes(said: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    side, images = said["resolution"], said["training_images"]
    values, found = 3 * side**2, shapes.get("components", ())
    # How many components there are depends on the images; all else follows from the header.
    components = min(*found[:1], Eigenface.most, images, values) or 1
    return {
        "side": side, "images": images, "sources": len(said["source_names"]), "values": values,
        "components": components,
    }  # fmt: skip


def _require_arrays(said: Mapping[str, Any], file: Any) -> None:
    """Refused unless the arrays have the names, types and shapes that follow from the header."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
    sizes = _sizes(said, shapes)
    expected = {
        name: tuple(size if isinstance(size, int) else sizes[size] for size in shape)
        for name, shape in SHAPES[said["method"]].items()
    }
    if shapes != expected:
        listed = ", ".join(f"{clipped(name)} {list(shape)}" for name, shape in shapes.items())
        raise Refused(f"arrays {listed[:200] or 'none'}; expected {expected}")
    for name, part in slices.items():
        if part.get_dtype() not in TYPES.get(name, FLOATS):
            raise Refused(f"array {name} of type {part.get_dtype()}")


def _require_values(said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Refused unless all numbers are such, and in range."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not (np.abs(array) <= LARGEST).all():
            raise Refused(f"array {name}: holds values that are no numbers, or above {LARGEST:g}")
    sources = len(said["source_names"])
    if said["method"] == "knn":
        labels = arrays["labels"]
        if arrays["sources"][0] != sources or labels.min() < 0 or labels.max() >= sources:
            raise Refused(f"labels that are not those of {sources} sources")
        if said["parameters"]["k"] > len(labels):
            raise Refused(f"{said['parameters']['k']} neighbours among {len(labels)} images")
