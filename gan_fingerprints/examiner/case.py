"""The log of a case: a line for each run of `attribute`, each with the hash of the line before.

Whoever changes, removes or inserts a line would have to make all later ones anew, and then the
last hash is not the one that the run printed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from gan_fingerprints import disk, program
from gan_fingerprints.examiner.examination import PROGRAM, json_line
from gan_fingerprints.program import UserError
from gan_fingerprints.version import versions

LOG, END, LOCK = "case.jsonl", "case.end.json", ".case.lock"
FIRST = hashlib.sha256(b"gan-fingerprints: before the first line of a case").hexdigest()
SEAL = b', "sha256": "'  # of a line's own hash, which is the last thing in it


class Entry(NamedTuple):
    """A line that is as it was written.

    Attributes:
        sha256: of the line without its own hash.
        values: what is in it, with `line`, its number from 1 on, and `previous`, the hash of the
            line before.
    """

    sha256: str
    values: dict[str, Any]


class End(NamedTuple):
    """How many lines there are, and the hash of the last."""

    lines: int
    sha256: str


class Fault(NamedTuple):
    """The first line, from 1 on, that is not as it was written, and what happened to it."""

    line: int
    what: str


class Case(NamedTuple):
    """A log as it was found.

    Attributes:
        lines: as bytes, without line ends.
        entries: of each line; None where it is not as it was written.
        ends: what the log may end with; two where a power cut came between two writings.
    """

    lines: list[bytes]
    entries: list[Entry | None]
    ends: list[End]

    @classmethod
    def read(cls, folder: Path) -> Case:
        """That of a folder; UserError where a file of it cannot be read."""
        try:
            log, end = (
                path.read_bytes() if path.exists() else b"" for path in (folder / LOG, folder / END)
            )
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from None
        *lines, rest = log.split(b"\n")
        entries = list(map(entry_of, lines))
        if rest:  # without its line end, a next line would become part of it
            lines, entries = [*lines, rest], [*entries, None]
        return cls(lines, entries, ends_of(end))

    @property
    def last(self) -> End:
        """What it ends with."""
        entry = self.entries[-1] if self.entries else None
        return End(len(self.lines), entry.sha256 if entry else FIRST)

    def fault(self) -> Fault | None:
        """The first line that was changed, removed or inserted, if there is one."""
        for i, entry in enumerate(self.entries):
            before = self._hash_before(i)
            if entry is None:
                if self._follows(before, i + 1):
                    return Fault(i + 1, "was inserted")
                return Fault(i + 1, "was changed, or cut short")
            if entry.values["previous"] != before:
                return self._misplaced(i, entry, before)
        return self._fault_at_end()

    def _hash_before(self, i: int) -> str:
        """That which line `i`, from 0 on, must name; the lines before it are as they were."""
        entry = self.entries[i - 1] if i else None
        return entry.sha256 if entry else FIRST

    def _follows(self, before: str, i: int) -> bool:
        """Whether line `i`, or the end, was written right behind the line of that hash."""
        if i == len(self.entries):
            return any(end.sha256 == before for end in self.ends)
        entry = self.entries[i]
        return entry is not None and entry.values["previous"] == before

    def _misplaced(self, i: int, entry: Entry, before: str) -> Fault:
        """What happened where line `i` does not follow the one before it."""
        if self._follows(before, i + 1):
            return Fault(i + 1, "was inserted")
        for earlier in range(i):  # lines that fit the chain stand before the line that followed
            if self._hash_before(earlier) == entry.values["previous"]:
                return Fault(earlier + 1, "was inserted")
        if entry.values["line"] == i + 1:
            return Fault(max(i, 1), "was changed, and its own hash with it")
        return Fault(i + 1, f"was removed: line {entry.values['line']} stands in its place")

    def _fault_at_end(self) -> Fault | None:
        number = self.last.lines
        if not self.ends and number:
            lost = f"{END}, which says so, is missing or damaged"
            return Fault(number, f"may not be the last that was written: {lost}")
        if not self.ends or self.last in self.ends:
            return None
        for i in range(number):
            if self._follows(self._hash_before(i), number):
                return Fault(i + 1, "was inserted")
        ended = max(end.lines for end in self.ends)
        if ended > number:
            return Fault(number + 1, f"was removed: the log had {ended} lines")
        return Fault(number, "was changed, and its own hash with it")


def entry_of(line: bytes) -> Entry | None:
    """What a line says, or None where its own hash does not fit it."""
    body, _, digest = line.rpartition(SEAL)
    found = hashlib.sha256(body + b"}").hexdigest()
    if digest != f'{found}"}}'.encode():
        return None
    try:
        values = json.loads(body + b"}")
    except (ValueError, RecursionError):
        return None
    match values:  # a line may be somebody's own, with a hash that fits
        case {
            "line": int(), "previous": str(), "time": str(), "folder": str(), "model": model,
            "inputs": [*inputs], "outputs": [*outputs],
        } if all(map(_is_file, [model, *inputs, *outputs])):  # fmt: skip
            return Entry(found, values)
    return None


def _is_file(values: object) -> bool:
    match values:
        case {"path": str(), "sha256": str() | None}:
            return True
    return False


def ends_of(content: bytes) -> list[End]:
    """What the log may end with; nothing where that is not known."""
    try:
        ends = json.loads(content)
    except (ValueError, RecursionError):
        return []
    match ends:
        case [*_] if all(type(n) is int and isinstance(sha, str) for n, sha in _pairs(ends)):
            return [End(n, sha) for n, sha in _pairs(ends)]
    return []


def _pairs(ends: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for end in ends:
        match end:
            case {"lines": lines, "sha256": sha256}:
                yield lines, sha256


def file_of(path: str | Path, sha256: str | None = "") -> dict[str, Any]:
    """What a line says of a file; its SHA-256 is made of the file unless it is given."""
    return {"path": str(path), "sha256": disk.digest(Path(path)) if sha256 == "" else sha256}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Waits until no other process writes in a case, and keeps others out."""
    held = None
    while held is None:
        held = disk.lock(folder / LOCK, wait=True)
    with held:
        yield


def opened(folder: Path) -> Case:
    """The log of a folder, which may be empty.

    Raises:
        UserError: it is not as it was written.
    """
    case = Case.read(folder)
    if fault := case.fault():
        raise UserError(
            f"--case {folder}: line {fault.line} of {LOG} {fault.what}; nothing is added to a log "
            "that is not as it was written: keep it as it is, and name a new folder"
        )
    return case


def check(path: str) -> None:
    """UserError unless a line can be added to the case of a folder, which need not exist."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--case {folder}: found a file, expected a folder, or a new name")
    program.check_writable(folder / LOG, "--case")
    if folder.exists():
        with locked(folder):
            opened(folder)


def append(path: str, values: Mapping[str, Any]) -> End:
    """Adds a line on a run to the case of a folder; what the log then ends with.

    values: `command`, `status`, `model`, `inputs` and `outputs` of the run, files by `file_of`.

    Raises:
        UserError: what is there is not as it was written; the disk is full.
    """
    folder = Path(path)
    disk.make_folder(folder)
    with locked(folder):
        case = opened(folder)
        number = len(case.lines) + 1
        body = json_line({
            "line": number, "previous": case.last.sha256,
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "program": PROGRAM, "versions": versions(), "folder": os.getcwd(), **values,
        }).rstrip(b"\n")  # fmt: skip
        end = End(number, hashlib.sha256(body).hexdigest())
        # Wherever a power cut comes, the log is whole, and ends as one of `ends` says.
        _write_ends(folder, case.last, end)
        with program.whole_file(folder / LOG) as partial:
            if case.lines:
                shutil.copy(folder / LOG, partial)
            with partial.open("ab") as file, program.full_disk(folder / LOG, len(body)):
                file.write(body[:-1] + SEAL + end.sha256.encode() + b'"}\n')
        _write_ends(folder, end)
    return end


def _write_ends(folder: Path, *ends: End) -> None:
    program.write_json(folder / END, [end._asdict() for end in ends])
