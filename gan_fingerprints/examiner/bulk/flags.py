"""Flags of `attribute` for very many images."""

from __future__ import annotations

import argparse
import re
from typing import NamedTuple

from gan_fingerprints import typed
from gan_fingerprints.flags import option
from gan_fingerprints.typed import Kind, given


class Share(NamedTuple):
    """Some of the shards, from the first to the last, of so many."""

    first: int
    last: int
    of: int

    @property
    def shards(self) -> range:
        """Their numbers, from 0 on."""
        return range(self.first, self.last + 1)


def _share(text: str) -> Share:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?/(\d+)", text)
    if found:
        first, last, of = int(found[1]), int(found[2] or found[1]), int(found[3])
        if first <= last < of:
            return Share(first, last, of)
    raise argparse.ArgumentTypeError(
        f"found {text!r}, expected a shard as 0/1000, up to 999/1000, or some as 0-16/1000"
    )


BULK = {
    "--shards": option(
        typed.positive_int,
        None,
        "let --out be a folder, with the rows in so many files that are done one by one; the "
        "same command does what is missing",
    ),
    "--shard": option(
        Kind(_share, "I/N"),
        None,
        "do only this shard, 17/1000, or some, 0-16/1000; numbers begin at 0",
    ),
    "--resume": option(given, False, "go on with the rows that a killed run left of --out"),
    "--ray": option(
        typed.text.of("auto|local|ADDRESS"),
        None,
        "do shards on workers of Ray: of the cluster that runs already, of this machine, or at an "
        "address (package ray, see the extra bulk)",
    ),
    "--ray_cores": option(
        typed.positive_int,
        1,
        "cores of a worker of Ray; where there are GPUs, it has one of them beside",
        advanced=True,
    ),
    "--paths_from": option(
        typed.file, None, "take further paths from a file, one in a line; - for standard input"
    ),
}
