"""What is sent to the page: names that are only shown, and bytes into files of our own naming."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from starlette.requests import ClientDisconnect, Request

from gan_fingerprints import disk
from gan_fingerprints.page.refusing import Refused

LARGEST = 2**26  # bytes of a file
LARGEST_JSON = 2**20
LONGEST_NAME, LONGEST_FOLDER = 255, 1000
PATIENCE, SECONDS = 30.0, 600.0  # for the next bytes of a request, and for all of it


class PrivateFolder:
    """A folder that nobody else may look into, which is gone when this process is.

    Where the process was killed, the next that makes such a folder removes it.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._held: IO[str] | None = None
        self._numbers = itertools.count(1)

    @property
    def path(self) -> Path:
        """It is made when it is first needed."""
        while self._folder is None:
            disk.sweep(Path(tempfile.gettempdir()))
            folder = Path(tempfile.mkdtemp(prefix=disk.PARTIAL))
            self._held = disk.lock(folder / disk.LOCK)
            self._folder = folder if self._held else None
        return self._folder

    def new(self) -> Path:
        """A path in it that nothing has yet, named by a number."""
        return self.path / f"{next(self._numbers):08d}"

    def remove(self) -> None:
        """Removes it with all that is in it."""
        if self._folder:
            disk.remove(self._folder)
            self._folder = None
        if self._held:
            self._held.close()
            self._held = None


def name_of(request: Request) -> PurePosixPath:
    """How an image is called: its folder, if it has one, and name, which are only shown.

    Raises Refused: a name that is none, or leads elsewhere.
    """
    name = request.query_params.get("name", "")
    folder = request.query_params.get("folder", "")
    if not 0 < len(name) <= LONGEST_NAME or not _is_plain(name):
        raise Refused(
            400,
            f"the name {name[:100]!r} is no file's name: expected 1 to {LONGEST_NAME} characters "
            "without / and \\; folders go into folder=",
        )
    parts = folder.split("/") if folder else []
    if len(folder) > LONGEST_FOLDER or not all(map(_is_plain, parts)):
        raise Refused(
            400,
            f"the folder {folder[:100]!r} is none: expected names with / between them, without .. "
            "and not beginning with /",
        )
    return PurePosixPath(*parts, name)


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not any(x in name for x in "/\\\0")


async def received(
    request: Request, file: Path, largest: int = LARGEST, more: Callable[[int], Any] | None = None
) -> int:
    """Writes what a request sends into a new file; how many bytes there are.

    Nothing is left of what is refused. more: is told of bytes as they come, and may refuse them.

    Raises:
        Refused: too large, packed, too slow, or nothing at all.
    """
    number = 0
    try:
        with file.open("xb") as content:
            async for part in _parts(request, largest):
                number += len(part)
                if more:
                    more(len(part))
                content.write(part)
        if not number:
            raise Refused(400, "nothing was sent: send the bytes of one image as the body")
    except BaseException as error:
        with suppress(OSError):
            file.unlink()
        if isinstance(error, OSError) and disk.is_full(error):
            raise Refused(507, "the disk is full: make room, then send it again") from None
        raise
    return number


async def _parts(request: Request, largest: int) -> AsyncIterator[bytes]:
    """The body as it comes, as long as it is not too large and does come."""
    _require_plain(request, largest)
    number = 0
    parts = request.stream()
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                async with asyncio.timeout(PATIENCE):
                    part = await anext(parts, None)
                if part is None:
                    return
                number += len(part)
                if number > largest:
                    raise Refused(413, _too_large(largest))
                yield part
    except TimeoutError:
        raise Refused(408, "the request came too slowly: send it again") from None
    except ClientDisconnect:
        raise Refused(400, "the connection ended before the file did") from None


def _require_plain(request: Request, largest: int) -> None:
    """Refused where the head of a request says what its body may not be."""
    packed = request.headers.get("content-encoding", "identity")
    if packed != "identity":  # a megabyte could unpack to a terabyte
        raise Refused(415, f"the body is packed ({packed[:50]}): send the file as it is")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 15 or int(length) > largest:
        raise Refused(413, _too_large(largest))


def _too_large(largest: int) -> str:
    return f"larger than {largest:,} bytes, the most that is taken: send a smaller file"


async def asked(request: Request) -> dict[str, Any]:
    """The JSON object that a request sends."""
    content = b"".join([part async for part in _parts(request, LARGEST_JSON)])
    try:
        values = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Refused(400, "expected an object of JSON")
    return values
