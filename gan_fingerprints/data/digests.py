"""BLAKE3 of files, computed once: remembered for as long as a file stays as it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from gan_fingerprints.data import layout
from gan_fingerprints.program import UserError

AT_ONCE = 2**22  # bytes
SETTLED = 2 * 10**9  # ns; a file that changed later than so long ago may change again unnoticed


def of_files(descriptors: Mapping[Path, int]) -> dict[str, str]:
    """File name → hexadecimal digest of open files; shows a bar where that takes over a second.

    Raises:
        UserError: a file cannot be read.
    """
    from tqdm import tqdm  # here, as the workers of the preparation import this module but not that

    found = {path.name: remembered(file) for path, file in descriptors.items()}
    new = {path: file for path, file in descriptors.items() if not found[path.name]}
    size = sum(os.fstat(file).st_size for file in new.values())
    with tqdm(
        total=size, unit="B", unit_scale=True, desc="verifying", delay=1, leave=False,
        dynamic_ncols=True,
    ) as bar:  # fmt: skip
        for path, file in new.items():
            try:
                found[path.name] = _computed(file, bar.update)
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error}); {layout.ADVICE}") from None
    return found


def _computed(file: int, progress: Callable[[int], object]) -> str:
    """The digest, remembered unless the file changed just now or meanwhile."""
    began, before = time.time_ns(), _identity(file)
    # Not a memory map: a file that is cut off meanwhile would end the process.
    content, digest, done = memoryview(bytearray(AT_ONCE)), blake3(max_threads=blake3.AUTO), 0
    while size := os.preadv(file, [content], done):
        digest.update(content[:size])
        done += size
        progress(size)
    if _identity(file) == before and began - max(before[-2:]) > SETTLED:
        _remember(file, digest.hexdigest())
    return digest.hexdigest()


def remembered(file: int) -> str:
    """The digest of an open file, or nothing when it is not known or the file has changed since."""
    with suppress(OSError, ValueError):
        digest, seal = _place(file).read_text(encoding="ascii").split()
        if seal == _seal(file, digest):
            return digest
    return ""


def _remember(file: int, digest: str) -> None:
    with suppress(OSError, ValueError):  # then it is computed again
        place = _place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{digest} {_seal(file, digest)}\n", encoding="ascii")


def _place(file: int) -> Path:
    """Where the digest is remembered: not in the data set's folder, which came from elsewhere."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    if not cache.is_absolute():
        raise ValueError(f"{cache}: expected an absolute path")
    state = os.fstat(file)
    return cache / "gan_fingerprints" / "digests" / f"{state.st_dev:x}-{state.st_ino:x}"


def _identity(file: int) -> tuple[int, ...]:
    """What changes with the content; no program can set the time of the last change of state."""
    state = os.fstat(file)
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _seal(file: int, digest: str) -> str:
    """Ties a digest to the file, and shows that both were written to the end."""
    return blake3(f"{digest} {_identity(file)}".encode()).hexdigest()
