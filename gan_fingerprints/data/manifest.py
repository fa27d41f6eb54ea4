"""What a data set says of itself in NAME.json, which is believed only as far as it is checked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from gan_fingerprints.data import groups, layout
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import SOURCE_NAMES, are_source_names

MOST_BYTES = 2**24  # of the file
LARGEST = 2**53  # number
SEAL = "blake3"  # the entry that holds the checksum of the others
OPTIONAL = (SEAL, "crops", "groups")  # entries that older manifests lack


def sealed(facts: Mapping[str, Any]) -> str:
    """The text of a manifest: the facts, and their checksum."""
    seal = seal_of(json.loads(json.dumps(facts)))
    return json.dumps({**facts, SEAL: seal}, indent=2, ensure_ascii=False) + "\n"


def seal_of(manifest: Mapping[str, Any]) -> str:
    """BLAKE3 of all entries but itself, however the file sets them."""
    rest = {name: fact for name, fact in manifest.items() if name != SEAL}
    return blake3(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """The manifest, when there is one, with entries of the right types and ranges.

    Raises:
        UserError: it is not one, or belongs to files of other names.
    """
    path = layout.manifest_path(folder, name)
    if not path.exists():
        _require_no_other(folder, path)
        return None
    try:
        manifest = _loaded(path)
        _require_fields(manifest, name)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: cannot be read as the manifest of a data set ({error}); {layout.ADVICE}"
        ) from None
    return manifest


def audited(folder: Path, name: str) -> dict[str, Any]:
    """Source → facts, as the data audit wrote them beside a data set; {} where it wrote none."""
    try:
        sources = _loaded(folder / f"{name}-audit.json").get("sources")
    except (OSError, ValueError, RecursionError):
        return {}
    return sources if isinstance(sources, dict) else {}


def _loaded(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"found more than {MOST_BYTES} bytes")
    manifest = json.loads(content.decode())
    if not isinstance(manifest, dict):
        raise ValueError("found no object")
    return manifest


def _require_no_other(folder: Path, path: Path) -> None:
    """Renamed files would else count as published ones, which have no manifest."""
    for other in sorted(folder.glob("*.json")):
        try:
            files = _loaded(other).get("files")
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(files, dict) and any(name.endswith(".tfrecords") for name in files):
            raise UserError(
                f"{other}: found the manifest of files of other names, expected {path.name}; "
                "give the files the names that they had, or remove the manifest"
            )


def _whole(value: Any, low: int = 0) -> bool:
    return type(value) is int and low <= value <= LARGEST


def _names(value: Any) -> bool:
    return isinstance(value, list) and are_source_names(value)


def _hexadecimal(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))


def _file(facts: Any) -> bool:
    return (
        isinstance(facts, dict)
        and _whole(facts.get("records"))
        and _whole(facts.get("bytes"), 1 if facts["records"] else 0)
        and _hexadecimal(facts.get("blake3"))
    )


def _files(value: Any, name: str, count: Any) -> bool:
    """Whether the files are those of a data set, and each level's have `count` records together."""
    if not isinstance(value, dict) or not all(map(_file, value.values())):
        return False
    records: Counter[str] = Counter()
    for file, facts in value.items():
        found = layout.FILE.fullmatch(file)
        if not found or found["name"] != name:
            return False
        records[found["level"] or "labels"] += facts["records"]
    return all(number == count for number in records.values())


def _crops(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and set(value) == {"per_image", "seed"}
        and all(map(_whole, value.values()))
    )


def _groups(value: Any, count: Any) -> bool:
    try:
        return value is None or len(groups.unpacked(value, count)) == count
    except (ValueError, TypeError):
        return False


def _require_fields(manifest: dict[str, Any], name: str) -> None:
    """ValueError unless each entry is there and may be as it is."""
    get = manifest.get
    names, counts = get("source_names"), get("source_counts")
    rules = {
        "name": (get("name") == name, f"{name!r} as in the file's name"),
        "count": (_whole(get("count"), 1), "a whole number of 1 or more"),
        "resolution": (get("resolution") in [2**i for i in range(2, 14)], "4, 8, … or 8192"),
        "source_names": (
            names is None or _names(names),
            f"null or different names of {SOURCE_NAMES}",
        ),
        "source_counts": (
            counts is None or (isinstance(counts, list) and all(map(_whole, counts))),
            "null or whole numbers of 0 or more",
        ),
        "files": (
            _files(get("files"), name, get("count")),
            "bytes, records (as many as the count; of shards together) and blake3 (64 hexadecimal "
            f"digits) of files {name}-rNN.tfrecords and {name}-rxx.labels",
        ),
        "crops": (
            _crops(get("crops")),
            "nothing, or the number per_image and the seed of crops",
        ),
        "groups": (
            _groups(get("groups"), get("count")),
            "nothing, or a number for each image (of_images, in Base64) and names for them",
        ),
        SEAL: (SEAL not in manifest or _hexadecimal(get(SEAL)), "64 hexadecimal digits"),
    }
    for field, (fine, expected) in rules.items():
        if not fine or (field not in manifest and field not in OPTIONAL):
            found = repr(manifest[field])[:60] if field in manifest else "nothing"
            raise ValueError(f"{field}: found {found}, expected {expected}")


def require_files(folder: Path, manifest: dict[str, Any], present: Set[str]) -> None:
    """UserError unless the files of the data set are those that the manifest lists."""
    path = layout.manifest_path(folder, manifest["name"])
    for name in sorted(manifest["files"].keys() - present):
        raise UserError(f"{folder / name}: missing, but listed in {path.name}; {layout.ADVICE}")
    for name in sorted(present - manifest["files"].keys()):
        raise UserError(
            f"{folder / name}: found this file, expected only those that {path.name} lists; "
            "remove it, or prepare the data set again"
        )


def require_shape(
    folder: Path, manifest: dict[str, Any], resolution: int, labels: np.ndarray | None
) -> None:
    """UserError unless sizes, resolution and images per source are as the manifest says."""
    path = layout.manifest_path(folder, manifest["name"])
    for name, facts in manifest["files"].items():
        size = (folder / name).stat().st_size
        if size != facts["bytes"]:
            raise UserError(
                f"{folder / name}: found {size} bytes, expected {facts['bytes']} as {path.name} "
                f"says; {layout.ADVICE}"
            )
    counts = None if labels is None else labels.sum(axis=0, dtype=np.int64).tolist()
    found = {"resolution": resolution, "source_counts": counts}
    for field, value in found.items():
        if manifest[field] != value:
            raise UserError(
                f"{path}: its {field} is {manifest[field]}, expected {value} as in the files; "
                f"{layout.ADVICE}"
            )


def require_unchanged(folder: Path, manifest: dict[str, Any], digests: Mapping[str, str]) -> None:
    """UserError unless the manifest and all files are byte for byte as they were written."""
    path = layout.manifest_path(folder, manifest["name"])
    if SEAL in manifest and manifest[SEAL] != seal_of(manifest):  # older ones have none
        raise UserError(
            f"{path}: found a change since it was written (its checksum differs), expected none; "
            f"{layout.ADVICE}"
        )
    for name, facts in manifest["files"].items():
        if digests[name] != facts["blake3"]:
            raise UserError(
                f"{folder / name}: found other content (BLAKE3 {digests[name]}), expected "
                f"{facts['blake3']} as {path.name} says; {layout.ADVICE}"
            )
