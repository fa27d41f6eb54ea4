"""One training run in one folder: settings, log, checkpoints, pictures, exact continuation.

The training loop is each subproject's own; this gives it a place to write and a way to go on.
TensorFlow is imported by the methods that need it, after the arguments are known to be good.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gan_fingerprints import images, program, typed
from gan_fingerprints.program import option
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
        typed.count, None, "GPUs that share each minibatch; 0: CPU (default: one if there is one)"
    )
    xla: bool = option(typed.switch, False, "1: compile the training step with XLA")
    deterministic: bool = option(
        typed.switch, False, "1: only operations that repeat bit for bit on a GPU too (slower)"
    )
    checkpoint_minutes: float = option(
        typed.non_negative.of("MINUTES"), 5.0, "save the full training state this often"
    )


STARTING = {
    "--resume": option(
        typed.given, False, "continue the folder's run: on a CPU bit for bit as if never stopped"
    ),
    "--init_from": option(typed.path, None, "start a new run from old weights"),
    "--verify": option(
        typed.switch, True, "0: trust a data set's manifest, do not read its files to compare them"
    ),
    "--dry_run": option(typed.given, False, "check everything, print the settings, train nothing"),
}
RUN = (("how to run", Execution), ("starting and continuing", STARTING))
"""The options that every training command has."""


class Run:
    """A run folder; `begin.Start` opens it, after every argument was checked.

    Files: `settings.json`, `log.txt`, `tensorboard/`, `checkpoints/`, what the loop adds with
    `path`, and `finished.json` at the end.

    Args:
        folder: exists.
        lock: what keeps other processes out of it; closed at the end.
        origin: what an exported network says of the run: command, seed, data.
        checkpoint_minutes: how often `advance` saves.

    Attributes:
        elsewhere: name of a file or subfolder → where that is instead.
    """

    def __init__(
        self, folder: Path, lock: IO[str], origin: Mapping[str, Any], checkpoint_minutes: float
    ) -> None:
        self.folder = folder
        self.elsewhere: dict[str, Path] = {}
        self.bar: tqdm | None = None
        self._checkpoint_seconds = checkpoint_minutes * 60
        self._last_save = time.monotonic()
        self._stop_requested = False
        self._saved = -1
        self._started = time.monotonic()
        self._origin = dict(origin)
        self._lock = lock

    def path(self, name: str) -> Path:
        """A file of this run."""
        first, *rest = Path(name).parts
        return self.elsewhere.get(first, self.folder / first).joinpath(*rest)

    def log(self, text: str, show: bool = True) -> None:
        """Adds a line to log.txt and, with `show`, prints it above the progress bar."""
        with self.path("log.txt").open("a") as file:
            file.write(text + "\n")
        if show:
            tqdm.write(text)

    def start(self, state: Mapping[str, Any], total_kimg: float, shown: tf.Variable) -> None:
        """Restores the newest checkpoint if there is one, and starts the progress bar.

        Args:
            state: name → list of variables: everything that the next step depends on.
            total_kimg: length of the run, in thousand images.
            shown: int64 variable, images shown so far; one of the state's.
        """
        import tensorflow as tf

        # A plain list of variables: Keras objects would leave out what they do not track.
        lists = {
            name: [v if isinstance(v, tf.Variable) else v.value for v in part]
            for name, part in state.items()
        }
        self._checkpoint = tf.train.Checkpoint(**lists)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self.path("checkpoints")), max_to_keep=2
        )
        self._shown = shown
        self._writer = tf.summary.create_file_writer(str(self.path("tensorboard")))
        if self._manager.latest_checkpoint:
            self._checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
            self.log(f"continuing at {int(shown) / 1000:.1f} kimg")
            self._saved = int(shown)
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._request_stop)
        self.bar = tqdm(
            total=total_kimg, initial=int(shown) / 1000, unit="kimg", dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n:.1f}/{total:.0f} kimg "
            "[{elapsed}<{remaining}, {rate_fmt}] {postfix}",
        )  # fmt: skip

    def _request_stop(self, signal_number: int, frame: Any) -> None:
        if self._stop_requested:
            raise KeyboardInterrupt
        self._stop_requested = True
        tqdm.write("stopping after this step; once more to stop at once")

    def advance(self, status: str = "") -> None:
        """Moves the progress bar, and saves when it is time or the user asked to stop."""
        assert self.bar is not None
        self.bar.n = min(int(self._shown) / 1000, self.bar.total)
        if status:
            self.bar.set_postfix_str(status, refresh=False)
        self.bar.update(0)
        due = time.monotonic() - self._last_save >= self._checkpoint_seconds
        if due or self._stop_requested:
            self.save()
        if self._stop_requested:
            self.bar.close()
            self.log(f"stopped at {int(self._shown) / 1000:.1f} kimg; --resume continues")
            raise KeyboardInterrupt

    def save(self) -> None:
        """Writes the whole training state under a new name, then moves the pointer to it."""
        if self._saved != int(self._shown):  # never write over the newest one
            self._manager.save(checkpoint_number=int(self._shown))
            self._saved = int(self._shown)
        self._last_save = time.monotonic()

    def scalars(self, values: Mapping[str, float]) -> None:
        """Writes numbers to TensorBoard, at the images shown so far."""
        import tensorflow as tf

        with self._writer.as_default(step=int(self._shown)):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def picture(self, name: str, batch: np.ndarray) -> None:
        """Writes a grid of images, uint8 [N, H, W, 3], as NAME.png."""
        images.write_png(self.path(f"{name}.png"), images.grid(batch))

    def provenance(self) -> dict[str, Any]:
        """What an exported network says of its origin (the same for the same run)."""
        return {
            **self._origin,
            "images_shown": int(self._shown),
            "versions": versions(),
        }

    def close(self) -> None:
        """Ends the progress bar and lets other processes have the folder."""
        if self.bar:
            self.bar.close()
        self._lock.close()

    def finish(self) -> None:
        """Saves a last time and leaves the marker that the run is complete."""
        self.save()
        self.close()
        self._writer.close()
        seconds = round(time.monotonic() - self._started, 1)
        write_json(
            self.path("finished.json"),
            {"images_shown": int(self._shown), "seconds_of_last_session": seconds},
        )
        self.log(f"finished: {self.folder}")


class Losses:
    """Losses of steps since the last report, and how long these took.

    Args:
        done: images or iterations before the first of them; later counts are of the same.
    """

    def __init__(self, done: int) -> None:
        self.restart(done)

    def restart(self, done: int) -> None:
        """Begins anew, after a report."""
        self._values: list[Any] = []
        self._done, self._since = done, time.monotonic()

    def add(self, losses: Any) -> None:
        """Losses of one step: tensors, which are not read before the report."""
        self._values.append(losses)

    def report(self, done: int) -> tuple[np.ndarray, float]:
        """Mean losses, and seconds per image or iteration."""
        means = np.mean(np.array(self._values, np.float64), axis=0)
        return means, (time.monotonic() - self._since) / (done - self._done)


def passed(before: int, now: int, interval: float) -> bool:
    """Whether a multiple of `interval` was reached since `before`."""
    return now // interval > before // interval


def write_json(path: Path, content: Any) -> None:
    """Writes readable JSON, whole or not at all."""
    with program.whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")
