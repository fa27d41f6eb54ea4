"""How a training command begins: settings, devices, old weights, and the folder of its run.

What is wrong with a flag or a file is said before the folder is made; TensorFlow is imported only
after a program has checked its own arguments.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gan_fingerprints import cluster as clusters
from gan_fingerprints import disk, program, typed
from gan_fingerprints.cluster import Cluster
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError, option, write_json
from gan_fingerprints.training.run import Execution, Run
from gan_fingerprints.training.time_left import SMALL
from gan_fingerprints.training.together import Workers, strategy_of
from gan_fingerprints.version import versions

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from gan_fingerprints.data.pipeline import Source


def preset_option(about: str = "") -> dict[str, Any]:
    """--preset, of a training command whose room declares `PRESETS`: name → numbers by field.

    about: what more is to be said of it.
    """
    help = "where the numbers start that are not given: as published, or for minutes on two cores"
    return {"--preset": option(typed.one_of("paper", SMALL), "paper", help + about)}


class Start:
    """The beginning of a training command: prints the settings and sets TensorFlow up.

    Afterwards a program builds its trainer, fills it where `--init_from` names a file, and calls
    `open_run`.

    Args:
        arguments: of the command line, with the options of `run.RUN`.
        folder: where the run is to be; `flag` is what names it in messages.
        command: what settings and networks call the program.
        config: every number of the run; seed: the one that networks name.
        data, validation: what is trained, and measured, on.
        more: further settings of the program.

    Attributes:
        strategy, xla: the devices to train on, and whether to compile the step for them.
        workers: the processes that train together, one where TF_CONFIG names no others.

    Raises:
        UserError: more GPUs are asked for than there are, or TF_CONFIG is not what it should be.
    """

    def __init__(
        self, arguments: argparse.Namespace, folder: str | Path, flag: str = "--out_model_dir", *,
        command: str, config: Mapping[str, Any], seed: int, data: Source,
        validation: Source | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self._arguments, self._folder, self._flag = arguments, Path(folder), flag
        self._execution = program.options_from(arguments, Execution)
        self._origin = {"command": command, "seed": seed, "data": data_facts(data)}
        # These names are in the folders of runs, which are continued only with the same settings.
        self._settings = {
            "command": command,
            "config": config,
            "mixed_precision": self._execution.mixed_precision,
            "num_gpus": self._execution.num_gpus,
            "init_from": arguments.init_from,
            **more,
            "data": data_facts(data),
            **({"validation_data": data_facts(validation)} if validation else {}),
        }
        print(json.dumps(self._settings, indent=2))
        cluster = cluster_of_environment(self._execution)
        self.strategy = set_up_tensorflow(self._execution, cluster)
        self.workers = Workers(cluster, self.strategy)
        self.xla = self._execution.xla

    def open_run(self) -> Run | None:
        """The run, new or continued; None, with a line that says so, where nothing is to be done.

        Raises:
            UserError: the folder is taken, cannot be written, or its run has other settings.
        """
        settings = json.loads(json.dumps(self._settings))  # as it will be read back
        self._agree(settings)
        if self._arguments.dry_run:
            print("dry run: everything fits; nothing was written")
            return None
        folder, lock, begun = self._folder, None, False

        def open_folder() -> bool:
            nonlocal lock, begun
            begun = check_folder(folder, self._flag, settings, self._arguments.resume)
            if begun and finished(folder):
                return False
            disk.make_folder(folder)
            lock = locked(folder, self._flag)
            disk.sweep(folder)
            if not begun:
                write_json(folder / "settings.json", {**settings, "versions": versions()})
            return True

        if not self.workers.from_chief(open_folder):
            print(f"{folder}: this run is finished")
            return None
        small = getattr(self._arguments, "preset", None) == SMALL
        minutes = self._execution.checkpoint_minutes
        return Run(folder, lock, self._origin, minutes, begun, small, self.workers)

    def _agree(self, settings: dict[str, Any]) -> None:
        """UserError unless all workers are to do the same run, from the same checkpoint."""
        from gan_fingerprints.training.checkpoints import newest

        own = {
            "settings": {**settings, "resume": self._arguments.resume, "versions": versions()},
            "dry_run": self._arguments.dry_run,
            "devices": self.strategy.num_replicas_in_sync,
        }
        chief, *others = self.workers.gather([own, newest(self._folder / "checkpoints")])
        for number, (other, checkpoint) in enumerate(others, 1):
            if differing := differences(chief[0], other, f"on worker {number}", "on the chief"):
                raise UserError(
                    f"worker {number} was started otherwise than the chief ({differing}); start "
                    "all workers with the same command, data and versions"
                )
            if checkpoint not in (None, chief[1]):
                raise UserError(
                    f"{self._flag} {self._folder}: worker {number} finds checkpoint {checkpoint} "
                    f"there, and the chief {chief[1] or 'none'}: give the chief the folder that "
                    f"is to be continued, and worker {number} the same one, or an empty one"
                )


def devices(arguments: argparse.Namespace) -> int:
    """How many devices share a minibatch, on all workers together."""
    return clusters.number() * max(1, arguments.num_gpus or 1)


def data_facts(data: Source) -> dict[str, Any]:
    """What identifies a data set in a run's settings."""
    names = ("name", "count", "resolution", "source_names", "checksum")
    return {name: getattr(data, name) for name in names}


def cluster_of_environment(execution: Execution) -> Cluster | None:
    """The workers that train together; None where TF_CONFIG names no others.

    Raises:
        UserError: TF_CONFIG is not what it should be, or the step is to be compiled.
    """
    try:
        cluster = clusters.of_environment()
    except ValueError as error:
        raise UserError(f"{clusters.VARIABLE}: {error}") from None
    if cluster and execution.xla:
        raise UserError(
            f"--xla 1: {clusters.VARIABLE} names {len(cluster.addresses)} workers, between which a "
            "step is not compiled; leave one of the two out"
        )
    return cluster


def set_up_tensorflow(
    execution: Execution, cluster: Cluster | None = None
) -> tf.distribute.Strategy:
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
    if wanted == 0 or cluster:
        tf.config.set_visible_devices(gpus[:wanted], "GPU")
    if execution.deterministic:
        tf.config.experimental.enable_op_determinism()
    policy = "mixed_bfloat16" if execution.mixed_precision == "bfloat16" else "float32"
    keras.config.set_dtype_policy(policy)
    if cluster:
        return strategy_of(cluster)
    if wanted > 1:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(wanted)])
    return tf.distribute.get_strategy()


def fill_from(
    path: str, network: keras.Model, same: Iterable[str] = (), sources: list[str] | None = None
) -> None:
    """Fills a network with the weights that `--init_from` names.

    same: arguments that must agree; sources: names that a classifier must have, in this order.

    Raises:
        UserError: a file of another kind, another shape or other sources.
    """
    old = files.load(path, {network.name: type(network)}, "--init_from")
    asked = {name: network.arguments[name] for name in same}
    has = {**old.network.arguments, "source_names": old.source_names}
    for name, value in (asked | ({"source_names": sources} if sources else {})).items():
        if has[name] != value:
            raise UserError(f"--init_from {path}: its {name} is {has[name]}, expected {value}")
    files.fill(network, files.arrays_of(old.network), f"--init_from {path}")


def check_folder(folder: Path, flag: str, settings: dict[str, Any], resume: bool) -> bool:
    """Whether the folder of a run is one to continue; else it may become a new one.

    Raises:
        UserError: the folder is taken, cannot be written, or its run has other settings.
    """
    taken = folder.exists() and (
        not folder.is_dir()
        # What is hidden is a lock, and what a killed program left before the run had begun.
        or any(not path.name.startswith(".") for path in folder.iterdir())
    )
    file = folder / "settings.json"
    if taken and not resume:
        advice = "add --resume to continue it, or name a new folder" if file.is_file() else (
            "name a new folder"
        )  # fmt: skip
        raise UserError(f"{flag} {folder}: already exists; {advice}")
    program.check_writable(folder, flag)
    if taken:
        _require_same(folder, _stored(file), settings)
    return taken


def finished(folder: Path) -> bool:
    """Whether a run is complete: it says so, and has what it says; prints it if it has not.

    Earlier versions did not say it; they are believed.
    """
    file = folder / "finished.json"
    if not file.exists():
        return False
    try:
        sums = json.loads(file.read_text()).get("sha256", {})
        wrong = [name for name in sums if disk.digest(folder / name) != sums[name]]
    except (OSError, ValueError, AttributeError) as error:
        wrong = [str(error)]
    if wrong:
        print(f"{file} does not fit the run ({', '.join(wrong)}): continuing from its checkpoint")
    return not wrong


def locked(folder: Path, flag: str) -> IO[str]:
    """A lock on a run folder that the system lifts when this process ends, however it ends."""
    if held := disk.lock(folder / ".lock"):
        return held
    raise UserError(
        f"{flag} {folder}: another process is training in this folder; wait for it or stop it, or "
        "name a new folder"
    )


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
    kept = {name: x for name, x in stored.items() if name != "versions"}
    if differing := differences(kept, asked, "now", "was"):
        raise UserError(
            f"--resume {folder}: the run has other settings ({differing}); repeat its "
            "own settings, or start a new run in a new folder"
        )


def differences(first: dict[str, Any], second: dict[str, Any], now: str, was: str) -> str:
    """A clause on each entry of two trees of settings that is not the same: "x was 1, now 2"."""
    before, after = _flat(first), _flat(second)
    return "; ".join(
        f"{name} {was} {before.get(name)}, {now} {after.get(name)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        path: leaf
        for key, branch in tree.items()
        for path, leaf in _flat(branch, f"{prefix}.{key}" if prefix else key).items()
    }
