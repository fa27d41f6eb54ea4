"""`gan-fingerprints case`: compares the log of a case and the files it names with their hashes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gan_fingerprints import disk, program, typed
from gan_fingerprints.examiner.case import LOG, Case, Entry
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown

DIFFERENCES = 3  # exit status

DESCRIPTION = f"""\
Checks the log that attribute --case DIR writes.

  gan-fingerprints case verify DIR

Names the first line of DIR/{LOG} that was changed, removed or inserted. Of every model, image,
result and report that the lines before it name, says whether it is missing or was changed.

exit status: 0 all is as it was, {DIFFERENCES} differences were found, 2 bad input"""
OPTIONS = {
    "app": option(typed.one_of("verify"), REQUIRED, "compare the log and the files with hashes"),
    "case": option(typed.folder, REQUIRED, "the folder that attribute --case named"),
}


def main(arguments: argparse.Namespace) -> int:
    """Prints what is not as it was; returns the exit status."""
    folder = program.existing_folder(arguments.case, "DIR")
    case = Case.read(folder)
    fault = case.fault()
    if not case.lines and not fault:
        raise UserError(f"DIR {folder}: found no {LOG}, expected a folder that --case named")
    whole = [x for x in case.entries[: fault.line - 1 if fault else None] if x]
    number, differences = file_faults(whole)
    if fault:
        differences.insert(0, f"line {fault.line} {fault.what}")
    print(shown(f"log: {folder / LOG}, {counted(len(case.lines), 'line')}"))
    of = "its lines" if not fault else "the lines before that"
    print(f"compared: {counted(number, 'file')} that {of} name")
    for difference in differences:
        print(shown(difference))
    if differences:
        return DIFFERENCES
    last = whole[-1]
    print("nothing was changed, removed or inserted; whoever makes all lines anew changes the last")
    print(f"hash, so compare it with what the run printed: {last.sha256} ({last.values['time']})")
    return 0


def counted(number: int, what: str) -> str:
    """A number of things: 1 line, 2 lines."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def file_faults(entries: Sequence[Entry]) -> tuple[int, list[str]]:
    """How many files the lines name, and those that are not as they were, each in a sentence.

    A result that a later run replaced, as its line says, is no fault.
    """
    named: dict[tuple[str, str], tuple[str, int]] = {}  # (path, hash) → kind and first line
    last: dict[str, str] = {}  # output → hash
    for entry in entries:
        folder, number = entry.values["folder"], entry.values["line"]
        for kind, file in _files(entry.values):
            path = os.path.join(folder, file["path"])
            if kind == "output":
                last[os.path.normpath(path)] = file["sha256"]
            if file["sha256"] is not None:
                named.setdefault((path, file["sha256"]), (kind, number))
    found = []
    digest = cache(_digest)
    for (path, sha256), (kind, number) in named.items():
        now = digest(path)
        replaced = kind == "output" and last[os.path.normpath(path)] != sha256
        if now != sha256 and not replaced:
            how = f"changed: its SHA-256 is {now}, was {sha256}" if len(now) == 64 else now
            found.append(f"{kind} {path} of line {number}: {how}")
    return len({path for path, _ in named}), found


def _files(values: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "model", values["model"]
    yield from (("input", file) for file in values["inputs"])
    yield from (("output", file) for file in values["outputs"])


def _digest(path: str) -> str:
    """The SHA-256 of a file, or why there is none."""
    file = Path(path)
    if not file.is_file():  # also what one could wait for without end
        return "missing" if not file.exists() else "no longer a file"
    try:
        return disk.digest(file)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
