"""What outputs that appear whole are made of: locks, leftovers, and files that are on the disk.

A file whose writing has ended is, until it is synchronized, in memory only: a power cut leaves an
empty one, also under its final name.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

PARTIAL = ".gan-fingerprints-partial-"
"""How the hidden folders begin in which outputs are while they are written."""
OLD_PARTIAL = re.compile(r"\..+\.partial-(\d+)", re.DOTALL)  # of output and process
OLD_SECONDS = 24 * 3600
LOCK = ".lock"  # in such a folder; while a process holds it, no other removes the folder
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FEW = 32  # files; more are on the disk sooner by one call (5,000 in 0.3 s, one by one in 21)


def in_partial(path: Path) -> bool:
    """Whether a path is in an output that is being written."""
    return any(part.startswith(PARTIAL) for part in path.parts)


def lock(file: Path, wait: bool = False) -> IO[str] | None:
    """A lock that the system lifts when this process ends, however it ends; None if not free.

    wait: until it is free; None then if the file was removed meanwhile.
    """
    with suppress(BlockingIOError, FileNotFoundError), ExitStack() as stack:
        held = stack.enter_context(file.open("a"))
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(held.fileno()), file.stat()):  # it was not just removed
            stack.pop_all()
            return held
    return None


def claim(folder: Path) -> IO[str] | None:
    """Makes a folder for what is being written; its lock, or None if another process has it."""
    for _ in range(5):
        folder.mkdir(exist_ok=True)
        if held := lock(folder / LOCK):
            return held
        time.sleep(0.01)  # one that sweeps may have had it for a moment
    return None


def sweep(folder: Path) -> None:
    """Removes from a folder what killed processes left half-written there."""
    for partial in folder.glob(".*partial-*"):
        with suppress(OSError):
            if not partial.name.startswith(PARTIAL):
                if _is_old_leftover(partial):
                    remove(partial)
            elif held := lock(partial / LOCK):
                with held:
                    remove(partial)


def _is_old_leftover(path: Path) -> bool:
    """Whether earlier versions left this: they locked nothing, but named their process.

    It may be one of another machine's, which writes to the same disk: then it changed of late.
    """
    found = OLD_PARTIAL.fullmatch(path.name)
    if not found or _is_running(int(found[1])):
        return False
    newest = max(x.lstat().st_mtime for x in (path, *path.rglob("*")))
    return time.time() - newest > OLD_SECONDS


def _is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


sweep_once = cache(sweep)  # for folders that may get very many files


def remove(path: Path) -> None:
    """Removes a file or folder, if it is there and can be removed."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink()


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, so that a power cut does not take them away again."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Waits until a file, or the list of files in a folder, is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_all(path: Path) -> None:
    """Waits until a file, or a folder with all that is in it, is on the disk."""
    paths = [*(x for x in path.rglob("*") if not x.is_symlink()), path]
    libc = ctypes.CDLL(None, use_errno=True)
    if len(paths) <= FEW or not hasattr(libc, "syncfs"):
        for each in paths:
            sync(each)
        return
    number = os.open(path, os.O_RDONLY)
    failed = libc.syncfs(number)
    os.close(number)
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def is_full(error: Exception) -> bool:
    """Whether an exception says that there is no room on the disk."""
    # Not by number: TensorFlow, HDF5 and safetensors have exceptions of their own.
    return any(os.strerror(code) in str(error) for code in NO_ROOM)


def size(path: Path) -> int:
    """Bytes in a file, or in all files of a folder."""
    return sum(x.stat().st_size for x in (path, *path.rglob("*")) if x.is_file())


def digest(file: Path, kind: Any = "sha256") -> str:
    """Checksum of a file, hexadecimal; kind: a name or function as of hashlib."""
    # Not by mapped memory: there, a bad sector is no error but the end of the process.
    with file.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest()
