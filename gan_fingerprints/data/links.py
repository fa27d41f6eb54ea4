"""Folders of links to images, so that no image has to be copied."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def link(files: Sequence[Path], names: Sequence[str], folder: Path, place: Path) -> None:
    """Links to files under these names, in a folder that will be renamed to `place`.

    The links are relative: folders that are moved together stay linked.
    """
    place = place.resolve()
    for file, name in zip(files, names, strict=True):
        (folder / name).symlink_to(os.path.relpath(file.resolve(), place))


def in_order(files: Sequence[Path]) -> list[str]:
    """Names for files that keep their order: 00.png, 01.jpg, …"""
    digits = len(str(len(files)))
    return [f"{i:0{digits}d}{file.suffix.lower()}" for i, file in enumerate(files)]
