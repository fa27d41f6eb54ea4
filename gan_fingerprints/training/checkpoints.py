"""Checkpoints of a run: its whole state, with checksums, so that a damaged one is not continued.

Each is a folder `ckpt-N`, of N images shown, that appears whole: TensorFlow's files, `notes.json`,
and `sums.json`, the BLAKE3 of these. Earlier versions wrote TensorFlow's files beside each other,
without sums. The file `checkpoint` names the newest for TensorFlow's own tools; nothing
here reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from blake3 import blake3

from gan_fingerprints import disk, program
from gan_fingerprints.program import UserError

KEPT = 2  # should the newest be damaged, there is one more
NAME = re.compile(r"ckpt-(\d+)(\.|$)")
UNREADABLE = (tf.errors.OpError, OSError, ValueError, LookupError, RuntimeError, AssertionError)


class Damaged(Exception):
    """Why a checkpoint cannot be continued from."""


class Checkpoints:
    """The checkpoints of a run.

    Args:
        folder: of all of them.
        state: name → variables: what a checkpoint consists of.
    """

    def __init__(self, folder: Path, state: Mapping[str, Sequence[tf.Variable]]) -> None:
        self._folder = folder
        self._state = tf.train.Checkpoint(**state)
        variables = [*(x for part in state.values() for x in part), self._state.save_counter]
        self._bytes = sum(x.shape.num_elements() * x.dtype.size for x in variables)
        self._good: list[int] = []

    def save(self, number: int, notes: Mapping[str, Any]) -> None:
        """Writes a checkpoint, then removes all but it and the last good one before.

        Raises:
            UserError: the disk is full.
        """
        place = self._folder / f"ckpt-{number}"
        disk.remove(place)  # a damaged one
        with program.whole_folder(place) as partial, program.full_disk(place, self._bytes):
            self._state.write(str(partial / "state"))
            program.write_json(partial / "notes.json", notes)
            sums = {file.name: disk.digest(file, blake3) for file in sorted(partial.iterdir())}
            program.write_json(partial / "sums.json", sums)
        with program.whole_file(self._folder / "checkpoint") as pointer:
            pointer.write_text(f'model_checkpoint_path: "{place.name}/state"\n')
        self._good = [*self._good, number][-KEPT:]
        for path in self._folder.glob("ckpt-*"):
            found = NAME.match(path.name)
            if not found or int(found[1]) not in self._good:
                disk.remove(path)

    def restore(self) -> tuple[int, dict[str, Any], list[str]] | None:
        """Fills the state from the newest intact checkpoint.

        Returns:
            its number, its notes, and a clause on each damaged one that is newer; None where there
            is no checkpoint at all.

        Raises:
            UserError: none is intact.
        """
        damaged: list[str] = []
        for number in reversed(numbers(self._folder)):
            try:
                notes = self._read(number)
            except Damaged as reason:
                damaged.append(f"checkpoint {number} is damaged ({reason})")
                continue
            self._good = [number]
            return number, notes, damaged
        if damaged:
            raise UserError(
                f"--resume: none of the checkpoints in {self._folder} is intact: "
                f"{'; '.join(damaged)}; put a copy of one there, or move the run's folder away to "
                "start from zero"
            )
        return None

    def _read(self, number: int) -> dict[str, Any]:
        """Fills the state from one checkpoint; its notes."""
        place = self._folder / f"ckpt-{number}"
        if place.is_dir():
            notes = verified(place)
            self._state.restore(str(place / "state")).assert_consumed()
            return notes
        try:
            self._state.restore(str(place)).assert_consumed()
        except UNREADABLE as error:
            raise Damaged(f"TensorFlow says: {str(error).partition(chr(10))[0]}") from None
        return {}


def numbers(folder: Path) -> list[int]:
    """Images shown at the checkpoints in a folder, damaged ones too, the newest last."""
    names = (NAME.match(path.name) for path in folder.glob("ckpt-*"))
    return sorted({int(name[1]) for name in names if name})


def newest(folder: Path) -> int | None:
    """The last of `numbers`; None where there is no checkpoint."""
    return max(numbers(folder), default=None)


def verified(place: Path) -> dict[str, Any]:
    """The notes of a checkpoint, after all of its files were compared with their sums.

    Raises:
        Damaged: a file is missing, unreadable or not as it was written.
    """
    try:
        sums = json.loads((place / "sums.json").read_bytes())
        for name in {"state.index", "notes.json", *sums}:
            if disk.digest(place / name, blake3) != sums.get(name):
                raise Damaged(f"{name} is not as it was written")
        return json.loads((place / "notes.json").read_bytes())
    except OSError as error:
        raise Damaged(f"{Path(error.filename or place).name}: {error.strerror}") from None
    except (ValueError, AttributeError, TypeError):
        raise Damaged("sums.json is not as it was written") from None
