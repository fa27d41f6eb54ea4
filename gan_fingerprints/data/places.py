"""Where an image may lie beside a file of its own: in a tar, as WebDataset has them, or at a URL.

URLs are read by fsspec, which knows S3, Google's cloud and others by packages of their own; it is
imported when the first URL comes.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tarfile import ReadError, TarFile
from tarfile import open as open_tar
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from gan_fingerprints import formats
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import UserError

TAR = ".tar"
MAX_BYTES = 2**30  # of an image's file
SECONDS = 60.0  # for what comes from a URL


@dataclass(frozen=True)
class Member:
    """An image in a tar, at a URL, or in a row of a Parquet file, once its column is unpacked.

    Attributes:
        full: as it is called: `shard.tar/name.png`, the URL, or `file.parquet/00000012`.
        file: path or URL of what holds it.
        start, size: where in that its bytes are; None where they are all of it.
        fault: why it cannot be read; empty where it can be tried.
    """

    full: str
    file: str
    start: int | None = None
    size: int | None = None
    fault: str = ""

    def __str__(self) -> str:
        return self.full

    @property
    def name(self) -> str:
        return PurePosixPath(self.full).name

    @property
    def parent(self) -> Path:
        """The folder of a member: its tar, or the folder in it; of a URL, without a second "/"."""
        return Path(self.full).parent

    def content(self, most: int) -> bytes | str:
        """The bytes, at most so many; or why there are none."""
        if self.fault:
            return self.fault
        if self.size is not None and self.size > most:
            return f"larger than {most:,} bytes"
        if not is_url(self.file):
            return self._of_file()
        return within(SECONDS, lambda: self._of_url(most))

    def _of_file(self) -> bytes | str:
        try:
            with open(self.file, "rb", buffering=0) as file:
                found = os.pread(file.fileno(), self.size or 0, self.start or 0)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        return found if len(found) == self.size else f"{self.file} is cut short"

    def _of_url(self, most: int) -> bytes | str:
        system, path = filesystem(self.file)
        if self.start is not None and self.size is not None:
            return system.cat_file(path, start=self.start, end=self.start + self.size)
        with system.open(path, "rb") as file:
            found = file.read(most + 1)
        return found if len(found) <= most else f"larger than {most:,} bytes"


Place: TypeAlias = Path | Member
"""Where an image lies."""


def content_of(place: str | Path | Member) -> bytes | None:
    """The bytes of a member; None for a file of its own, which is read where it is decoded.

    Raises:
        ImageError: a member cannot be read.
    """
    if not isinstance(place, Member):
        return None
    found = place.content(MAX_BYTES)
    if isinstance(found, str):
        raise ImageError(f"{place}: {found}; replace or remove it")
    return found


def is_url(word: str) -> bool:
    """Whether a word is the address of something, not a path."""
    return "://" in word


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and what it calls the file.

    Raises:
        UserError: fsspec, or what it needs for such URLs, is not installed, or does not know them.
    """
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UserError(
            f"{url}: URLs need the package fsspec, and some of them another ({error}); "
            "pip install 'gan-fingerprints[bulk]'"
        ) from None
    except ValueError as error:  # of protocols that it does not know
        raise UserError(f"{url}: {error}; download the images and name their folder") from None


def within(seconds: float, read: Callable[[], bytes | str]) -> bytes | str:
    """What `read` returns, or why it does not."""
    answers: list[bytes | str] = []

    def work() -> None:
        try:
            answers.append(read())
        except Exception as error:  # each kind of file system has its own
            text = " ".join(str(error).split()) or type(error).__name__
            answers.append(f"cannot be read ({text})")

    # Not of a pool, which would be waited for at the end: what hangs is left to itself.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else f"takes more than {seconds:g} seconds to read"


def at_url(url: str, left_out: Counter[str]) -> Iterator[Member]:
    """The image or tar at a URL, or those in the folder there."""
    if ending(url) in (*formats.SUFFIXES, TAR):
        yield from _at_file(url, left_out)
        return
    system, path = filesystem(url)
    try:
        found = sorted(system.find(path)) if system.isdir(path) else None
    except Exception as error:  # each kind of file system has its own
        raise UserError(f"PATH {url}: cannot be listed ({error})") from None
    if found is None:
        yield Member(url, url)
        return
    for name in found:
        if PurePosixPath(name).name.startswith("."):
            left_out["hidden"] += 1
        elif ending(name) in (*formats.SUFFIXES, TAR):
            yield from _at_file(system.unstrip_protocol(name), left_out)
        else:
            left_out[ending(name) or "no ending"] += 1


def ending(url: str) -> str:
    """Of a URL's path, or a path: ".png"."""
    return PurePosixPath(urlsplit(url).path if is_url(url) else url).suffix.lower()


def _at_file(url: str, left_out: Counter[str]) -> Iterator[Member]:
    return in_tar(url, left_out) if ending(url) == TAR else iter([Member(url, url)])


def in_tar(file: str, left_out: Counter[str]) -> Iterator[Member]:
    """The images in a tar that is not compressed, in order; counts what is left out.

    What is damaged becomes a member with the reason.
    """
    try:
        with _opened(file) as tar:
            for entry in tar:
                tar.members = []  # type: ignore[attr-defined]  # which would grow
                if not entry.isfile() or PurePosixPath(entry.name).name.startswith("."):
                    left_out["hidden"] += entry.isfile()
                elif ending(entry.name) in formats.SUFFIXES:
                    place = entry.offset_data, entry.size
                    yield Member(f"{file}/{entry.name.removeprefix('./')}", file, *place)
                else:
                    left_out[ending(entry.name) or "no ending"] += 1
    except (OSError, ReadError, EOFError) as error:
        yield Member(file, file, fault=f"cannot be read as a tar ({error})")


def _opened(file: str) -> TarFile:
    if not is_url(file):
        return open_tar(file, "r:")
    system, path = filesystem(file)
    return open_tar(fileobj=system.open(path, "rb"), mode="r:")
