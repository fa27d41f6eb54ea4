"""`gan-fingerprints merge`: joins the shards that `attribute --shards` wrote."""

from __future__ import annotations

import argparse

from gan_fingerprints import program, typed
from gan_fingerprints.examiner.bulk import merging, plan
from gan_fingerprints.program import REQUIRED, option
from gan_fingerprints.shown import shown

DESCRIPTION = """\
Joins the shards of a folder that attribute --shards wrote, after it has seen that each input has
exactly one row.

  gan-fingerprints merge results/ --out all.csv

exit status: 0 done, 2 rows are missing or bad input, nothing was written"""
OPTIONS = {
    "folder": option(typed.folder, REQUIRED, "what attribute --out named"),
    "--out": option(
        typed.new_file(*merging.WRITERS),
        REQUIRED,
        "rows as they are, or a table of them; a name that ends in .jsonl, .csv or .parquet",
    ),
    **program.OVERWRITE,
}


def main(arguments: argparse.Namespace) -> None:
    """Writes the file that was asked for."""
    folder = program.existing_folder(arguments.folder, "DIR")
    out = program.new_file(arguments.out, "--out", arguments.overwrite)
    if out.suffix.lower() not in merging.WRITERS:
        raise program.UserError(
            f"--out {out}: found no ending, expected {', '.join(merging.WRITERS)}"
        )
    number = merging.write(plan.read(folder, "DIR"), out)
    print(f"each of {number:,} inputs has one row")
    print(f"results: {shown(out)}")
