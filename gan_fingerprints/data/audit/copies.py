"""Images that occur twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints.data import layout

if TYPE_CHECKING:
    from gan_fingerprints.data.reading import DataSet

EXAMPLES = 5  # copies of one image that a warning names


def digest_of(image: np.ndarray) -> bytes:
    """A CRC-32C of each quarter of an image uint8 [R, R, 3], R even: faster than hashing it."""
    return layout.crc32c(image.reshape(4, -1)).astype("<u4").tobytes()


def duplicates(digests: Mapping[str, bytes]) -> list[list[str]]:
    """Groups of two or more files with the same digest, in the order met; file → digest."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for file, digest in digests.items():
        groups[digest].append(file)
    return [files for files in groups.values() if len(files) > 1]


def digests_of(data: DataSet, chunk: int = 256) -> dict[bytes, int]:
    """The digest of each record of a prepared data set → the number of the record."""
    records: dict[bytes, int] = {}
    for start in range(0, data.count, chunk):
        numbers = range(start, min(start + chunk, data.count))
        digests = map(digest_of, data.images(np.array(numbers)))
        records.update(zip(digests, numbers, strict=True))
    return records


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
