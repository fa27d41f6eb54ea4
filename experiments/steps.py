"""Steps of the study: commands that are run when their result is missing or out of date.

A step is complete when its record says so, its command is the same, and neither its outputs nor
those of the steps that it reads have been touched since. A training that was killed is continued,
anything else that was cut short is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.progress import Progress, expected
from gan_fingerprints.program import UserError, check_writable, write_json

PROJECT = Path(__file__).resolve().parents[1]
OUT = "$OUT"  # stands for the output folder in commands, so that it may be moved
WAIT = 0.1  # seconds between looks at the running commands
ERROR_LINES = 12


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of its record and log; may hold slashes.
        command: script below the project, or -m and a module, and its arguments; `$OUT` is the
            output folder.
        outputs: what it makes, below the output folder.
        needs: names of the steps whose outputs it reads.
        resumes: it takes --resume and goes on where it was.
        inputs: checksums of what it reads that no step makes, by name.
    """

    name: str
    command: tuple[str, ...]
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    resumes: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> str:
        """The command as a user would type it in the project's folder."""
        return " ".join(["python3", *self.command])


class Folder:
    """The study's output folder, and what is complete in it.

    Args:
        path: of the folder.
        steps: all steps by name.
        places: what other words beside `$OUT` stand for in their commands.
    """

    def __init__(
        self, path: str | Path, steps: Mapping[str, Step], places: Mapping[str, str]
    ) -> None:
        self.path = Path(path).resolve()
        self.steps = steps
        self.places = {**places, OUT: str(self.path)}
        self._keys: dict[str, str] = {}

    def key(self, name: str) -> str:
        """SHA-256 of what decides the result: the command, and the keys of what it needs."""
        if name not in self._keys:
            step = self.steps[name]
            parts = [step.command, step.outputs, dict(step.inputs), [*map(self.key, step.needs)]]
            text = json.dumps(parts, sort_keys=True)
            self._keys[name] = hashlib.sha256(text.encode()).hexdigest()
        return self._keys[name]

    def place(self, word: str) -> Path:
        """Where a place is that a plan names: below `$OUT`."""
        return self.path / word.removeprefix(f"{OUT}/")

    def log_file(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def record(self, name: str) -> dict[str, Any]:
        """What was written when the step began or ended; empty where there is nothing."""
        try:
            return json.loads((self.path / "steps" / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}

    def incomplete(self, names: Iterable[str]) -> list[str]:
        """Those whose result is missing or out of date; names: in order, with all they need."""
        stale: list[str] = []
        for name in names:
            record = self.record(name)
            complete = (
                record.get("key") == self.key(name)
                and record.get("inputs") == self.inputs(name)
                and record.get("outputs") == self.outputs(name)
            )
            if not complete or set(stale).intersection(self.steps[name].needs):
                stale.append(name)
        return stale

    def inputs(self, name: str) -> dict[str, Any]:
        """What the records say of the outputs of each step that it needs."""
        return {needed: self.record(needed).get("outputs") for needed in self.steps[name].needs}

    def outputs(self, name: str) -> dict[str, str]:
        """A digest of names, sizes and times of each output."""
        return {output: _state(self.path / output) for output in self.steps[name].outputs}

    def command(self, step: Step, resume: bool) -> list[str]:
        """What is run."""
        arguments = list(step.command)
        for word, place in self.places.items():
            arguments = [argument.replace(word, place) for argument in arguments]
        return [sys.executable, *arguments, *(["--resume"] if resume else [])]

    def begin(self, name: str) -> bool:
        """Makes way for the outputs, unless a training goes on: whether it does."""
        step, record = self.steps[name], self.record(name)
        same = record.get("key") == self.key(name) and record.get("inputs") == self.inputs(name)
        resume = step.resumes and same and "outputs" not in record
        for output in step.outputs:
            if not resume:
                _remove(self.path / output)
            (self.path / output).parent.mkdir(parents=True, exist_ok=True)
        self._write(name, {"seconds": record.get("seconds", 0.0) if resume else 0.0})
        return resume

    def end(self, name: str, seconds: float, commit: str | None) -> None:
        """Records that a step is complete."""
        missing = [x for x in self.steps[name].outputs if not (self.path / x).exists()]
        if missing:
            raise UserError(f"step {name}: ended without making {', '.join(missing)}")
        seconds += self.record(name).get("seconds", 0.0)
        self._write(name, {"seconds": seconds, "commit": commit, "outputs": self.outputs(name)})

    def stopped(self, name: str, seconds: float) -> None:
        """Adds to the time that a step took which was stopped."""
        self._write(name, {"seconds": seconds + self.record(name).get("seconds", 0.0)})

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        command, key = self.steps[name].shown(), self.key(name)
        record = {"command": command, "key": key, "inputs": self.inputs(name), **facts}
        write_json(self.path / "steps" / f"{name}.json", record)


def _state(path: Path) -> str:
    digest = hashlib.sha256()
    files = [path] if not path.is_dir() else sorted(path.rglob("*"))
    for file in files:
        if file.is_symlink():
            digest.update(f"{file.relative_to(path)} {os.readlink(file)}\n".encode())
        elif file.is_file():
            facts = file.stat()
            name = file.relative_to(path)
            digest.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest() if path.exists() else "missing"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, flag: str) -> Iterator[None]:
    """Keeps a second runner out of the output folder that a flag named.

    UserError if it is a file, cannot be written in, or holds something else.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{flag} {path}: found a file, expected a folder; name a new one")
    check_writable(path, flag)
    if path.exists() and any(path.iterdir()) and not (path / ".lock").exists():
        raise UserError(f"{flag} {path}: holds files that are not of a study; name a new folder")
    path.mkdir(parents=True, exist_ok=True)
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{flag} {path}: another run of the study is at work there; wait for it, stop it, "
                "or name another folder"
            ) from None
        yield


def first(wanted: Iterable[str], steps: Mapping[str, Step]) -> list[str]:
    """All steps, in order, but what is wanted first, and what that needs, before the others."""
    needed: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting += set(steps[name].needs) - needed
    return sorted(steps, key=lambda name: name not in needed)


def run(folder: Folder, names: Sequence[str], jobs: int, scale: str = "") -> Iterator[set[str]]:
    """Runs what is not complete, `jobs` at a time, each on its share of the cores.

    names: in order, with all that they need; scale: whose times are expected. Yields the names of
    all complete steps at the start and whenever there is one more.

    Raises:
        UserError: a command failed, with the end of its log. Others that are running are stopped.
    """
    waiting = folder.incomplete(names)
    done = set(names).difference(waiting)
    slots = dict.fromkeys(_shares(jobs))
    commit = _commit()
    with Progress(expected(scale, names), done, len(slots)) as progress:
        yield done
        try:
            while waiting or any(slots.values()):
                for cores, running in slots.items():
                    if running is None:
                        slots[cores] = _start(folder, waiting, done, cores)
                    elif (status := running.process.poll()) is not None:
                        slots[cores] = None
                        _ended(folder, running, status, commit)
                        done.add(running.name)
                        progress.end(running.name, running.seconds, _times(slots))
                        yield done
                progress.show(_times(slots))
                time.sleep(WAIT)
        finally:
            for running in filter(None, slots.values()):
                _stop(folder, running)


@dataclass
class _Running:
    name: str
    process: subprocess.Popen[bytes]
    started: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def _times(slots: Mapping[tuple[int, ...], _Running | None]) -> dict[str, float]:
    """Step → seconds, of those that run."""
    return {x.name: x.seconds for x in slots.values() if x}


def _shares(jobs: int) -> list[tuple[int, ...]]:
    cores = sorted(os.sched_getaffinity(0))
    jobs = min(jobs, len(cores))
    return [tuple(cores[i::jobs]) for i in range(jobs)]


def _start(
    folder: Folder, waiting: list[str], done: set[str], cores: tuple[int, ...]
) -> _Running | None:
    """Starts the first step that needs nothing more."""
    for name in waiting:
        step = folder.steps[name]
        if not done.issuperset(step.needs):
            continue
        waiting.remove(name)
        resume = folder.begin(name)
        log = folder.log_file(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab" if resume else "wb") as file:
            process = subprocess.Popen(
                folder.command(step, resume),
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        return _Running(name, process, time.monotonic())
    return None


def _ended(folder: Folder, running: _Running, status: int, commit: str | None) -> None:
    if status == 0:
        folder.end(running.name, running.seconds, commit)
        return
    folder.stopped(running.name, running.seconds)
    log = folder.log_file(running.name)
    lines = log.read_text(errors="replace").replace("\r", "\n").splitlines()
    tail = "\n".join(f"  {line}" for line in lines[-ERROR_LINES:])
    raise UserError(
        f"step {running.name}: ended with status {status}; its log, {log}, ends:\n{tail}\n"
        "mend the reason and run the same command again: what is complete is kept"
    )


def _stop(folder: Folder, running: _Running) -> None:
    running.process.terminate()  # trainings write a checkpoint, then end
    try:
        running.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
    folder.stopped(running.name, running.seconds)


def _commit() -> str | None:
    """The project's revision, where it is under version control and git is there."""
    describe = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(describe, cwd=PROJECT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
