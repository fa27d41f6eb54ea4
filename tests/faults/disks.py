"""Disks of their own for the tests: one whose power can be cut, and one that is full."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


class Disk:
    """An ext4 file system in a file, mounted at `place`.

    What the kernel has not yet written to it is not in the file: a copy of that is what a power
    cut leaves.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder, self.image, self.place = folder, folder / "disk", folder / "mounted"
        with self.image.open("wb") as file:
            file.truncate(megabytes * 2**20)
        _run("mkfs.ext4", "-q", "-F", self.image)
        self.place.mkdir()
        _run("mount", "-o", "loop", self.image, self.place)

    @contextmanager
    def cut(self) -> Iterator[Path]:
        """What would be on the disk if the power failed now, mounted; the disk itself goes on."""
        image, place = self.folder / "cut", self.folder / "after"
        shutil.copyfile(self.image, image)
        while not filecmp.cmp(self.image, image, shallow=False):  # it is to be of one moment
            shutil.copyfile(self.image, image)
        place.mkdir()
        try:
            _run("mount", "-o", "loop", image, place)  # which replays the journal
            yield place
        finally:
            _run("umount", place)
            place.rmdir()
            image.unlink()

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            _run("umount", "--lazy", self.place)  # a program that a failed test left may use it


@contextmanager
def disk(folder: Path, megabytes: int = 64) -> Iterator[Disk]:
    """A disk whose power can be cut; skips the test where none can be mounted."""
    try:
        made = Disk(folder, megabytes)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"power cuts need root, mkfs.ext4 and loop devices ({error})")
    try:
        yield made
    finally:
        made.close()


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """A disk in memory that is soon full; skips the test where none can be mounted."""
    place.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"full disks need root and tmpfs ({error})")
    try:
        yield place
    finally:
        _run("umount", "--lazy", place)


def enlarge(place: Path, kilobytes: int) -> None:
    """Makes room on a `small_disk`."""
    _run("mount", "-o", f"remount,size={kilobytes}k", place)
