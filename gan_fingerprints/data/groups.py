"""Groups of images that share their content: of one latent, one photograph or one person.

Images of a group look alike, so a network that has seen one of them has an easy time with the
others. They belong in one part of a split, and count as one where an interval is stated.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from gan_fingerprints.program import UserError
from gan_fingerprints.shown import shown
from gan_fingerprints.typed import Kind

FEW = 3  # groups or files that a message names
LONGEST = 2000  # characters of a group's name
MOST_BYTES = 3 * 2**22  # that groups may take in a manifest, which has 2**24 at most


def _read_pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected a regular expression ({error}), e.g. 'z(\\d+)'"
        ) from None


pattern = Kind(_read_pattern, "REGEX")


def group_of(name: str, by: re.Pattern[str]) -> str | None:
    """The group of a file: the first capture group that took part in the match, else the match.

    name: of the file, with the folders below its source's. None where nothing, or nothing but the
    empty text, matches.
    """
    match = by.search(name)
    if not match:
        return None
    captured = [text for text in match.groups() if text is not None]
    return shown(captured[0] if captured else match[0]) or None


def groups_of(paths: Sequence[object], by: re.Pattern[str], flag: str) -> list[str]:
    """The group of each file, by its name; the same text is the same group in every source.

    Raises:
        UserError: some files are in no group.
    """
    found = [group_of(Path(str(path)).name, by) for path in paths]
    none = [i for i, group in enumerate(found) if group is None]
    if none:
        some = ", ".join(str(paths[i]) for i in none[:: -(-len(none) // FEW)])
        raise UserError(
            f"{flag} {by.pattern}: found no group for {len(none)} of {len(found)} images, e.g. "
            f"{some}, expected one in the name of every image; allow for all names ('A|B' matches "
            "A or B), or take other images away"
        )
    return [group for group in found if group is not None]


def numbers_of(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Numbers of groups, int64 [N], and the names that they stand for, sorted."""
    different, numbers = np.unique(np.array(names, object), return_inverse=True)
    return numbers.astype(np.int64), different.tolist()


def parts_of(
    counts: np.ndarray, names: Sequence[str], shares: Sequence[float], seed: int = 0
) -> np.ndarray:
    """Puts whole groups into parts, so that each part has its share of every source: int [groups].

    Large groups come first, those of a size in an order that hashes of seed and name give; each
    goes where it brings the shares of its sources closest to what is wanted. As long as the groups
    of a source suffice, every part gets some of it.

    Args:
        counts: int [groups, sources], images.
        names: of the groups.
        shares: what each part is to have; together 1.
    """
    totals = counts.sum(axis=0).tolist()
    key = f"{seed}\0".encode()
    hashes = [blake3(key + name.encode("utf-8", "surrogateescape")).digest() for name in names]
    order = sorted(range(len(names)), key=lambda i: (-counts[i].sum(), hashes[i]))
    left = (counts > 0).sum(axis=0).tolist()  # groups of each source that are in no part yet
    have = [[0.0] * len(totals) for _ in shares]
    parts = np.zeros(len(names), int)
    for i in order:  # in plain Python: a few numbers are quicker without NumPy
        sizes = [(s, n / totals[s]) for s, n in enumerate(counts[i].tolist()) if n]
        # By so much the squared distance from the wanted shares, over them, grows in each part.
        growths = [
            sum(size * (2 * (row[s] - share) + size) for s, size in sizes) / share
            for row, share in zip(have, shares, strict=True)
        ]
        allowed = _parts_in_need([s for s, _ in sizes], have, left) or range(len(shares))
        parts[i] = part = min(allowed, key=growths.__getitem__)
        for s, size in sizes:
            have[part][s] += size
            left[s] -= 1
    return parts


def _parts_in_need(sources: list[int], have: list[list[float]], left: list[int]) -> list[int]:
    """Parts without a source of these of which there are no more groups left than such parts."""
    need: list[int] = []
    for s in sources:
        if left[s] <= len(have):
            empty = [part for part, row in enumerate(have) if not row[s]]
            need += empty if len(empty) >= left[s] else []
    return need


def packed(numbers: np.ndarray, names: Sequence[str] | None, by: str | None) -> dict[str, Any]:
    """Groups as a manifest keeps them; `unpacked` reads it.

    numbers: int [N], of the group of each image; names: of all groups; None where each is a file.

    Raises:
        UserError: the names would take more room than a manifest has.
    """
    size = 16 * len(numbers) // 3 + sum(len(name.encode()) + 8 for name in names or ())
    if size > MOST_BYTES:
        raise UserError(
            f"{f'--group_by {by}' if by else '--crops'}: found {numbers.max() + 1} groups of "
            f"{len(numbers)} images, which take {size} bytes, expected at most {MOST_BYTES}; "
            "capture less of the names, or make several data sets"
        )
    content = base64.b64encode(numbers.astype("<u4").tobytes()).decode()
    return {"by": by, "names": None if names is None else list(names), "of_images": content}


def unpacked(entry: Any, count: Any) -> np.ndarray:
    """The number of the group of each of `count` images, int64 [count], from a manifest.

    Raises:
        ValueError: it is not what `packed` makes.
    """
    if not isinstance(entry, dict) or set(entry) != {"by", "names", "of_images"}:
        raise ValueError
    by, names, content = entry["by"], entry["names"], entry["of_images"]
    if (by is None) != (names is None) or not isinstance(by, str | None):
        raise ValueError
    if not isinstance(content, str) or len(content) != 4 * ((4 * count + 2) // 3):
        raise ValueError
    try:
        numbers = np.frombuffer(base64.b64decode(content, validate=True), "<u4").astype(np.int64)
    except binascii.Error:
        raise ValueError from None
    found = np.unique(numbers)
    if len(numbers) != count or not np.array_equal(found, np.arange(len(found))):
        raise ValueError
    if names is not None and (len(names) != len(found) or not _are_names(names)):
        raise ValueError
    return numbers


def _are_names(names: Any) -> bool:
    return (
        isinstance(names, list)
        and all(isinstance(x, str) and x.isprintable() and 0 < len(x) <= LONGEST for x in names)
        and len(set(names)) == len(names)
    )


def refuse_shared(groups: Iterable[str] | None, others: Iterable[str] | None, where: str) -> None:
    """UserError when two data sets have images of one group: content that is known there.

    Nothing is compared where one of them has no groups, or none with names. where: the flag and
    folder of one, for the message.
    """
    shared = sorted(set(groups or ()) & set(others or ()))
    if shared:
        raise UserError(
            f"{where}: found {len(shared)} groups that are in both data sets, e.g. "
            f"{', '.join(shared[:FEW])}, expected none: what a network saw in training says "
            "nothing about new images. Training on validation images (same content) is refused; "
            "`gan-fingerprints split --group_by` keeps each group in one part"
        )
