"""One training run in one folder: settings, log, checkpoints, pictures, exact continuation.

The training loop is each subproject's own; this gives it a place to write and a way to go on.
TensorFlow is imported by the methods that need it, after the arguments are known to be good.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gan_fingerprints import images, program, typed
from gan_fingerprints.program import UserError, option
from gan_fingerprints.version import versions

if TYPE_CHECKING:
    import tensorflow as tf

    from gan_fingerprints.data.pipeline import Source


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
    "--dry_run": option(typed.given, False, "check everything, print the settings, train nothing"),
}
RUN = (("how to run", Execution), ("starting and continuing", STARTING))
"""The options that every training command has."""


def set_up_tensorflow(execution: Execution) -> tf.distribute.Strategy:
    """Applies precision, determinism and devices; returns the strategy to train under.

    Raises:
        UserError: more GPUs are asked for than there are.
    """
    program.load_tensorflow()
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    wanted = min(1, len(gpus)) if execution.num_gpus is None else execution.num_gpus
    if wanted > len(gpus):
        raise UserError(
            f"--num_gpus {wanted}: found {len(gpus)} GPUs; use a smaller number, or install "
            "requirements-gpu.txt on a machine that has them"
        )
    if wanted == 0:
        tf.config.set_visible_devices([], "GPU")
    if execution.deterministic:
        tf.config.experimental.enable_op_determinism()
    policy = "mixed_bfloat16" if execution.mixed_precision == "bfloat16" else "float32"
    keras.config.set_dtype_policy(policy)
    if wanted > 1:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(wanted)])
    return tf.distribute.get_strategy()


def data_facts(data: Source) -> dict[str, Any]:
    """What identifies a data set in a run's settings."""
    return {
        "name": data.name,
        "count": data.count,
        "resolution": data.resolution,
        "source_names": data.source_names,
        "checksum": data.checksum,
    }


class Run:
    """A run folder. Create it with `open_run`, after every argument was checked.

    Files: `settings.json`, `log.txt`, `tensorboard/`, `checkpoints/`, what the loop adds with
    `path`, and `finished.json` at the end.

    Attributes:
        elsewhere: name of a file or subfolder → where that is instead.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], checkpoint_minutes: float) -> None:
        self.folder = folder
        self.elsewhere: dict[str, Path] = {}
        self.settings = settings
        self.bar: tqdm | None = None
        self._checkpoint_seconds = checkpoint_minutes * 60
        self._last_save = time.monotonic()
        self._stop_requested = False
        self._saved = -1
        self._started = time.monotonic()
        self._lock = _locked(folder)

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
            "command": self.settings["command"],
            "seed": self.settings["config"]["training_seed"],
            "data": self.settings["data"],
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


def write_json(path: Path, content: Any) -> None:
    """Writes readable JSON, whole or not at all."""
    with program.whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def open_run(
    folder: str | Path,
    settings: dict[str, Any],
    execution: Execution,
    resume: bool,
    flag: str = "--out_model_dir",
) -> Run | None:
    """Makes a run folder, or opens the one to continue; None when that run is finished.

    flag: named the folder.

    Raises:
        UserError: the folder is taken, cannot be written, or its run has other settings.
    """
    folder = Path(folder)
    settings = json.loads(json.dumps(settings))  # as it will be read back
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    file = folder / "settings.json"
    if taken and not resume:
        advice = "add --resume to continue it, or name a new folder" if file.is_file() else (
            "name a new folder"
        )  # fmt: skip
        raise UserError(f"{flag} {folder}: already exists; {advice}")
    program.check_writable(folder, flag)
    if taken:
        _require_same(folder, _stored(file), settings)
        if (folder / "finished.json").is_file():
            return None
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, {**settings, "versions": versions()})
    return Run(folder, settings, execution.checkpoint_minutes)


def _locked(folder: Path) -> IO[str]:
    """A lock on a run folder that the system lifts when this process ends, however it ends."""
    file = (folder / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UserError(
            f"--out_model_dir {folder}: another process is training in this folder; wait for it "
            "or stop it, or name a new folder"
        ) from None
    return file


def _stored(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        raise UserError(
            f"--resume: {file} is missing or unreadable, so this folder holds no run; name the "
            "folder of a run, or leave --resume out"
        ) from None


def _require_same(folder: Path, stored: dict[str, Any], asked: dict[str, Any]) -> None:
    """UserError listing the settings in which the stored run differs from the one asked for."""
    before, now = _flat(stored), _flat(asked)
    names = sorted(k for k in {*before, *now} if not k.startswith("versions."))
    differing = [
        f"{name} was {before.get(name)}, now {now.get(name)}"
        for name in names
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise UserError(
            f"--resume {folder}: the run has other settings ({'; '.join(differing)}); repeat its "
            "own settings, or start a new run in a new folder"
        )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        path: leaf
        for key, branch in tree.items()
        for path, leaf in _flat(branch, f"{prefix}.{key}" if prefix else key).items()
    }
