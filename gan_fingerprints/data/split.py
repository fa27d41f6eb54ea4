"""Splits folders of images, one per source, into parts that share no content."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.data import groups, links
from gan_fingerprints.data.sources import SOURCES, folder_of
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import is_source_name, shown, shown_lines

DESCRIPTION = """\
Splits folders of images, one per source, into parts for training, validation and testing.

    gan-fingerprints split images/ --out sets/ --group_by 'z(\\d+)'

writes sets/training/, sets/validation/ and sets/testing/, each with a subfolder per source, of
links to the images under the names that they have.

Images that share their content belong in one part: a network that saw a face in training knows it
again, and the accuracy on "new" images is then far too good. Such images are a group: of one
latent vector, of one photograph, of one person. --group_by says how a file's name tells its group:
a regular expression, of whose match the first (captured) text is the group's name, or all of it.
The same text in two sources is the same group, as a photograph and its copy by an autoencoder are.

    --group_by 'z(\\d+)'          s020000_z017.png    → 017, one latent in many snapshots
    --group_by '^(.+)_\\d+\\.'     Ann_Lee_0003.jpg    → Ann_Lee, one person
    --group_by 'z\\d+|^\\d+'       both, z017 and 000123.png

data_preparation.py takes the same flag and keeps the groups in the data set. Without the flag each
image is by itself. The same seed, names and shares give the same parts."""

SUM = 1e-3  # by how much shares may miss 1: 0.333 three times is fine


class Part(NamedTuple):
    """A part's name and its share of the images."""

    name: str
    share: float

    def __str__(self) -> str:
        return f"{self.name}={self.share:g}"


def _read_part(text: str) -> Part:
    name, _, number = text.rpartition("=")
    try:
        share = float(number)
    except ValueError:
        share = 0.0
    if not (is_source_name(name) and 0 < share < 1):
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected NAME=SHARE with a share between 0 and 1, e.g. training=0.7"
        )
    return Part(name, share)


PARTS = [Part("training", 0.7), Part("validation", 0.15), Part("testing", 0.15)]

OPTIONS = {
    **SOURCES,
    "--out_dir": option(typed.folder, REQUIRED, "new folder for the parts"),
    "--parts": option(
        typed.several(typed.Kind(_read_part, "NAME=SHARE")), PARTS, "names and shares, together 1"
    ),
    "--group_by": option(
        groups.pattern, None, "what in a file's name tells its group, which stays in one part"
    ),
    "--seed": option(typed.seed, 0, "which groups come into which part"),
}


class Source(NamedTuple):
    """The images of a source, and the group of each."""

    files: list[Path]
    groups: list[str]


def grouped(sources: dict[str, list[Path]], by: re.Pattern[str] | None) -> dict[str, Source]:
    """The groups of all images; without an expression each image is one."""
    if by is None:
        own = {name: [f"{name}/{file.name}" for file in files] for name, files in sources.items()}
    else:
        own = {name: groups.groups_of(files, by, "--group_by") for name, files in sources.items()}
    return {name: Source(files, own[name]) for name, files in sources.items()}


def assigned(sources: dict[str, Source], parts: Sequence[Part], seed: int) -> dict[str, int]:
    """Group → the number of its part. UserError where a part would lack a source."""
    for name, source in sources.items():
        number = len(set(source.groups))
        if number < len(parts):
            raise UserError(
                f"--in_dir: found too few groups in {name}: {number}, expected {len(parts)} or "
                "more, one for each of --parts; ask for fewer parts, or for smaller groups"
            )
    numbers, names = groups.numbers_of([x for source in sources.values() for x in source.groups])
    labels = np.repeat(np.arange(len(sources)), [len(source.files) for source in sources.values()])
    counts = np.zeros((len(names), len(sources)), int)
    np.add.at(counts, (numbers, labels), 1)
    found = groups.parts_of(counts, names, [part.share for part in parts], seed)
    for number, part in enumerate(parts):
        lacking = np.flatnonzero(counts[found == number].sum(axis=0) == 0)
        if lacking.size:
            raise UserError(
                f"--parts {part}: found no room for a group of {list(sources)[lacking[0]]}, "
                "expected at least one; give the part a larger share, or ask for smaller groups"
            )
    return dict(zip(names, found.tolist(), strict=True))


def table(sources: dict[str, Source], parts: Sequence[Part], part_of: dict[str, int]) -> str:
    """Images of each source and part, and groups of each part, as text."""
    rows = [["source", *(part.name for part in parts)]]
    for name, source in sources.items():
        numbers = np.bincount([part_of[x] for x in source.groups], minlength=len(parts))
        shares = 100 * numbers / len(source.files)
        cells = [f"{n} ({share:.1f} %)" for n, share in zip(numbers, shares, strict=True)]
        rows.append([name, *cells])
    of_parts = np.bincount(list(part_of.values()), minlength=len(parts))
    rows.append(["groups", *map(str, of_parts)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (map(str.ljust, row, widths) for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def require_parts(parts: Sequence[Part]) -> None:
    """UserError unless there are two parts or more of different names, and shares that add to 1."""
    together = sum(part.share for part in parts)
    text = " ".join(map(str, parts))
    if len(parts) < 2 or len({part.name for part in parts}) < len(parts):
        raise UserError(f"--parts {text}: expected two parts or more, of different names")
    if abs(together - 1) > SUM:
        raise UserError(
            f"--parts {text}: found shares that add up to {together:g}, expected 1; change one"
        )


def main(arguments: argparse.Namespace) -> None:
    """Writes the parts."""
    parts, out = arguments.parts, program.new_output(arguments.out_dir, "--out_dir")
    require_parts(parts)
    sources = grouped(images.list_sources(folder_of(arguments), "--in_dir"), arguments.group_by)
    part_of = assigned(sources, parts, arguments.seed)
    with program.whole_folder(out) as partial:
        for name, source in sources.items():
            for number, part in enumerate(parts):
                pairs = zip(source.files, source.groups, strict=True)
                files = [file for file, group in pairs if part_of[group] == number]
                folder = partial / part.name / name
                folder.mkdir(parents=True)
                links.link(files, [x.name for x in files], folder, out / part.name / name)
    print(shown_lines(table(sources, parts, part_of)))
    number = sum(len(source.files) for source in sources.values())
    print(shown(f"{number} images of {len(sources)} sources in {len(part_of)} groups: {out}"))
