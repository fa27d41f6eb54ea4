"""An enrolment in a network file: a part of the header, and arrays, not believed unchecked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gan_fingerprints.networks.descriptors import length
from gan_fingerprints.networks.enrolment import Enrolment, Newcomer, Space

LIMITS = {"temperature": (0.01, 100.0), "reach": (0.0, 1e30), "handicap": (0.0, 1e30)}
STORED = ("temperature", "reach", "components", "held", "checksum", "newcomers")
OF_NEWCOMER = ("name", "sha256", "handicap", "reach")
OF_DESCRIPTORS = Space._fields[:3]
FEWEST, MOST = 5, 1000  # images of a newcomer


def header_of(enrolment: Enrolment) -> dict[str, Any]:
    """All but the arrays, as JSON can hold it."""
    newcomers = [
        {"name": x.name, "sha256": list(x.sha256), "handicap": x.handicap, "reach": x.reach}
        for x in enrolment.newcomers
    ]
    return {
        "temperature": enrolment.temperature,
        "reach": enrolment.reach,
        "components": enrolment.space.components.shape[1],
        "held": len(enrolment.held_labels),
        "checksum": enrolment.checksum,
        "newcomers": newcomers,
    }


def arrays_of(enrolment: Enrolment) -> dict[str, np.ndarray]:
    """Float32; those without a number are left out."""
    found: dict[str, np.ndarray] = enrolment.space._asdict()
    found |= {f"held_{x}": getattr(enrolment, f"held_{x}") for x in ("places", "logits", "labels")}
    for i, one in enumerate(enrolment.newcomers):
        found |= {f"newcomer{i}_places": one.places, f"newcomer{i}_logits": one.logits}
    if not enrolment.space.components.size:
        found = {name: x for name, x in found.items() if name not in OF_DESCRIPTORS}
    return {name: np.asarray(x, np.float32) for name, x in found.items() if np.size(x)}


def shapes(header: Mapping[str, Any], sources: int, features: int) -> dict[str, tuple[int, ...]]:
    """Of the arrays that go with a header that `require` passed; features: of the network."""
    components, held = header["components"], header["held"]
    width = features + components
    found: dict[str, tuple[int, ...]] = {}
    if components:
        described = (length(),), (length(),), (length(), components)
        found |= dict(zip(OF_DESCRIPTORS, described, strict=True))
    of_space = (width,), (width,), (width, width), (sources, width)
    found |= dict(zip(Space._fields[3:], of_space, strict=True))
    if held:
        found |= {"held_places": (held, width), "held_logits": (held, sources)}
        found["held_labels"] = (held,)
    for i, newcomer in enumerate(header["newcomers"]):
        number = len(newcomer["sha256"])
        found[f"newcomer{i}_places"] = number, width
        found[f"newcomer{i}_logits"] = number, sources
    return found


def read(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Enrolment:
    """From what `header_of` and `arrays_of` gave, of the shapes that `shapes` says.

    Raises ValueError for values out of range.
    """
    none = np.zeros(0, np.float32), np.ones(0, np.float32), np.zeros((0, 0), np.float32)
    of_space = dict(zip(OF_DESCRIPTORS, none, strict=True)) | dict(arrays)
    space = Space(*(of_space[name] for name in Space._fields))
    sources, width = space.means.shape
    places = arrays.get("held_places", np.zeros((0, width), np.float32))
    logits = arrays.get("held_logits", np.zeros((0, sources), np.float32))
    labels = arrays.get("held_labels", np.zeros(0, np.float32))
    newcomers = [
        Newcomer(
            said["name"], tuple(said["sha256"]), arrays[f"newcomer{i}_places"],
            arrays[f"newcomer{i}_logits"], said["handicap"], said["reach"],
        )
        for i, said in enumerate(header["newcomers"])
    ]  # fmt: skip
    if not (space.deviation > 0).all() or not (space.described_deviation > 0).all():
        raise ValueError("an enrolment with deviations that are not above 0")
    if not np.isin(labels, np.arange(sources)).all():
        raise ValueError("an enrolment with labels of no source")
    return Enrolment(
        space, header["temperature"], header["reach"], places, logits, labels.astype(int),
        header["checksum"], tuple(newcomers),
    )  # fmt: skip


def require(header: Any, fine_name: Callable[[Any], bool], taken: Sequence[str]) -> None:
    """ValueError unless these are the fields of an enrolment, each of its type and range.

    fine_name: whether something may be a source's name; taken: those of the known sources.
    """
    _require_fields(header, STORED)
    for name, highest in (("components", 2**12), ("held", 2**16)):
        if type(header[name]) is not int or not 0 <= header[name] <= highest:
            raise ValueError(f"{name} {header[name]!r:.80}; expected 0 to {highest}")
    _require_numbers(header, ("temperature", "reach"))
    checksum = header["checksum"]
    if type(checksum) is not str or len(checksum) > 200 or not checksum.isprintable():
        raise ValueError("a checksum that is no short text")
    if type(header["newcomers"]) is not list or len(header["newcomers"]) > MOST:
        raise ValueError("newcomers that are no list, or too many")
    names = list(taken)
    for newcomer in header["newcomers"]:
        _require_fields(newcomer, OF_NEWCOMER)
        _require_numbers(newcomer, ("handicap", "reach"))
        name, digests = newcomer["name"], newcomer["sha256"]
        if type(name) is not str or not fine_name(name) or name in names:
            raise ValueError("a newcomer without a name of its own")
        names.append(name)
        number = len(digests) if type(digests) is list else 0
        if not FEWEST <= number <= MOST or not all(map(_is_digest, digests)):
            raise ValueError(f"a newcomer without {FEWEST} to {MOST} SHA-256 of its images")


def _is_digest(text: Any) -> bool:
    return type(text) is str and bool(re.fullmatch("[0-9a-f]{64}", text))


def _require_fields(values: Any, fields: Sequence[str]) -> None:
    if type(values) is not dict or set(values) != set(fields):
        raise ValueError(f"an enrolment with more or less than {', '.join(fields)}")


def _require_numbers(values: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        low, high = LIMITS[name]
        if type(values[name]) not in (int, float) or not low <= values[name] <= high:
            raise ValueError(f"{name} {str(values[name])[:80]!r}; expected {low:g} to {high:g}")
