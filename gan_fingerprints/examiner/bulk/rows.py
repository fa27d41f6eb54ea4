"""Rows of JSON on their way into a file: what was written stays, and no content is asked twice."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from gan_fingerprints import disk, program
from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.examiner import examination
from gan_fingerprints.examiner.bulk import plan
from gan_fingerprints.examiner.bulk.inputs import Input
from gan_fingerprints.examiner.bulk.plan import Plan
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.examiner.examination import Model, json_line
from gan_fingerprints.program import UserError

REMEMBERED = 50_000  # different contents of a file of rows
RESUME = "the same command with --resume goes on with them"
ROWS, PARTS = "rows.jsonl", "parts"

Examinations = Generator[tuple[Examined[Specimen], dict[str, Any]], None, None]
"""Images, each with its `examination.record`."""


class Rows:
    """A file of rows that is being written.

    Rows of files with a content that came before are copies, but for the path. The first
    `REMEMBERED` contents are known again.

    Args:
        file: open for reading and writing, empty.
        parts: a file that says after which rows one can go on; see `answering.in_parts`.
        repeat: whether every file is asked about, as where more is wanted of it than its row.
    """

    def __init__(
        self, file: IO[bytes], parts: IO[bytes] | None = None, repeat: bool = False
    ) -> None:
        self._file, self._parts, self._repeat = file, parts, repeat
        self._places: dict[bytes, tuple[int, int]] = {}  # content → offset and length of its row
        self._end = 0
        self.number = 0

    def once(self, one: Specimen) -> Specimen:
        """The same, without pixels where the content came before; to be called in order."""
        if self._repeat or one.pixels is None or one.sha256 is None:
            return one
        if (key := _key(one.sha256)) in self._places:
            return replace(one, pixels=None, repeats=True)
        if len(self._places) < REMEMBERED:
            self._places[key] = (0, 0)  # until it is written
        return one

    def add(
        self, one: Examined[Specimen], model: Model
    ) -> tuple[Examined[Specimen], dict[str, Any]]:
        """Writes the row of an image; the image, as its row says, and its record."""
        if one.picture.repeats:
            record = {**self._earlier(one.picture.sha256), "path": str(one.picture.path)}
            one = replace(one, row=_row_of(record, one.row))
        else:
            record = examination.record(one, model)
        line = json_line(record)
        self._file.write(line)
        self._counted(record, len(line))
        return one, record

    def _earlier(self, sha256: str | None) -> dict[str, Any]:
        offset, length = self._places[_key(sha256)]
        self._file.flush()
        return json.loads(os.pread(self._file.fileno(), length, offset))

    def _counted(self, record: dict[str, Any], length: int) -> None:
        sha256 = record["sha256"]
        if sha256 and self._places.get(_key(sha256)) == (0, 0):
            self._places[_key(sha256)] = self._end, length
        self._end += length
        self.number += 1

    def write(self, line: bytes) -> None:
        """Adds a line that is of no image."""
        self._file.write(line)

    def end_part(self) -> None:
        """Says that one can go on from here."""
        if self._parts:
            self._file.flush()
            self._parts.write(b"%d\n" % self._end)
            self._parts.flush()

    def continued(self, named: Iterator[Input]) -> Iterator[dict[str, Any]]:
        """Yields what is there from an earlier process, as far as one can go on from it.

        named: the inputs, of which as many are taken as there are rows. What is behind them is cut
        off: a torn line, rows of a part that was not finished.
        """
        assert self._parts
        self._parts.seek(0)
        ends = [int(x) for x in self._parts.read().split(b"\n")[:-1] if x.isdigit()]
        size = os.fstat(self._file.fileno()).st_size
        last = max((end for end in ends if end <= size), default=0)
        self._file.seek(0)
        while self._end < last:
            record = json.loads(line := self._file.readline())
            if record["path"] != next(named).name:
                raise ValueError(f"row {self.number} is of {record['path']}")
            if record["error"] is None and not self._repeat and len(self._places) < REMEMBERED:
                self._places.setdefault(_key(record["sha256"]), (0, 0))
            self._counted(record, len(line))
            yield record
        self._file.truncate(last)
        self._file.seek(last)
        self._parts.truncate(0)
        self._parts.seek(0)
        self.end_part()


def _key(sha256: str | None) -> bytes:
    return bytes.fromhex(sha256 or "")[:16]


def _row_of(record: dict[str, Any], row: Attribution) -> Attribution:
    """What a record says, as far as it is said of the image in a line."""
    return replace(
        row, predicted=record["verdict"], probabilities=record["probabilities"],
        reason=record["reason"], error=None, score=record["score"],
        log10_lr=record.get("log10_lr"), log10_outside=record.get("log10_outside"),
    )  # fmt: skip


def examined(
    model: Model, places: Iterable[Input], rows: Rows | None, thumbnails: int = 0
) -> Examinations:
    """Examines images, in order: the one way, whoever asks. Yields each with its record.

    rows: where they are written first.
    """
    how = (x.place for x in places), thumbnails, rows.once if rows else None
    with closing(examination.examine_parts(model, *how)) as parts:
        for part in parts:
            for one in part:
                yield rows.add(one, model) if rows else (one, examination.record(one, model))
            if rows:
                rows.end_part()


def earlier(rows: Rows, named: Iterator[Input], out: str) -> Iterator[dict[str, Any]]:
    """As `Rows.continued`; UserError where the rows are not as they were written."""
    try:
        yield from rows.continued(named)
    except (ValueError, LookupError, TypeError, StopIteration, RuntimeError):
        raise UserError(
            f"--resume {out}: the rows that were left of it are damaged; give --overwrite "
            "instead, to begin again"
        ) from None


@contextmanager
def planned(arguments: argparse.Namespace, model: Path) -> Iterator[Plan]:
    """The inputs of a run without shards, in a folder that goes when the run ends well.

    With --out it stays after an interruption, if there are rows in it to go on from.

    Raises:
        UserError: it stayed and nothing is said of it; it is of another run; see `inputs.listed`.
    """
    if not arguments.out:
        with tempfile.TemporaryDirectory() as temporary:
            yield plan.made(Path(temporary), arguments, plan.settings(arguments, model), 1)
        return
    folder = unfinished(arguments.out)
    disk.make_folder(folder.parent)
    if not (held := disk.claim(folder)):
        raise UserError(program.BEING_WRITTEN.format(arguments.out))
    with held:
        try:
            yield _begun_or_new(folder, arguments, model)
        except BaseException:
            if begun(folder):
                print(f"the rows until then are kept: {RESUME}", file=sys.stderr)
            else:
                disk.remove(folder)
            raise


def _begun_or_new(folder: Path, arguments: argparse.Namespace, model: Path) -> Plan:
    if begun(folder) and arguments.resume:
        return plan.opened(folder, arguments, model, None)
    if begun(folder) and not arguments.overwrite:
        raise UserError(
            f"--out {arguments.out}: a run that was killed left rows: {RESUME}; or add "
            "--overwrite to begin again"
        )
    for path in folder.iterdir():
        if path.name != disk.LOCK:
            disk.remove(path)
    return plan.made(folder, arguments, plan.settings(arguments, model), 1)


def unfinished(out: str | Path) -> Path:
    """The hidden folder in which the rows of a file are until all are there."""
    path = Path(out).absolute()
    return path.with_name(f".{path.name}.unfinished")


def begun(folder: Path) -> int:
    """How many bytes of rows there are to go on from."""
    with suppress(OSError):
        ends = (folder / PARTS).read_bytes().split(b"\n")[:-1]
        return max((int(x) for x in ends if x.isdigit()), default=0)
    return 0


@contextmanager
def kept(folder: Path, path: str | None, repeat: bool) -> Iterator[Rows | None]:
    """Rows in a folder, which become a file when all is well, and else stay to be continued.

    None where no file was asked for.
    """
    if path is None:
        yield None
        return
    out = Path(path).absolute()
    with (
        program.full_disk(out, folder / ROWS),
        (folder / ROWS).open("a+b") as file,
        (folder / PARTS).open("a+b") as parts,
    ):
        yield Rows(file, parts, repeat)
    disk.sync(folder / ROWS)
    os.replace(folder / ROWS, out)
    disk.sync(out.parent)
    disk.remove(folder)
