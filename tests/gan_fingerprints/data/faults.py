"""Data sets with faults of every class, as copying, bad disks and other people make them."""

import functools
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from gan_fingerprints.data import groups, layout
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer
from gan_fingerprints.program import UserError

SIDE, COUNT, NAMES = 8, 24, ["photographs", "ProGAN", "SNGAN"]
GROUPS = list("abcdef")
LARGEST = "data-r03.tfrecords"
Contents = dict[str, bytes]
"""File name → content."""


def write(folder: Path, seed: int = 0) -> Path:
    """A data set of 24 images of three sources, 8×8 and 4×4; called after its folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
    labels = np.eye(len(NAMES), dtype=np.float32)[rng.permutation(np.arange(COUNT) % len(NAMES))]
    with Writer(folder, folder.name, SIDE, every_level=True) as writer:
        writer.add_all(lambda picture: (picture, None), pictures, workers=1)
        settings = {"shuffle": True, "percentage_samples": 100.0, "crops": None}
        settings["groups"] = groups.packed(rng.permutation(np.arange(COUNT) % 6), GROUPS, "z(.)")
        writer.finish(labels, NAMES, "a command", settings)
    return folder


def contents(folder: Path) -> Contents:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def everything(folder: Path, **options: bool) -> list:
    """All that a data set gives a trainer."""
    data = DataSet.open(folder, "--data", needs_labels=True, **options)
    pixels = [data.images(np.arange(data.count), side).tobytes() for side in data.resolutions]
    told = [data.name, data.checksum, data.source_names, data.group_names]
    return [*told, data.labels.tobytes(), data.groups.tobytes(), *pixels]


# One function for each class of faults: it damages `files`, by chance where there is a choice.


def some(rng: np.random.Generator, names) -> str:
    return str(rng.choice(sorted(names)))


def flipped_bit(files: Contents, rng: np.random.Generator) -> None:
    name = some(rng, files)
    content = bytearray(files[name])
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    files[name] = bytes(content)


def records_of(files: Contents, name: str) -> np.ndarray:
    size = layout.record_layout(2 ** int(Path(name).stem[-2:])).dtype.itemsize
    return np.frombuffer(files[name], np.uint8).reshape(-1, size).copy()


def of_records(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Callable:
    """A fault of whole records, whose own checksums stay right."""

    def damage(files: Contents, rng: np.random.Generator) -> None:
        name = some(rng, [name for name in files if name.endswith(".tfrecords")])
        files[name] = change(records_of(files, name), rng).tobytes()

    return damage


@of_records
def two_records_exchanged(records, rng):
    a, b = rng.choice(COUNT, 2, replace=False)
    records[[a, b]] = records[[b, a]]
    return records


@of_records
def a_record_twice(records, rng):
    a, b = rng.choice(COUNT, 2, replace=False)
    records[a] = records[b]
    return records


@of_records
def another_shuffle(records, rng):
    return np.roll(rng.permutation(records), 1, axis=0)


@of_records
def cut_between_records(records, rng):
    return records[: rng.integers(COUNT)]


@of_records
def more_records(records, rng):
    return np.concatenate([records, records[: rng.integers(1, COUNT)]])


def of_labels(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Callable:
    def damage(files: Contents, rng: np.random.Generator) -> None:
        labels = change(np.load(io.BytesIO(files["data-rxx.labels"])), rng)
        stream = io.BytesIO()
        np.save(stream, labels)
        files["data-rxx.labels"] = stream.getvalue()

    return damage


def value_in_labels(value: float) -> Callable:
    @of_labels
    def damage(labels, rng):
        labels[rng.integers(COUNT), rng.integers(len(NAMES))] = value
        return labels

    return damage


@of_labels
def another_source(labels, rng):
    row = rng.integers(COUNT)
    labels[row] = np.roll(labels[row], 1)
    return labels


@of_labels
def no_source(labels, rng):
    labels[rng.integers(COUNT)] = 0
    return labels


@of_labels
def two_sources(labels, rng):
    labels[rng.integers(COUNT), :2] = 1
    return labels


def labels_as(*changes: Callable[[np.ndarray], np.ndarray]) -> Callable:
    return of_labels(lambda labels, rng: changes[rng.integers(len(changes))](labels))


other_labels = labels_as(
    lambda x: x.astype(np.float64), lambda x: x.astype(int), lambda x: x.astype(">f4"),
    lambda x: x.argmax(1), lambda x: x[:-1], lambda x: np.vstack([x, x[:1]]), lambda x: x[:, :2],
    lambda x: np.pad(x, ((0, 0), (0, 1))), lambda x: x[None], lambda x: x[::-1],
    lambda x: x[:, ::-1], lambda x: x[:, :0], lambda x: x.astype(bool), lambda x: x.T,
)  # fmt: skip

VALUES = [
    None, True, 0, -1, 1, 7, 2**60, 10**400, 0.5, float("nan"), float("inf"), "", "x", "../../x",
    "a/b", "\x1b[2J", "\u202e", "0" * 64, "24", [], ["x"], [8, 8], [1, 2, 3], NAMES[:2],
    [*NAMES[:2], NAMES[0]], [*NAMES[:2], ".x"], [*NAMES[:2], "a\\b"], [*NAMES[:2], "x" * 101],
    NAMES[::-1], {}, {"x": 1}, {"data-r03.tfrecords": {}}, [[[[]]]],
]  # fmt: skip


def places(tree: dict | list) -> list[tuple]:
    """Where values are in a manifest: (object that holds it, key)."""
    found = []
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        found.append((tree, key))
        if isinstance(tree[key], dict | list):
            found += places(tree[key])
    return found


def edited_manifest(files: Contents, rng: np.random.Generator) -> None:
    manifest = json.loads(files["data.json"])
    known = places(manifest)
    inside, key = known[rng.integers(len(known))]
    if rng.integers(8):
        inside[key] = VALUES[rng.integers(len(VALUES))]
    else:
        del inside[key]
    files["data.json"] = json.dumps(manifest).encode()


def no_manifest_at_all(files: Contents, rng: np.random.Generator) -> None:
    part = files["data.json"][: rng.integers(len(files["data.json"]) - 2)]
    texts = [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 10**5, b"9" * 5000, bytes(500),
             b'{"files": ' * 10**4, part]  # fmt: skip
    files["data.json"] = texts[rng.integers(len(texts))]


def renamed(files: Contents, rng: np.random.Generator) -> None:
    name = some(rng, files)
    other = {"r02": "r05", "r03": "r04", "rxx": "r04"}.get(name[5:8], "") if rng.integers(2) else ""
    files[name.replace(name[5:8], other) if other else f"x{name}"] = files.pop(name)


def names_exchanged(files: Contents, rng: np.random.Generator) -> None:
    a, b = rng.choice(sorted(files), 2, replace=False)
    files[a], files[b] = files[b], files[a]


def extra(files: Contents, rng: np.random.Generator) -> None:
    more = ["data-r04.tfrecords", "other-r03.tfrecords", "other-rxx.labels", "data-r1.tfrecords"]
    files[some(rng, more)] = files[LARGEST]


def missing(files: Contents, rng: np.random.Generator) -> None:
    del files[some(rng, files.keys() - {"data.json"})]


def empty(files: Contents, rng: np.random.Generator) -> None:
    files[some(rng, files)] = b""


@functools.cache
def others() -> Contents:
    with tempfile.TemporaryDirectory() as folder:
        return contents(write(Path(folder, "data"), seed=1))


def of_another_data_set(files: Contents, rng: np.random.Generator) -> None:
    name = some(rng, files)
    files[name] = others()[name]


FAULTS: dict[str, Callable[[Contents, np.random.Generator], None]] = {
    f.__name__: f
    for f in (flipped_bit, edited_manifest, no_manifest_at_all, renamed, names_exchanged, extra,
              missing, empty, of_another_data_set)
} | {
    "two records exchanged": two_records_exchanged,
    "a record twice": a_record_twice,
    "another shuffle": another_shuffle,
    "cut between records": cut_between_records,
    "more records": more_records,
    "label of another source": another_source,
    "label of no source": no_source,
    "label of two sources": two_sources,
    "labels of other type or shape": other_labels,
    **{f"{x} in labels": value_in_labels(x) for x in (np.nan, np.inf, -1, 0.5, 2, 1e-45)},
}  # fmt: skip


def attempt(folder: Path, files: Contents, intact: list) -> str:
    """What comes of these files: "refused", "harmless", "silent", or "unclear: …"."""
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        found = everything(folder)
    except UserError as error:
        told = re.search(r"(expected|missing|cannot be read).*;", str(error), re.DOTALL)
        named = str(error).removeprefix("--data ").startswith(str(folder))
        return "refused" if told and named else f"unclear: {error}"
    return "harmless" if found == intact else "silent"


def survey(
    folder: Path, tries: int, seed: int = 0, only: Iterable[str] = FAULTS
) -> dict[str, Counter]:
    """Classes of faults, each tried so often in `folder`, a new one: class → outcome → count.

    Outcomes: those of `attempt`, and "same" where a fault changed nothing.
    """
    whole = contents(write(folder))
    intact = everything(folder)
    rng = np.random.default_rng(seed)
    counts: dict[str, Counter] = {name: Counter() for name in only}
    for name in counts:
        for _ in range(tries):
            files = dict(whole)
            FAULTS[name](files, rng)
            outcome = "same" if files == whole else attempt(folder, files, intact)
            counts[name][outcome] += 1
    return counts
