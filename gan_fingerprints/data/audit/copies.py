"""Images that occur twice, exactly or nearly, within a data set or in another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_fingerprints.data import layout
from gan_fingerprints.data.audit import looks
from gan_fingerprints.data.audit.near import near

if TYPE_CHECKING:
    from gan_fingerprints.data.reading import DataSet

EXAMPLES = 5  # copies of one image that a warning names


def digest_of(image: np.ndarray) -> bytes:
    """What tells an image uint8 [R, R, 3] from others, as `Writer` finds it of its record."""
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    return layout.checksums(planes.reshape(1, -1), len(image))[0].tobytes()


class Known(NamedTuple):
    """The images of another data set.

    Attributes:
        name: what to call it.
        records: the digest of each record → its number.
        shapes: float32 [records, 64], see `looks.shapes`; None below 16 pixels.
    """

    name: str
    records: Mapping[bytes, int]
    shapes: np.ndarray | None = None


def known(data: DataSet, chunk: int = 256) -> Known:
    """What there is to know of a prepared data set."""
    records: dict[bytes, int] = {}
    shapes = []
    for start in range(0, data.count, chunk):
        numbers = np.arange(start, min(start + chunk, data.count))
        pictures = data.images(numbers)
        records.update(zip(map(digest_of, pictures), numbers.tolist(), strict=True))
        if data.resolution >= looks.SIDE:
            shapes.append(looks.shapes(looks.small(pictures)))
    return Known(str(data.folder), records, np.concatenate(shapes) if shapes else None)


def also_there(digests: Mapping[str, bytes], other: Known) -> dict[str, int]:
    """The files of which another data set has an exact copy → the number of its record."""
    return {file: other.records[x] for file, x in digests.items() if x in other.records}


def nearly_there(
    files: Sequence[str], shapes: np.ndarray | None, other: Known, exact: Collection[str]
) -> dict[str, int]:
    """The files, `exact` copies left out, that are nearly the same as a record → its number.

    shapes: float32 [files, 64], or None.
    """
    if shapes is None or other.shapes is None:
        return {}
    found = near(shapes, other.shapes).tolist()
    pairs = zip(files, found, strict=True)
    return {file: record for file, record in pairs if record >= 0 and file not in exact}


def warnings_of(other: Known, exact: Mapping[str, int], nearly: Mapping[str, int]) -> list[str]:
    """What to tell the user of images that another data set has, too."""
    said = []
    for what, shared, sign in (("also", exact, "="), ("nearly the same as one", nearly, "≈")):
        if shared:
            file, record = next(iter(shared.items()))
            said.append(
                f"images that are {what} in {other.name}: {len(shared)}, e.g. {file} {sign} record "
                f"{record}; what is trained on the one must not be tested on the other"
            )
    if nearly:
        said.append(
            "images that look alike, as of one latent, belong in one part of a split: "
            "`gan-fingerprints split --group_by` keeps groups together"
        )
    return said


def duplicates(digests: Mapping[str, bytes]) -> list[list[str]]:
    """Groups of two or more files with the same digest, in the order met; file → digest."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for file, digest in digests.items():
        groups[digest].append(file)
    return [files for files in groups.values() if len(files) > 1]


def copy_warnings(groups: Sequence[Sequence[str]]) -> list[str]:
    cases = {
        False: "that occur more than once within a source",
        True: "that occur in several sources, under contradicting labels",
    }
    by_case: dict[bool, list[Sequence[str]]] = defaultdict(list)
    for files in groups:
        by_case[len({file.split("/")[0] for file in files}) > 1].append(files)
    return [
        f"images {cases[case]}: {len(some)}, e.g. {' = '.join(some[0][:EXAMPLES])}"
        for case, some in sorted(by_case.items(), reverse=True)
    ]
