"""A folder of shards: its manifest, which says what is done with what, and the lists of inputs."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gan_fingerprints import disk, program
from gan_fingerprints.examiner.bulk import inputs
from gan_fingerprints.examiner.bulk.inputs import Input
from gan_fingerprints.examiner.examination import PROGRAM
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import differences

MANIFEST, LISTS, LISTING = "manifest.json", "inputs", ".listing.lock"
FLAGS = (
    "source_names", "least_probability", "least_size", "most_size", "tiles", "stability", "map",
    "batch", "precision",
)  # fmt: skip
"""What rows depend on, beside images and the model."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        folder: where the manifest is, and the results of shards.
        manifest: `settings` (program, model, flags), `asked` (paths, as they were named, and the
            folder that they are relative to), `shards`, `number` of inputs in each, `bytes` of
            all, `widest` name, `left_out` files by ending, `time` of listing.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def shards(self) -> int:
        return self.manifest["shards"]

    @property
    def model(self) -> str:
        """What rows call the model's file: as it was named first."""
        return self.manifest["settings"]["model"]["file"]

    @property
    def number(self) -> int:
        """Of inputs."""
        return sum(self.manifest["number"])

    @property
    def left_out(self) -> Counter[str]:
        """How many other files there were below the folders, by ending or "hidden"."""
        return Counter(self.manifest["left_out"])

    def inputs(self, shard: int) -> Iterator[Input]:
        """Those of a shard, from 0 on, one by one."""
        return inputs.read(self.folder / LISTS / _named("inputs", shard, self.shards))

    def results(self, shard: int) -> Path:
        """The file of a shard's rows, which exists when it is complete."""
        return self.folder / _named("results", shard, self.shards)

    def missing(self, shards: range) -> list[int]:
        """Those that are to be done."""
        return [i for i in shards if not self.results(i).exists()]


def _named(what: str, shard: int, shards: int) -> str:
    return f"{what}-{shard:05d}-of-{shards:05d}.jsonl"


def settings(arguments: argparse.Namespace, model: Path) -> dict[str, Any]:
    """What all rows of a run have in common; no network is loaded for it."""
    flags = {name: getattr(arguments, name) for name in FLAGS}
    return {
        "program": PROGRAM,
        "model": {"file": str(model), "sha256": disk.digest(model)},
        "flags": flags,
    }


def asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """Which inputs are meant."""
    how = {"paths": list(arguments.paths), "paths_from": arguments.paths_from}
    return {**how, "folder": os.getcwd()}


def read(folder: Path, flag: str) -> Plan:
    """That of a folder; UserError where there is none, or what no version of this wrote."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise UserError(
            f"{flag} {folder}: found no {MANIFEST} that can be read ({error.strerror}), expected "
            "a folder that attribute --shards wrote"
        ) from None
    except ValueError:
        manifest = None
    match manifest:
        case {
            "settings": {"model": {"file": str(), "sha256": str()}, "flags": {}}, "asked": {},
            "shards": int(shards), "number": [*number], "left_out": {}, "widest": int(),
        } if len(number) == shards and all(type(n) is int for n in number):  # fmt: skip
            return Plan(folder, manifest)
    raise UserError(
        f"{flag} {folder}: its {MANIFEST} is damaged; name a new folder, or remove this one"
    )


def opened(folder: Path, arguments: argparse.Namespace, model: Path, shards: int | None) -> Plan:
    """That of a folder, as it was made, else made now; other processes wait until it is listed.

    shards: None for those that the folder has.

    Raises:
        UserError: the folder is of another model, of other flags or inputs; see `inputs.listed`.
    """
    disk.make_folder(folder)
    held = None
    while held is None:
        held = disk.lock(folder / LISTING, wait=True)
    with held:
        if (folder / MANIFEST).exists():
            plan = read(folder, "--out")
            require_same(plan, arguments, model, shards)
            return plan
        if not arguments.paths and not arguments.paths_from:
            raise UserError("PATH is missing, and so is --paths_from; see --help")
        return made(folder, arguments, settings(arguments, model), shards or 1)


def made(
    folder: Path, arguments: argparse.Namespace, common: Mapping[str, Any], shards: int
) -> Plan:
    """Lists the inputs, and writes the manifest when all are listed."""
    left_out: Counter[str] = Counter()
    disk.remove(folder / LISTS)  # of a process that was killed before it had listed all
    with program.whole_folder(folder / LISTS) as partial:
        files = [partial / _named("inputs", i, shards) for i in range(shards)]
        with inputs.lists(files) as written:
            for one in inputs.listed(arguments.paths, arguments.paths_from, left_out):
                written.add(one)
    manifest = {
        "settings": common, "asked": asked(arguments), "shards": shards,
        "number": written.numbers, "bytes": written.size, "widest": written.widest,
        "left_out": left_out, "time": datetime.now().astimezone().isoformat(timespec="seconds"),
    }  # fmt: skip
    program.write_json(folder / MANIFEST, manifest)
    return read(folder, "--out")


def require_same(
    plan: Plan, arguments: argparse.Namespace, model: Path, shards: int | None
) -> None:
    """UserError, with all differences, unless a plan is of the same model, flags and inputs."""
    now = settings(arguments, model)
    now["model"]["file"] = plan.manifest["settings"]["model"]["file"]  # the content counts
    pairs = [(plan.manifest["settings"], now)]
    if arguments.paths or arguments.paths_from:
        pairs.append((plan.manifest["asked"], asked(arguments)))
    if shards:
        pairs.append(({"shards": plan.shards}, {"shards": shards}))
    found = [x for was, is_now in pairs for x in differences(was, is_now)]
    if found:
        raise UserError(
            f"--out {arguments.out}: was begun with other settings ({'; '.join(found)}); give "
            "the same ones, or name a new one"
        )
