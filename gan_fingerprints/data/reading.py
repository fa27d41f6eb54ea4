"""Reads data sets on disk, ours or published, by random access and without TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3

from gan_fingerprints import program
from gan_fingerprints.data import digests, groups, layout
from gan_fingerprints.data import manifest as manifests
from gan_fingerprints.data.records import Level, RecordFile, allow_files
from gan_fingerprints.program import UserError


class DataSet:
    """A data set on disk, ours or published, opened with `DataSet.open`. Thread-safe.

    Attributes:
        folder: where it is.
        name: the beginning of its file names.
        count: number of images.
        resolution: the full one.
        resolutions: all of them, ascending.
        labels: float32 [count, sources] or None.
        source_names: in label order: those of the manifest, else source_0, source_1, ...; None
            when there are neither labels nor names.
        manifest: what NAME.json says, or None.
        groups: int64 [count], the number of each image's group (see `data.groups`), or None.
        group_names: of the groups, by their numbers; None where they have none.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        files: dict[int, Level],
        labels: Labels | None,
        manifest: dict[str, Any] | None,
    ) -> None:
        self.folder, self.name, self.manifest = folder, name, manifest
        self.labels = labels.array if labels else None
        self._labels_digest = labels.digest if labels else ""
        self.resolutions = sorted(files)
        self.resolution = self.resolutions[-1]
        self.count = files[self.resolution].count
        self.source_names = self._named_sources()
        kept = manifest.get("groups") if manifest else None
        self.groups = groups.unpacked(kept, self.count) if kept else None
        self.group_names: list[str] | None = kept["names"] if kept else None
        self._files = files

    @classmethod
    def open(
        cls, folder: str | Path, flag: str, *, needs_labels: bool = False, verify: bool = True
    ) -> DataSet:
        """Opens and checks the data set in a folder; `flag` named the folder.

        verify: compare the content of every file with the manifest, if there is one; False takes
        its word for the checksum.

        Raises:
            UserError: naming the file that is missing, too many, cut off, damaged, of another
                shape or content, or disagrees with the manifest or the other files.
        """
        folder = program.existing_folder(folder, flag)
        name = layout.find_name(folder, flag)
        manifest = manifests.read(folder, name)
        if manifest:
            manifests.require_files(folder, manifest, set(layout.file_names(folder)))
        paths = layout.levels(folder)
        allow_files(sum(map(len, paths.values())))
        files = {resolution: Level(of_it, resolution) for resolution, of_it in paths.items()}
        count = _common_count(files.values(), manifest)
        labels = read_labels(folder, name, count)
        if needs_labels and labels is None:
            raise UserError(
                f"{flag} {folder}: found no {name}-rxx.labels, expected labels; prepare the data "
                "with data_preparation.py of the classifier"
            )
        data = cls(folder, name, files, labels, manifest)
        if manifest:
            manifests.require_shape(folder, manifest, data.resolution, data.labels)
            if verify:
                manifests.require_unchanged(folder, manifest, data.digests)
            else:
                data.digests = {name: x["blake3"] for name, x in manifest["files"].items()}
        return data

    def _named_sources(self) -> list[str] | None:
        names = self.manifest.get("source_names") if self.manifest else None
        if self.labels is None:
            return names
        sources = self.labels.shape[1]
        if names is not None and len(names) != sources:
            path = layout.manifest_path(self.folder, self.name)
            raise UserError(
                f"{path}: found {len(names)} source names, expected {sources}, one per column of "
                f"the labels; {layout.ADVICE}"
            )
        return names or [f"source_{i}" for i in range(sources)]

    @property
    def independent(self) -> np.ndarray:
        """`groups`; where there are none, each image is one of its own: int64 [count]."""
        return np.arange(self.count) if self.groups is None else self.groups

    def require_level(self, resolution: int) -> None:
        """UserError unless the images are there at this resolution."""
        if resolution not in self._files:
            path = layout.level_path(self.folder, self.name, resolution)
            found = ", ".join(f"{x}x{x}" for x in self.resolutions)
            raise UserError(
                f"{path}: missing, the data set holds {found}; prepare it again with a "
                f"--resolution from {resolution} up and every level, or ask for one that is there"
            )

    def images(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray:
        """Images by record number: int [N] → uint8 [N, H, W, 3], a new array.

        Raises:
            UserError: a record is damaged or of another shape, or the resolution is missing.
        """
        resolution = resolution or self.resolution
        self.require_level(resolution)
        return self._files[resolution].read(np.asarray(indices, np.int64))

    def record_checksums(self) -> np.ndarray:
        """What each record of the full resolution ends with, a CRC-32C of it: uint32 [count]."""
        return self._files[self.resolution].checksums()

    @cached_property
    def digests(self) -> dict[str, str]:
        """File name → BLAKE3 of what is read from it, or of what the manifest says it holds."""
        levels = self._files.values()
        files = {file.path: file.descriptor for level in levels for file in level.files}
        labels = layout.labels_path(self.folder, self.name).name
        known = {} if self.labels is None else {labels: self._labels_digest}
        return digests.of_files(files) | known

    @cached_property
    def checksum(self) -> str:
        """Identifies the content: BLAKE3 over those of the files."""
        return blake3("".join(x for _, x in sorted(self.digests.items())).encode()).hexdigest()


def _common_count(levels: Collection[Level], manifest: dict[str, Any] | None) -> int:
    """Images in each level; UserError unless each file holds what the manifest, or all, say."""
    count = manifest["count"] if manifest else max(level.count for level in levels)
    stated = manifest["files"] if manifest else {}
    checked: list[tuple[Level | RecordFile, int]] = [(level, count) for level in levels]
    if manifest:  # which says how many are in each shard
        files = [file for level in levels for file in level.files]
        checked = [(file, stated[file.path.name]["records"]) for file in files]
    for one, expected in checked:
        if one.count != expected:
            other = "the manifest says" if manifest else "the other resolutions have"
            raise UserError(
                f"{one.path}: found {one.count} records, expected {expected} as {other}; "
                f"{layout.ADVICE}"
            )
    return count


class Labels(NamedTuple):
    """Labels, float32 [count, sources], and the BLAKE3 of the file that they were read from."""

    array: np.ndarray
    digest: str


def read_labels(folder: Path, name: str, count: int) -> Labels | None:
    """The labels when there are any, exactly one-hot.

    Raises:
        UserError: the file holds something else, or not one label per record.
    """
    path = layout.labels_path(folder, name)
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
        labels = np.load(io.BytesIO(content), allow_pickle=False)
        found = f"{labels.dtype} of shape {list(labels.shape)}"
    except Exception as error:  # NumPy evaluates the header, which may fail in any way
        raise UserError(
            f"{path}: cannot be read as a NumPy array ({error}); {layout.ADVICE}"
        ) from None
    if labels.ndim != 2 or labels.dtype != np.float32:
        raise UserError(
            f"{path}: found {found}, expected float32 [images, sources]; {layout.ADVICE}"
        )
    if len(labels) != count:
        raise UserError(
            f"{path}: found {len(labels)} labels, expected {count} records; {layout.ADVICE}"
        )
    wrong = ((labels == 1).sum(axis=1) != 1) | ((labels != 0).sum(axis=1) != 1)  # so is NaN
    if wrong.any():
        first = int(np.argmax(wrong))
        raise UserError(
            f"{path}: label {first} is {str(labels[first].tolist())[:60]}, expected one 1 and "
            f"zeros; {layout.ADVICE}"
        )
    return Labels(labels, blake3(content).hexdigest())
