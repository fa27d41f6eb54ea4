"""`attribute` into a folder of shards, from its flags to its last lines."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gan_fingerprints import program
from gan_fingerprints.examiner import examination, loading
from gan_fingerprints.examiner.bulk import on_ray, plan, totals, work
from gan_fingerprints.examiner.bulk.plan import MANIFEST, Plan
from gan_fingerprints.examiner.bulk.totals import Tally
from gan_fingerprints.examiner.examination import Model
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import listed, shown

REFUSED = {
    "maps": "maps are made of single images",
    "case": "a line of a case has the hash of every image",
    "resume": "the same command goes on by itself",
    "overwrite": "remove the folder to begin again",
}
"""Flags that do not go together with shards, and why."""


def is_meant(arguments: argparse.Namespace) -> bool:
    """Whether --out is, or is to be, a folder of shards."""
    asked = arguments.shards or arguments.shard
    return bool(asked or (arguments.out and (Path(arguments.out) / MANIFEST).is_file()))


def attribute(arguments: argparse.Namespace) -> Tally:
    """Does the shards that are missing, and counts their rows."""
    check(arguments)
    path, flag = loading.model_file(arguments.model)
    shards = arguments.shard.of if arguments.shard else arguments.shards
    made = plan.opened(Path(arguments.out), arguments, path, shards)
    chosen = arguments.shard.shards if arguments.shard else range(made.shards)
    print(head(made, chosen))
    tally = Tally()
    if (missing := made.missing(chosen)) or arguments.report:
        if arguments.ray:
            on_ray.leave_gpus()
        model = loading.load(arguments, path, flag, made.model)
        if missing:
            tally = do(arguments, made, model, missing)
            print(totals.said(tally, made.left_out, model))
    left = len(made.missing(range(made.shards)))
    print(f"results: {shown(arguments.out)}, {made.shards - left} of {made.shards} shards")
    if arguments.report:
        write_report(arguments, made, model)
    return tally


def check(arguments: argparse.Namespace) -> None:
    """UserError unless the flags go together."""
    for name, why in REFUSED.items():
        if getattr(arguments, name):
            raise UserError(f"--{name} does not go together with shards: {why}; leave one out")
    if arguments.pool != "none":
        raise UserError("--pool does not go together with shards: images of a folder are in many")
    if arguments.ray:
        on_ray.check()
    if not arguments.out:
        raise UserError("--shards: found no --out, expected a folder for the shards")
    if arguments.shard and arguments.shards not in (None, arguments.shard.of):
        raise UserError(
            f"--shard: found one of {arguments.shard.of}, expected one of --shards "
            f"{arguments.shards}; leave --shards out"
        )
    folder = Path(arguments.out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: found a file, expected a folder for the shards")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise UserError(f"--out {folder}: found other files, expected a new or an empty folder")
    if arguments.report and arguments.shard:
        raise UserError("--report: found --shard, expected all shards; leave one of the two out")
    program.check_writable(folder / MANIFEST, "--out")
    if arguments.report:
        # It is made anew of all rows, whenever that is asked for.
        program.new_file(arguments.report, "--report", overwrite=False)


def _is_ours(folder: Path) -> bool:
    return any((folder / name).exists() for name in (MANIFEST, plan.LISTING))


def head(made: Plan, chosen: Sequence[int]) -> str:
    """What there is to do."""
    missing = made.missing(range(chosen[0], chosen[-1] + 1))
    number = sum(made.manifest["number"][i] for i in missing)
    which = f"shards {chosen[0]} to {chosen[-1]}" if len(chosen) > 1 else f"shard {chosen[0]}"
    return (
        f"inputs: {made.number:,} in {made.shards} shards, listed {made.manifest['time']}\n"
        f"to do: {number:,} in {len(missing)} of {which}"
    )


def do(arguments: argparse.Namespace, made: Plan, model: Model, missing: Sequence[int]) -> Tally:
    """Does shards, with a progress bar, and counts their rows."""
    number = sum(made.manifest["number"][i] for i in missing)
    with tqdm(total=number, unit="image", dynamic_ncols=True, disable=None) as bar:
        if arguments.ray:
            return on_ray.write_shards(arguments, made, missing, bar.update)
        refuse = arguments.shard is not None
        return work.write_shards(model, made, missing, bar.update, refuse)


def write_report(arguments: argparse.Namespace, made: Plan, model: Model) -> None:
    """Writes the page of totals, of the rows of all shards."""
    files = [totals.counted(made.results(i)) for i in range(made.shards)]
    counts = sum((file.counts for file in files), Counter[str | None]())
    asked = made.manifest["asked"]
    how = examination.origin(
        model, shlex.join(["gan-fingerprints", *arguments.words]), made.manifest["time"],
        paths_are_relative_to=asked["folder"], most_tiles_of_an_image=arguments.tiles,
        other_files_left_out=listed(made.left_out) or "none",
    )  # fmt: skip
    page = totals.page(model, counts, files, arguments.report, how)
    page.write(arguments.report)
    print(f"report: {shown(arguments.report)}")
