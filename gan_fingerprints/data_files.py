"""The files of a data set: their names, the labels, and the manifest NAME.json beside them."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from blake3 import blake3

import gan_fingerprints
from gan_fingerprints import images
from gan_fingerprints.commands import UserError
from gan_fingerprints.records import ADVICE


def level_path(folder: Path, name: str, resolution: int) -> Path:
    """The TFRecord file of one resolution."""
    return folder / f"{name}-r{resolution.bit_length() - 1:02d}.tfrecords"


def labels_path(folder: Path, name: str) -> Path:
    return folder / f"{name}-rxx.labels"


def manifest_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def find_name(folder: Path, flag: str) -> str:
    """How the files of the data set in `folder` begin; empty in some published ones.

    Raises:
        UserError: there is no data set, or more than one.
    """
    paths = sorted(folder.glob("*.tfrecords"))
    names = set()
    for path in paths:
        match = re.fullmatch(r"(.*)-r(0[2-9]|1[0-3])\.tfrecords", path.name)
        if not match:
            raise UserError(
                f"{path}: found this name, expected NAME-rNN.tfrecords, NN being log2 of the "
                "resolution, 02 to 13; rename the file or remove it"
            )
        names.add(match[1])
    if not names:
        raise UserError(
            f"{flag} {folder}: found {images.content_of(folder)}, expected a data set (files "
            "NAME-rNN.tfrecords); prepare one with dataset_tool.py or data_preparation.py"
        )
    if len(names) > 1:
        raise UserError(
            f"{flag} {folder}: found {len(names)} data sets ({', '.join(sorted(names))}), "
            "expected one; give each a folder of its own"
        )
    return names.pop()


def write_manifest(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """Writes NAME.json: the facts, and the versions that made them."""
    versions = {
        "gan_fingerprints": gan_fingerprints.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }
    text = json.dumps(facts | {"versions": versions}, indent=2, ensure_ascii=False)
    manifest_path(folder, name).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path, name: str) -> dict[str, Any] | None:
    """The manifest, when there is one.

    Raises:
        UserError: it is not one, or a file that it lists is missing.
    """
    path = manifest_path(folder, name)
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        names = [str(name) for name in manifest["files"]]
        for facts in [manifest["count"], *(x["bytes"] for x in manifest["files"].values())]:
            int(facts)
        for facts in manifest["files"].values():
            bytes.fromhex(facts["blake3"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: cannot be read as the manifest of a data set ({error!r}); {ADVICE}"
        ) from None
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: missing, but listed in {path.name}; {ADVICE}")
    return manifest


def check_sizes(folder: Path, manifest: dict[str, Any]) -> None:
    """UserError unless the files are as large as the manifest says."""
    for name, facts in manifest["files"].items():
        size = (folder / name).stat().st_size
        if size != facts["bytes"]:
            raise UserError(
                f"{folder / name}: found {size} bytes, expected {facts['bytes']} as the manifest "
                f"says; {ADVICE}"
            )


def write_labels(path: Path, labels: np.ndarray, count: int) -> dict[str, Any]:
    """Writes labels [count, sources] as float32; returns the facts for the manifest."""
    if labels.ndim != 2 or len(labels) != count:
        raise ValueError(f"got labels {labels.shape}, expected [{count}, sources]")
    with open(path, "wb") as file:  # np.save would add .npy to a name
        np.save(file, labels.astype(np.float32), allow_pickle=False)
    content = path.read_bytes()
    return {"bytes": len(content), "records": count, "blake3": blake3(content).hexdigest()}


def read_labels(folder: Path, name: str, count: int) -> np.ndarray | None:
    """The labels, float32 [count, sources], when there are any.

    Raises:
        UserError: the file holds something else, or not one label per record.
    """
    path = labels_path(folder, name)
    if not path.exists():
        return None
    try:
        labels = np.load(path, allow_pickle=False)
        found = f"{labels.dtype} of shape {list(labels.shape)}"
    except (ValueError, OSError, EOFError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read as a NumPy array ({error}); {ADVICE}") from None
    if labels.ndim != 2 or labels.dtype.kind != "f":
        raise UserError(f"{path}: found {found}, expected float32 [images, sources]; {ADVICE}")
    if len(labels) != count:
        raise UserError(f"{path}: found {len(labels)} labels, expected {count} records; {ADVICE}")
    return labels.astype(np.float32)
