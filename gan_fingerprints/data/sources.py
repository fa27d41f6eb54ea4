"""The folder that holds a subfolder of images per source: how it is named, and what is in it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

from gan_fingerprints import images, typed
from gan_fingerprints.program import UserError, option
from gan_fingerprints.shown import SOURCE_NAMES, is_source_name

Found = TypeVar("Found")
SOURCES = {
    "folder": option(
        typed.several(typed.folder, "?"), None, "folder of subfolders of images, one per source"
    ),
    "--in_dir": option(typed.folder, None, "the same, by a flag"),
}


def folder_of(arguments: argparse.Namespace) -> str:
    """The folder, however it was named. UserError unless that was once."""
    named = [x for x in (arguments.folder, arguments.in_dir) if x is not None]
    if not named:
        raise UserError(
            "--in_dir is missing: name the folder that holds one subfolder of images per source"
        )
    if len(named) > 1:
        raise UserError(f"--in_dir: found {' and '.join(named)}, expected one folder")
    return named[0]


def find_sources(in_dir: str) -> dict[str, list[Path]]:
    """Source name → its image files. Raises UserError unless there are two sources or more."""
    return required(images.list_sources(in_dir, "--in_dir"), in_dir)


def required(sources: dict[str, list[Found]], in_dir: str) -> dict[str, list[Found]]:
    """The same. Raises UserError unless there are two sources or more, under allowed names."""
    if len(sources) < 2:
        raise UserError(
            f"--in_dir {in_dir}: found one subfolder, {next(iter(sources))}, expected two or more; "
            "name the folder that holds one subfolder per source"
        )
    for name in sources:
        if not is_source_name(name):
            raise UserError(
                f"--in_dir {in_dir}: found a subfolder named {name}, which cannot be a source's "
                f"name, expected {SOURCE_NAMES}; rename it"
            )
    return sources
