"""Images read ahead in batches, what is answered to those that can be used, and all in order."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from gan_fingerprints import images, limits, workers
from gan_fingerprints.attribution.finding import One
from gan_fingerprints.data.places import MAX_BYTES, Member, Place

READ_AHEAD, LEAST_AHEAD = 3, 4  # batches, and items
Seeing = Callable[[Image.Image], np.ndarray]
"""What a network sees of an RGB image: uint8 [views, S, S, 3]; `seeing` has two ways."""

Change = Callable[[np.ndarray, Path], np.ndarray]
"""What may happen to an image after reading: uint8 [H, W, 3] and its file → uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Picture:
    """An image as a network is shown it, or why it cannot be.

    Attributes:
        path: its file, or where else it lies; None where it came from memory.
        pixels: uint8 [views, S, S, 3], what the network sees of it, see `seeing`; None where there
            is an error.
        size: width and height before that, upright.
        error: the reason why it cannot be used, or None.
    """

    path: Place | None
    pixels: np.ndarray | None = None
    size: tuple[int, int] = (0, 0)
    error: str | None = None


@dataclass(frozen=True)
class Hashed(Picture):
    """A picture, and the SHA-256 of the bytes that it was decoded from; None without any."""

    sha256: str | None = None


Item = TypeVar("Item")
Read = TypeVar("Read", bound=Picture)
Answer = TypeVar("Answer")


def answered(
    read: Callable[[Item], Read],
    items: Iterable[Item],
    answer: Callable[[Sequence[Read]], Iterable[Answer]],
    batch: int,
    widest: int | None = 1,
) -> Generator[tuple[Read, Answer | None], None, None]:
    """Yields what is read of each item, in order, with its answer: None for an error.

    See `in_parts`.
    """
    with closing(in_parts(read, items, answer, batch, widest)) as parts:
        for part in parts:
            yield from part


def in_parts(
    read: Callable[[Item], Read],
    items: Iterable[Item],
    answer: Callable[[Sequence[Read]], Iterable[Answer]],
    batch: int,
    widest: int | None = 1,
    once: Callable[[Read], Read] | None = None,
) -> Generator[list[tuple[Read, Answer | None]], None, None]:
    """As `answered`, in the parts that are asked together.

    What comes after a part does not depend on it: items from there on alone get the same answers.

    Args:
        read: called in threads.
        answer: what was read of one item or several, without error → an answer to each, in order.
        batch: views at once, of one item or several.
        widest: most views of an item; None where there may be any number.
        once: called in order with what was read, before it is asked about; may take its pixels
            away, for there to be no answer.
    """
    # Threads decode the next batches while the network computes, so that neither waits; a few
    # batches and no more, as there may be any number of items.
    ahead = max(LEAST_AHEAD, READ_AHEAD * batch // widest if widest else 0)
    with closing(_ahead(read, items, ahead)) as pictures:
        for part in filled(map(once, pictures) if once else pictures, _views, batch):
            usable = [one for one in part if one.pixels is not None]
            answers = iter(answer(usable) if usable else ())
            yield [(one, None if one.pixels is None else next(answers)) for one in part]


def _views(one: Picture) -> int:
    return 1 if one.pixels is None else len(one.pixels)


def filled(
    items: Iterable[Item], views: Callable[[Item], int], most: int
) -> Generator[list[Item], None, None]:
    """Yields the items in parts with at most so many views, or of one item with more."""
    part: list[Item] = []
    number = 0
    for one in items:
        if part and number + views(one) > most:
            yield part
            part, number = [], 0
        part.append(one)
        number += views(one)
        if number >= most:  # at once: the next item may be long in coming
            yield part
            part, number = [], 0
    if part:
        yield part


def _ahead(
    read: Callable[[Item], Read], items: Iterable[Item], most: int
) -> Generator[Read, None, None]:
    # Threads, not processes: decoders release Python's lock, and pixels need not be copied.
    pool = ThreadPoolExecutor(min(8, workers.cores()))
    pending: deque[Future[Read]] = deque()
    try:
        for item in items:
            if len(pending) >= most:
                yield pending.popleft().result()
            pending.append(pool.submit(read, item))
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def read(one: One, seeing: Seeing, change: Change | None = None) -> Picture:
    """Reads an image, which the `change` of files happens to, as a network sees it."""
    path = one if isinstance(one, Path) else None
    try:
        pixels, size = images.within_limits(path or "image", _seen, one, seeing, change)
    except images.ImageError as error:
        return Picture(path, error=reason_of(error, path))
    return Picture(path, pixels, size)


def read_hashed(path: Place, seeing: Seeing) -> Hashed:
    """As `read`, of a file that is read once: what is hashed is what is decoded."""
    try:
        return images.within_limits(path, _hashed, path, seeing)
    except images.ImageError as error:
        return Hashed(path, error=reason_of(error, path))


def _hashed(path: Place, seeing: Seeing) -> Hashed:
    content = content_of(path)
    if isinstance(content, str):
        return Hashed(path, error=content)
    image = images.open_image(str(path), content)
    return Hashed(path, seeing(image), image.size, None, hashlib.sha256(content).hexdigest())


def _seen(one: One, seeing: Seeing, change: Change | None) -> tuple[np.ndarray, tuple[int, int]]:
    """uint8 [views, S, S, 3], and the image's size; ImageError where there is none."""
    if isinstance(one, np.ndarray):
        image = Image.fromarray(one)
    elif isinstance(one, Image.Image):
        image = images.rgb(one)
    else:
        content = content_of(one)
        if isinstance(content, str):
            raise images.ImageError(content)
        image = images.open_image(one, content)
        if change:
            image = Image.fromarray(change(np.asarray(image), one))
    return seeing(image), image.size


def content_of(path: Place) -> bytes | str:
    """The bytes of a file, or why it cannot be an image."""
    if isinstance(path, Member):
        return path.content(MAX_BYTES)
    # Of the open file, not of its name: it could be another one by the time it is read.
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            state = os.fstat(file.fileno())
            size = state.st_size
            if not stat.S_ISREG(state.st_mode):
                return "no plain file"
            if size > MAX_BYTES:
                return f"larger than {MAX_BYTES:,} bytes"
            limits.announce(0, apart=size > limits.MANY_BYTES)
            return file.read()
    except OSError as error:
        what = "a folder that cannot be listed" if os.path.isdir(path) else "cannot be read"
        return f"{what} ({error.strerror})"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else for whoever might write into a pipe


def reason_of(error: images.ImageError, path: Place | None) -> str:
    """What an error says, without the file's name before it and the advice behind it."""
    return str(error).removeprefix(f"{path or 'image'}: ").partition(";")[0]
