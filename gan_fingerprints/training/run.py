"""One training run in one folder: settings, log, checkpoints, pictures, exact continuation.

The training loop is each subproject's own; this gives it a place to write and a way to go on.
TensorFlow is imported by the methods that need it, after the arguments are known to be good.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gan_fingerprints import disk, images, program, typed
from gan_fingerprints.program import UserError, option, write_json
from gan_fingerprints.training.losses import Losses
from gan_fingerprints.training.time_left import TimeLeft
from gan_fingerprints.training.together import ALONE, Workers, digest_of
from gan_fingerprints.version import versions

if TYPE_CHECKING:
    import tensorflow as tf


PRECISIONS = typed.one_of("float32", "bfloat16")  # of the layers; weights are always float32


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a training command runs, as opposed to what it computes."""

    mixed_precision: str = option(
        PRECISIONS, "float32", "arithmetic of the layers (weights stay float32)"
    )
    num_gpus: int | None = option(
        typed.count,
        None,
        "GPUs that share each minibatch; 0: CPU (default: one if there is one)",
        advanced=False,
    )
    xla: bool = option(typed.switch, False, "1: compile the training step with XLA")
    deterministic: bool = option(
        typed.switch, False, "1: only operations that repeat bit for bit on a GPU too (slower)"
    )
    checkpoint_minutes: float = option(
        typed.non_negative.of("MINUTES"),
        5.0,
        "save the full training state this often",
        advanced=False,
    )


STARTING = {
    "--resume": option(
        typed.given, False, "continue the folder's run: on a CPU bit for bit as if never stopped"
    ),
    "--init_from": option(typed.path, None, "start a new run from old weights"),
    "--verify": option(
        typed.switch,
        True,
        "0: trust a data set's manifest, do not read its files to compare them",
        advanced=True,
    ),
    "--dry_run": option(typed.given, False, "check everything, print the settings, train nothing"),
}
RUN = (("how to run", Execution), ("starting and continuing", STARTING))
"""The options that every training command has."""


class Run:
    """A run folder; `begin.Start` opens it, after every argument was checked.

    Files: `settings.json`, `log.txt`, `tensorboard/`, `checkpoints/`, what the loop adds with
    `path`, and `finished.json` at the end.

    Of several workers the chief alone has the folder; on the others what writes does nothing.

    Args:
        folder: exists.
        lock: what keeps other processes out of it; closed at the end. None on other workers.
        origin: what an exported network says of the run: command, seed, data.
        checkpoint_minutes: how often `advance` saves.
        begun: whether the folder was there before.
        small: whether the run's numbers are already those of the small preset.
        workers: the processes that train together.

    Attributes:
        chief: whether this process is the one that writes, measures and draws.
        elsewhere: name of a file or subfolder → where that is instead.
    """

    def __init__(
        self, folder: Path, lock: IO[str] | None, origin: Mapping[str, Any],
        checkpoint_minutes: float, begun: bool = False, small: bool = False,
        workers: Workers = ALONE,
    ) -> None:  # fmt: skip
        self.folder, self.workers, self.chief = folder, workers, workers.chief
        self.elsewhere: dict[str, Path] = {}
        self.bar: tqdm | None = None
        self._checkpoint_seconds, self._last_save = checkpoint_minutes * 60, time.monotonic()
        self._stopped_by: int | None = None
        self._saved = -1
        self._losses: Losses | None = None
        self._notes: Mapping[str, Any] = {}
        self._begun, self._time_left = begun, TimeLeft(small)
        self._started = time.monotonic()
        self._origin = dict(origin)
        self._lock = lock

    def path(self, name: str) -> Path:
        """A file of this run."""
        first, *rest = Path(name).parts
        return self.elsewhere.get(first, self.folder / first).joinpath(*rest)

    @contextmanager
    def _room(self, name: str) -> Iterator[Path]:
        with program.full_disk(self.path(name), self.path(name)):
            yield self.path(name)

    def log(self, text: str, show: bool = True, once: bool = False) -> None:
        """Adds a line to log.txt and, with `show`, prints it above the progress bar.

        once: not if it is there, as it is after another session.
        """
        if not self.chief:
            return
        with self._room("log.txt") as path:
            if once and path.is_file() and text in path.read_text().splitlines():
                return
            with path.open("a") as file:
                file.write(text + "\n")
        if show:
            tqdm.write(text)

    def start(
        self, state: Mapping[str, Any], total_kimg: float, shown: tf.Variable, while_: str = "",
        kept: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Restores the newest intact checkpoint if there is any, and starts the progress bar.

        Args:
            state: name → list of variables: everything that the next step depends on.
            total_kimg: length of the run, in thousand images.
            shown: int64 variable, images shown so far; one of the state's.
            while_: what the rate of the first steps holds for, where it does not stay the same.
            kept: more of the kind of `state`, which only the chief has.

        Raises:
            UserError: the run had begun, and no checkpoint is intact.
        """
        import tensorflow as tf

        # A plain list of variables: Keras objects would leave out what they do not track.
        lists = {
            name: [v if isinstance(v, tf.Variable) else v.value for v in part]
            for name, part in state.items()
        }
        self._state, self._shown = lists, shown
        self.workers.from_chief(lambda: self._open(while_, kept or {}))
        self.workers.share([v for part in lists.values() for v in part])
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._request_stop)
        self.bar = tqdm(
            total=total_kimg, initial=int(shown) / 1000, unit="kimg", dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n:.1f}/{total:.0f} kimg "
            "[{elapsed}<{remaining}, {rate_fmt}] {postfix}", disable=not self.chief,
        )  # fmt: skip

    def _open(self, while_: str, kept: Mapping[str, Any]) -> None:
        """Goes back to the newest checkpoint, and opens what is written to."""
        import tensorflow as tf

        from gan_fingerprints.training.checkpoints import Checkpoints

        self._checkpoints = Checkpoints(self.path("checkpoints"), {**self._state, **kept})
        with self._room("tensorboard") as path:
            self._writer = tf.summary.create_file_writer(str(path))
        self._continue()
        self._time_left.rate_holds = while_
        if not int(self._shown):
            self._write_settings()

    def _continue(self) -> None:
        """Goes back to the newest intact checkpoint; writes the first one of a new run."""
        log = self.path("log.txt")
        size = log.stat().st_size if log.is_file() else 0
        if found := self._checkpoints.restore():
            number, self._notes, damaged = found
            if size > self._notes.get("log_bytes", size):
                os.truncate(log, self._notes["log_bytes"])  # what follows is done again
            if damaged:
                self.log(f"{'; '.join(damaged)}; continuing from checkpoint {number}")
            self.log(f"continuing at {int(self._shown) / 1000:.1f} kimg")
            self._saved = number
        elif self._begun and size:
            raise UserError(
                f"--resume {self.folder}: {log} shows that this run had begun, and there is no "
                f"checkpoint in {self.path('checkpoints')}; put one there, or move the run's "
                "folder away to start from zero"
            )
        self.save()

    def _write_settings(self) -> None:
        import tensorflow as tf

        settings = self.path("settings.json")
        if settings.is_file():
            with self._room("tensorboard"), self._writer.as_default(step=0):
                tf.summary.text("settings", f"```json\n{settings.read_text()}\n```")

    def _request_stop(self, signal_number: int, frame: Any) -> None:
        if self._stopped_by:
            raise self._end()
        self._stopped_by = signal_number
        tqdm.write("stopping after this step; once more to stop at once")

    def _end(self) -> KeyboardInterrupt:
        by_user = self._stopped_by == signal.SIGINT
        return KeyboardInterrupt() if by_user else program.Terminated()

    def losses(self, done: int) -> Losses:
        """The losses since the last report, also those of an interrupted session."""
        self._losses = Losses(done, self._notes.get("losses"))
        return self._losses

    def advance(self, status: str = "") -> None:
        """Moves the progress bar, and saves when it is time or the user asked to stop.

        A signal to any worker stops them all after the same step.
        """
        assert self.bar is not None
        self.bar.n = min(int(self._shown) / 1000, self.bar.total)
        if status:
            self.bar.set_postfix_str(status, refresh=False)
        self.bar.update(0)
        said = self._time_left.after(int(self._shown), self.bar.total * 1000)
        if said and self.chief:
            tqdm.write(said)
        due = time.monotonic() - self._last_save >= self._checkpoint_seconds
        stopping = self.workers.any(bool(self._stopped_by))
        if due or stopping:
            self.save()
        if stopping:
            self.workers.settle()
            self.bar.close()
            self.log(f"stopped at {int(self._shown) / 1000:.1f} kimg; --resume continues")
            raise self._end()

    def save(self) -> None:
        """Writes a checkpoint, unless the newest is of the same moment."""
        if self.chief and self._saved != int(self._shown):
            with self._room("log.txt") as log:
                log.touch()
                disk.sync(log)
            notes: dict[str, Any] = {"log_bytes": log.stat().st_size}
            if self._losses:
                notes["losses"] = self._losses.state
            self._checkpoints.save(int(self._shown), notes)
            self._saved = int(self._shown)
        self._last_save = time.monotonic()

    def scalars(self, values: Mapping[str, float]) -> None:
        """Writes numbers to TensorBoard, at the images shown so far."""
        if not self.chief:
            return
        import tensorflow as tf

        with self._room("tensorboard"), self._writer.as_default(step=int(self._shown)):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def picture(self, batch: np.ndarray, shows: str, *names: str) -> None:
        """Writes a grid of images, uint8 [N, H, W, 3], as NAME.png, and to TensorBoard.

        shows: what TensorBoard calls it, the same at every moment; the file's name if none is
            given.
        """
        import tensorflow as tf

        grid = images.grid(batch)
        for name in names or (shows,):
            images.write_png(self.path(f"{name}.png"), grid)
        with self._room("tensorboard"), self._writer.as_default(step=int(self._shown)):
            tf.summary.image(shows, grid[None])

    def provenance(self) -> dict[str, Any]:
        """What an exported network says of its origin (the same for the same run)."""
        return {
            **self._origin,
            "images_shown": int(self._shown),
            "versions": versions(),
        }

    def steps_done(self) -> bool:
        """After the last step: whether the rest is to be done here, which is so on the chief.

        The others wait until it has done that. First all compare what they have computed.
        """
        if self.workers.cluster is None:
            return True
        sums = self.workers.gather(digest_of(self._state))
        same = "the same" if len(set(sums)) == 1 else "not the same; the chief's are kept"
        self.log(f"weights on {len(sums)} workers: {same}")
        if not self.chief:
            self.finish()
        return self.chief

    def close(self) -> None:
        """Ends the progress bar and lets other processes have the folder."""
        if self.bar:
            self.bar.close()
        if self._lock:
            self._lock.close()

    def finish(self, *results: str) -> None:
        """Saves a last time and leaves the marker that the run is complete.

        results: names of the files that were its aim; the marker holds only while they are there.
        """
        self.workers.from_chief(lambda: self._finish(results))
        self.close()
        if not self.chief:
            print("finished, as the chief has")

    def _finish(self, results: tuple[str, ...]) -> None:
        self.save()
        if self.bar:
            self.bar.close()
        with self._room("tensorboard"):
            self._writer.close()
        seconds = round(time.monotonic() - self._started, 1)
        content = {
            "images_shown": int(self._shown),
            "seconds_of_last_session": seconds,
            "sha256": {name: disk.digest(self.path(name)) for name in results},
        }
        write_json(self.path("finished.json"), content)
        self.log(f"finished: {self.folder}")


def passed(before: int, now: int, interval: float) -> bool:
    """Whether a multiple of `interval` was reached since `before`."""
    return now // interval > before // interval
