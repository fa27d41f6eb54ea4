"""TensorFlow 1 checkpoints, `NAME.model-STEP.index` and its data, as arrays by variable name.

No graph is built, TensorFlow is not asked, and the `.meta` file, which holds a graph, is never
opened.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path

import numpy as np

from gan_fingerprints.networks.published import tf1_index
from gan_fingerprints.networks.stored import Refused, StoredArray, clipped
from gan_fingerprints.program import UserError

INDEX = ".index"
MAX_SHARDS = 100


def newest(folder: str | Path, flag: str) -> Path:
    """The prefix of the newest checkpoint in a folder or below it.

    Args:
        folder: where to look; the prefix of a checkpoint or its `.index` file names that one.
        flag: the command-line flag that named the folder, for messages.

    The largest step wins; one without a step (`best.model`) is taken where nothing else is.

    Raises:
        UserError: no checkpoint there.
    """
    path = Path(folder)
    given = path if path.name.endswith(INDEX) else path.with_name(path.name + INDEX)
    if given.is_file() and _data_file(given):
        return _prefix(given)
    indices = [index for index in path.rglob(f"*{INDEX}") if index.is_file() and _data_file(index)]
    if not indices:
        what = "a folder without one" if path.is_dir() else "a file" if path.exists() else "nothing"
        raise UserError(
            f"{flag} {path}: found {what}, expected a TensorFlow checkpoint: a folder with "
            f"*.model-STEP{INDEX} and *.model-STEP.data-00000-of-00001 in it or below"
        )
    return _prefix(max(indices, key=lambda path: (_step(path), path.stat().st_mtime, str(path))))


def arrays(prefix: Path) -> dict[str, StoredArray]:
    """The arrays of a checkpoint, each read when it is used.

    Raises:
        Refused: the index is damaged, or the data do not fit it.
    """
    shards, entries = tf1_index.read(prefix.with_name(prefix.name + INDEX))
    if not 1 <= shards <= MAX_SHARDS:
        raise Refused(f"{shards} data files, expected 1 to {MAX_SHARDS}")
    files = [prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{shards:05d}") for i in range(shards)]
    for file in files:
        if not file.is_file():
            raise Refused(f"data file {file.name} is missing")
    sizes = [file.stat().st_size for file in files]
    if sum(entry.size for entry in entries.values()) > sum(sizes):
        raise Refused(f"arrays of more bytes than the {sum(sizes):,} of its data")
    for name, entry in entries.items():
        if entry.shard >= shards or entry.offset + entry.size > sizes[entry.shard]:
            raise Refused(f"array {clipped(name)} outside of the data, which may be cut off")
    return {name: _stored(files[entry.shard], name, entry) for name, entry in entries.items()}


def _stored(file: Path, name: str, entry: tf1_index.Entry) -> StoredArray:
    def read() -> np.ndarray:
        with file.open("rb") as data:
            data.seek(entry.offset)
            content = data.read(entry.size)
        if tf1_index.masked(content) != entry.checksum:
            raise Refused(f"array {clipped(name)} does not have its checksum")
        return np.frombuffer(content, entry.dtype).reshape(entry.shape)

    return StoredArray(entry.shape, entry.dtype, read)


def _prefix(index: Path) -> Path:
    return index.with_name(index.name.removesuffix(INDEX))


def _data_file(index: Path) -> bool:
    """Whether the tensors that an index lists are there."""
    return any(index.parent.glob(f"{glob.escape(_prefix(index).name)}.data-*-of-*"))


def _step(index: Path) -> int:
    """150000 for `MMDGAN.model-150000.index`, -1 for a name without a step."""
    step = re.search(r"-(\d+)$", _prefix(index).name)
    return int(step[1]) if step else -1
