"""What there is to examine, listed on the disk: there may be more paths than memory."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, NamedTuple

from gan_fingerprints import program
from gan_fingerprints.attribution.finding import found
from gan_fingerprints.data.places import TAR, Member, Place, at_url, ending, in_tar, is_url
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import shown

STANDARD_INPUT = "-"
BUFFERED = 2**24  # bytes that wait for their lists, of which there may be more than open files


class Input(NamedTuple):
    """An image in a list.

    Attributes:
        name: as its row calls it.
        size: in bytes; None where that is not known without reading it.
        file, start, fault: of a `Member`; no file where it is a file of its own.
    """

    name: str
    size: int | None
    file: str | None = None
    start: int | None = None
    fault: str = ""

    @classmethod
    def of(cls, place: Place) -> Input:
        """That of a place."""
        if isinstance(place, Member):
            return cls(place.full, place.size, place.file, place.start, place.fault)
        try:
            return cls(str(place), place.stat().st_size)
        except OSError:  # its row will say so
            return cls(str(place), None)

    @property
    def place(self) -> Place:
        """Where it is read from."""
        if self.file is None:
            return Path(self.name)
        return Member(self.name, self.file, self.start, self.size, self.fault)

    @property
    def key(self) -> bytes:
        """Short, and the same for the same file however it is named."""
        name = self.name if self.file else os.path.abspath(self.name)
        return blake2b(os.fsencode(name), digest_size=16).digest()

    def shard(self, number: int) -> int:
        """Its place in one of so many shards."""
        digest = blake2b(os.fsencode(self.name), digest_size=8).digest()
        return int.from_bytes(digest, "big") % number

    def line(self) -> bytes:
        """Its line in a list: what is not said is left out."""
        values = list(self)
        while not values[-1] and len(values) > 2:
            values.pop()
        return json.dumps(values).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Input:
        """What `line` made."""
        return cls(*json.loads(line))


def listed(paths: Iterable[str], paths_from: str | None, left_out: Counter[str]) -> Iterator[Input]:
    """What the command line and --paths_from name, one by one; counts what is left out.

    A path in a list that leads nowhere becomes a row with the reason, as the list may be long.

    Raises:
        UserError: a path of the command line leads nowhere, or to a folder without images.
    """
    for path in paths:
        yield from map(Input.of, _places(path, left_out))
    for path in _lines(paths_from) if paths_from else ():
        if is_url(path) or os.path.isdir(path) or ending(path) == TAR:
            yield from map(Input.of, _places(path, left_out))
        else:
            yield Input.of(Path(path))


def _places(path: str, left_out: Counter[str]) -> Iterator[Place]:
    if is_url(path):
        return at_url(path, left_out)
    if ending(path) == TAR and os.path.isfile(path):
        return in_tar(path, left_out)
    return found(Path(path), "PATH", left_out)


def _lines(file: str) -> Iterator[str]:
    with _opened(file) as lines:
        for line in lines:
            if path := line.rstrip(b"\r\n"):
                yield os.fsdecode(path)


def _opened(file: str) -> IO[bytes]:
    if file == STANDARD_INPUT:
        return sys.stdin.buffer
    try:
        return open(program.existing_file(file, "--paths_from"), "rb")
    except OSError as error:
        raise UserError(f"--paths_from {file}: cannot be read ({error.strerror})") from None


class Lists:
    """Writes inputs into the lists of shards, each input once.

    Attributes:
        numbers: how many there are in each list.
        size: bytes of all together, where they are known.
        widest: characters of the longest name.
    """

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._waiting: list[list[bytes]] = [[] for _ in files]
        self._buffered = 0
        self.numbers = [0] * len(files)
        self.size = self.widest = 0

    def add(self, one: Input) -> None:
        """Puts an input into its list."""
        line = one.line()
        self._waiting[one.shard(len(self._files)) if len(self._files) > 1 else 0].append(line)
        self._buffered += len(line)
        if self._buffered > BUFFERED:
            self._write()

    def _write(self) -> None:
        for file, lines in zip(self._files, self._waiting, strict=True):
            with file.open("ab") as open_file:
                open_file.writelines(lines)
            lines.clear()
        self._buffered = 0

    def end(self) -> None:
        """Writes what is left, and takes out what comes twice: a list at a time is in memory."""
        self._write()
        for i, file in enumerate(self._files):
            once = file.with_suffix(".once")
            seen: set[bytes] = set()
            with once.open("wb") as kept:
                for one in read(file):
                    if (key := one.key) not in seen:
                        seen.add(key)
                        kept.write(one.line())
                        self.size += one.size or 0
                        self.widest = max(self.widest, len(shown(one.name)))
            self.numbers[i] = len(seen)
            os.replace(once, file)


def read(file: Path) -> Iterator[Input]:
    """The inputs of a list, one by one."""
    with file.open("rb") as lines:
        yield from map(Input.of_line, lines)


@contextmanager
def lists(files: list[Path]) -> Iterator[Lists]:
    """What writes lists, which are complete at the end."""
    made = Lists(files)
    yield made
    made.end()
