"""A data set of shards while it is written: finished shards outlast a kill, for the next process.

They are in a hidden folder beside the data set's, with what they are made of and how. All of it
becomes the data set in one step, as one without shards does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gan_fingerprints import disk, program, typed
from gan_fingerprints.data import layout, outcomes
from gan_fingerprints.data.packed import stamps
from gan_fingerprints.data.places import Place
from gan_fingerprints.program import UserError, option
from gan_fingerprints.shown import differences, shown

SETTINGS, INPUTS, DATA, PARTS = "settings.json", "inputs.jsonl", "data", "parts"
FEW = 3  # inputs that a message names
AT_SCALE = {
    "--shards": option(
        typed.number(
            int, lambda x: 1 <= x <= layout.MOST_SHARDS,
            f"a whole number from 1 to {layout.MOST_SHARDS}", "N",
        ),
        None,
        "write so many files of each size instead of one; after an interruption the same command "
        "goes on at the next one",
    ),
    "--workers": option(typed.positive_int, None, "processes that read images; one for each core"),
}  # fmt: skip
"""Options of the programs that write data sets of very many images."""

Item = TypeVar("Item")


class Part(NamedTuple):
    """A finished shard.

    Attributes:
        files: name → its facts in the manifest.
        digests: of its images, see `writing.Writer`.
        outcomes: of its items.
    """

    files: dict[str, Any]
    digests: list[bytes]
    outcomes: list[Any]


@dataclass(frozen=True)
class Kept:
    """The shards of a data set that are finished.

    Attributes:
        folder: the hidden one.
        shards: how many there will be.
    """

    folder: Path
    shards: int

    @property
    def data(self) -> Path:
        """What becomes the data set's folder."""
        return self.folder / DATA

    def shares(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """What belongs in each shard: as much, in order. UserError if that is nothing."""
        if self.shards > len(items):
            raise UserError(
                f"--shards: found {self.shards} for {len(items)} images, expected one image or "
                "more for each; ask for fewer"
            )
        ends = [i * len(items) // self.shards for i in range(self.shards + 1)]
        return (items[a:b] for a, b in pairwise(ends))

    def part(self, number: int) -> Part | None:
        """A shard, if it is finished."""
        try:
            kept = json.loads(self._record(number).read_bytes())
            digests = [bytes.fromhex(x) for x in kept["digests"]]
            part = Part(kept["files"], digests, list(map(outcomes.unpacked, kept["outcomes"])))
            sizes = {name: (self.data / name).stat().st_size for name in part.files}
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return part if all(sizes[x] == facts["bytes"] for x, facts in part.files.items()) else None

    def keep(self, number: int, part: Part) -> Part:
        """Says that a shard, whose files are on the disk, is finished."""
        kept = {
            "files": part.files,
            "digests": [x.hex() for x in part.digests],
            "outcomes": list(map(outcomes.packed, part.outcomes)),
        }
        program.write_whole(self._record(number), json.dumps(kept).encode())
        return part

    def _record(self, number: int) -> Path:
        return self.folder / PARTS / f"{number:05d}.json"

    def finished(self) -> list[int]:
        """Which shards are."""
        return [i for i in range(self.shards) if self._record(i).exists()]

    def tidy(self) -> None:
        """Takes away what a killed process left of shards that were not finished."""
        parts = [part for i in self.finished() if (part := self.part(i))]
        known = {name for part in parts for name in part.files}
        self.data.mkdir(exist_ok=True)
        for path in self.data.iterdir():
            if path.name not in known:
                disk.remove(path)


def hidden(out: Path) -> Path:
    """Where shards are until all are there."""
    path = out.absolute()
    return path.with_name(f".{path.name}.unfinished")


@contextmanager
def output(
    out: Path, flag: str, shards: int | None, settings: Mapping[str, Any],
    inputs: Sequence[str | Place],
) -> Iterator[tuple[Path, Kept | None]]:  # fmt: skip
    """Yields the folder in which a data set is written, which becomes `out` if all goes well.

    With shards, those that are finished stay after an interruption, and are gone on with.

    Args:
        flag: that named `out`.
        settings: what the bytes depend on, beside the inputs, as JSON can hold it.
        inputs: the files, in the order in which they are written.

    Raises:
        UserError: what stayed is of other settings or inputs; another process is writing; the disk
            is full.
    """
    folder = hidden(out)
    if shards is None:
        if (folder / SETTINGS).exists():
            _require_same(out, flag, folder, {**settings, "shards": None}, {})
        with program.whole_folder(out) as partial:
            yield partial, None
        return
    disk.make_folder(folder.parent)
    if not (held := disk.claim(folder)):
        raise UserError(program.BEING_WRITTEN.format(out))
    with held:
        kept = _begun(out, flag, shards, {**settings, "shards": shards}, stamps(inputs))
        with _staying(kept), program.full_disk(out, kept.data):
            yield kept.data, kept
            disk.sync_all(kept.data)
            os.replace(kept.data, out)  # which is not there, or empty
            disk.sync(folder.parent)
        disk.remove(folder)


def _begun(
    out: Path, flag: str, shards: int, settings: Mapping[str, Any], inputs: Mapping[str, list[int]]
) -> Kept:
    """The shards that stayed of the same settings and inputs, or none yet."""
    folder = hidden(out)
    kept = Kept(folder, shards)
    if (folder / SETTINGS).exists():
        _require_same(out, flag, folder, settings, inputs)
        kept.tidy()
        print(f"goes on after an interruption: {len(kept.finished())} of {shards} shards are there")
        return kept
    for path in folder.iterdir():
        if path.name != disk.LOCK:
            disk.remove(path)
    kept.data.mkdir()
    lines = (json.dumps([*item]) + "\n" for item in inputs.items())
    program.write_whole(folder / INPUTS, "".join(lines).encode())
    program.write_json(folder / SETTINGS, settings)  # last: with it, all is there
    return kept


def _require_same(
    out: Path, flag: str, folder: Path, settings: Mapping[str, Any], inputs: Mapping[str, list[int]]
) -> None:
    """UserError, with all differences, unless shards that stayed are of the same making."""
    try:
        was = json.loads((folder / SETTINGS).read_bytes())
        lines = (folder / INPUTS).read_bytes().splitlines()
        known = dict(map(json.loads, lines))
        found = differences(was, json.loads(json.dumps(settings)))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        found, known = [f"{folder} cannot be read: {error}"], dict(inputs)
    if not found:
        found = _other_inputs(known, inputs)
    if found:
        raise UserError(
            f"{flag} {out}: was begun with other settings ({'; '.join(found)}); give the same "
            f"ones, or remove {folder} to begin again"
        )


def _other_inputs(was: Mapping[str, list[int]], now: Mapping[str, list[int]]) -> list[str]:
    kinds = {
        "new": now.keys() - was.keys(),
        "gone": was.keys() - now.keys(),
        "changed": {path for path in was.keys() & now.keys() if was[path] != now[path]},
    }
    found = [
        shown(f"{len(paths)} inputs {kind}, e.g. {', '.join(sorted(paths)[:FEW])}")
        for kind, paths in kinds.items()
        if paths
    ]
    return found or ([] if list(was) == list(now) else ["inputs in another order"])


@contextmanager
def _staying(kept: Kept) -> Iterator[None]:
    """Leaves finished shards where they are after an interruption, but not after bad input."""
    try:
        yield
    except BaseException as error:
        full = error.__cause__ is not None and disk.is_full(error.__cause__)  # type: ignore[arg-type]
        if not kept.finished() or (isinstance(error, UserError) and not full):
            disk.remove(kept.folder)
        else:
            print("finished shards are kept: the same command goes on with them", file=sys.stderr)
        raise
