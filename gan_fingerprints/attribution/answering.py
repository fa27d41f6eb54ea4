"""Images read ahead in batches, what is answered to those that can be used, and all in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from gan_fingerprints import images, limits, workers
from gan_fingerprints.attribution.finding import One

MAX_BYTES = 2**30
READ_AHEAD, LEAST_AHEAD = 3, 4  # batches, and items
Seeing = Callable[[Image.Image], np.ndarray]
"""What a network sees of an RGB image: uint8 [views, S, S, 3]; `seeing` has two ways."""

Change = Callable[[np.ndarray, Path], np.ndarray]
"""What may happen to an image after reading: uint8 [H, W, 3] and its file → uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Picture:
    """An image as a network is shown it, or why it cannot be.

    Attributes:
        path: its file; None where it came from memory.
        pixels: uint8 [views, S, S, 3], what the network sees of it, see `seeing`; None where there
            is an error.
        size: width and height before that, upright.
        error: the reason why it cannot be used, or None.
    """

    path: Path | None
    pixels: np.ndarray | None = None
    size: tuple[int, int] = (0, 0)
    error: str | None = None


Item = TypeVar("Item")
Read = TypeVar("Read", bound=Picture)
Answer = TypeVar("Answer")


def answered(
    read: Callable[[Item], Read],
    items: Iterable[Item],
    answer: Callable[[Sequence[np.ndarray]], Iterable[Answer]],
    batch: int,
) -> Generator[tuple[Read, Answer | None], None, None]:
    """Yields what is read of each item, in order, with its answer: None for an error.

    Args:
        read: called in threads.
        answer: the pixels of one to `batch` items → an answer to each, in order.
        batch: items at once.
    """
    # Threads decode the next batches while the network computes, so that neither waits; a few
    # batches and no more, as there may be any number of items.
    with closing(_ahead(read, items, max(LEAST_AHEAD, READ_AHEAD * batch))) as pictures:
        while part := list(islice(pictures, batch)):
            usable = [one.pixels for one in part if one.pixels is not None]
            answers = iter(answer(usable) if usable else ())
            for one in part:
                yield one, None if one.pixels is None else next(answers)


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


def content_of(path: Path) -> bytes | str:
    """The bytes of a file, or why it cannot be an image."""
    # Of the open file, not of its name: it could be another one by the time it is read.
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                return f"larger than {MAX_BYTES:,} bytes"
            limits.announce(0, apart=size > limits.MANY_BYTES)
            return file.read()
    except OSError as error:
        what = "a folder that cannot be listed" if os.path.isdir(path) else "cannot be read"
        return f"{what} ({error.strerror})"


def reason_of(error: images.ImageError, path: Path | None) -> str:
    """What an error says, without the file's name before it and the advice behind it."""
    return str(error).removeprefix(f"{path or 'image'}: ").partition(";")[0]
