"""The models, and the one thread that asks them: a few images at a time, of all people in turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.verdict import RULES, Attribution, Rules, row_of
from gan_fingerprints.examiner import evidence, examination
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.examiner.examination import Model
from gan_fingerprints.examiner.exhibit import Exhibit, exhibit_of
from gan_fingerprints.page import refusing
from gan_fingerprints.program import UserError

TOGETHER = 8  # images that are examined at once: few, so that nobody waits long for a turn
BATCH = 16  # views per step: a single image takes half the time that it takes in steps of 64


@dataclass(eq=False)
class Slot:
    """A model that can be chosen, as soon as it was read.

    Attributes:
        file: of the network.
        model: None as long as it is not read.
        given: what it is called, if not as the file.
    """

    file: Path
    model: Model | None = None
    given: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.given or self.file.name


@dataclass(frozen=True)
class Found:
    """What was found of an image: what is shown, and what a pool is made of."""

    exhibit: Exhibit
    row: Attribution
    logits: np.ndarray | None


@dataclass(eq=False)
class Job:
    """An image to examine.

    Attributes:
        slot: with which model.
        file: where it lies.
        size: its bytes.
        name: what it is called.
        done: is told what was found, in the thread of the desk.
    """

    slot: Slot
    file: Path
    size: int
    name: PurePosixPath
    done: Callable[[Found], object]


@dataclass(eq=False)
class Task:
    """Something else that a model is needed for; `run` is called in the thread of the desk."""

    run: Callable[[], object]


class Queue:
    """What waits, by whose it is: everybody has a turn, however much others have brought."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Job | Task]] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, owner: Hashable, one: Job | Task) -> None:
        """Adds something at the end of an owner's row."""
        with self._changed:
            self._waiting.setdefault(owner, deque()).append(one)
            self._changed.notify()

    def drop(self, owner: Hashable) -> list[Job]:
        """Takes away those of an owner's images that wait."""
        with self._changed:
            row = self._waiting.pop(owner, deque())
            tasks: deque[Job | Task] = deque(one for one in row if isinstance(one, Task))
            if tasks:
                self._waiting[owner] = tasks
            return [one for one in row if isinstance(one, Job)]

    def close(self) -> None:
        """Whoever waits for something gets nothing."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def take(self, most: int) -> list[Job | Task]:
        """Waits for something: a task, or images for one model; nothing when it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            taken: list[Job | Task] = []
            while len(taken) < most and (owner := self._next(taken)) is not None:
                row = self._waiting.pop(owner)
                taken.append(row.popleft())
                if row:
                    self._waiting[owner] = row  # at the end: the others come first
            return taken

    def _next(self, taken: Sequence[Job | Task]) -> Hashable | None:
        """The first owner whose next thing can be done together with what was taken."""
        if not taken:
            return next(iter(self._waiting), None)
        first = taken[0]
        for owner, row in self._waiting.items():
            if isinstance(first, Job) and isinstance(row[0], Job) and row[0].slot is first.slot:
                return owner
        return None


@dataclass(eq=False)
class Desk:
    """The models that images are examined with.

    Args:
        files: of the networks, in the order in which they are offered.
        batch, rules, looks: see `Model.load`.
    """

    files: Sequence[Path]
    batch: int = BATCH
    rules: Rules = RULES
    looks: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        self.slots = [
            Slot(
                file, None, f"{file.parent.name}/{file.name}" if names.count(file.name) > 1 else ""
            )
            for file in self.files
        ]
        self.error: UserError | None = None
        self.failed: Callable[[], object] = lambda: None
        self.changed: Callable[[], object] = lambda: None
        self.examined = 0
        self.queue = Queue()
        self._started = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Reads the models and begins, in a thread; only the first call does."""
        with self._started:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends after what is being done; what waits is left."""
        self.queue.close()
        if self._thread:
            self._thread.join(10)

    @property
    def ready(self) -> bool:
        """Whether all models were read."""
        return all(slot.model for slot in self.slots)

    def load(self, file: Path) -> Model:
        """A model of a file; in the thread of the desk."""
        return Model.load(file, "--model", None, self.batch, self.rules, **self.looks)

    def _work(self) -> None:
        try:
            for slot in self.slots:
                slot.model = self.load(slot.file)
                self.changed()
        except Exception as error:
            refusing.answer(error)  # for its log
            said = "this program made a mistake when it read the models"
            self.error = error if isinstance(error, UserError) else UserError(said)
            self.failed()
            self.changed()
            return
        while taken := self.queue.take(TOGETHER):
            try:
                if isinstance(taken[0], Task):
                    taken[0].run()
                else:
                    self._examine([job for job in taken if isinstance(job, Job)])
            except Exception as error:  # whoever waits for it is told when the time is over
                refusing.answer(error)

    def _examine(self, jobs: Sequence[Job]) -> None:
        model = jobs[0].slot.model
        assert model is not None
        rest = list(jobs)
        try:
            for one in model.attributor.examine_read(_reader(model), jobs):
                self._finish(rest[0], one, model)
                rest.pop(0)
        except Exception as error:
            if len(jobs) > 1:  # one of them is at fault, and the others shall not suffer from it
                for job in rest:
                    self._examine([job])
                return
            refusing.answer(error)  # for its log
            self._finish(jobs[0], _failed(jobs[0], error, model), model)

    def _finish(self, job: Job, one: Examined[Specimen], model: Model) -> None:
        record = examination.record(one, model)
        self.examined += 1
        job.file.unlink(missing_ok=True)  # from now on only what was found is kept
        job.done(Found(exhibit_of(one, record, model), one.row, one.logits))


def _reader(model: Model) -> Callable[[Job], Specimen]:
    def read(job: Job) -> Specimen:
        specimen = evidence.read(job.file, model.attributor.seeing, thumbnail=True)
        return replace(specimen, path=Path(job.name))

    return read


def _failed(job: Job, error: Exception, model: Model) -> Examined[Specimen]:
    said = str(error) if isinstance(error, UserError) else "this program failed on it"
    specimen = Specimen(Path(job.name), error=said)
    return Examined(specimen, row_of(specimen, None, model.source_names))
