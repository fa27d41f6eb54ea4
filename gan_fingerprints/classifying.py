"""What the programs of the two classifiers share: checks of the data, accuracy, flags, tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gan_fingerprints import attribution, calibration, commands, findings, networks_io
from gan_fingerprints.attribution import Attribution
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.commands import UserError
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.tfrecords import DataSet

if TYPE_CHECKING:
    import keras

ACCURACY_BATCH = 64


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Where to read and write."""
    group = parser.add_argument_group("train")
    group.add_argument("--training_data_dir", metavar="DIR",
                       help="data set that data_preparation.py wrote")  # fmt: skip
    group.add_argument("--validation_data_dir", metavar="DIR",
                       help="another one, of the same sources, to measure accuracy on")  # fmt: skip
    group.add_argument("--out_model_dir", metavar="DIR",
                       help="where networks, settings, log and checkpoints go")  # fmt: skip


def add_testing_flags(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What to test with which network, and the tables to write."""
    group = parser.add_argument_group("test")
    add_model_flags(group)
    add_table_flags(group)
    group.add_argument("--unknown", type=commands.switch, default="1", metavar="0|1",
                       help="1: answer \"unknown\" for images that fit no source of the network; "
                            "0: always name the most probable one")  # fmt: skip
    group.add_argument(
        "--out_scores",
        metavar="FILE",
        help="write a table of how well each image fits the known sources",
    )
    return group


def add_table_flags(group: argparse._ArgumentGroup) -> None:
    """The tables and the picture that testing writes."""
    group.add_argument("--out_csv", metavar="FILE", help="write all probabilities as a table")
    group.add_argument("--out_json", metavar="FILE", help="write all probabilities as JSON")
    group.add_argument("--out_confusion", metavar="FILE", default="confusion_matrix.png",
                       help="picture of the confusion matrix, where truth is known")  # fmt: skip


def add_model_flags(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """A trained network and images for it."""
    group.add_argument("--model_path", metavar="FILE",
                       help="a network that training wrote, or a published one")  # fmt: skip
    group.add_argument("--source_names", metavar="A,B,C",
                       help="names of a published network's sources, in their order, which such "
                            "a file does not carry")  # fmt: skip
    group.add_argument("--testing_data_path", metavar="PATH",
                       help="an image, a folder of images, or a folder of one subfolder per "
                            "source")  # fmt: skip
    group.add_argument("--batch", type=commands.positive_int, default=64, metavar="N",
                       help="images per step; changes the speed, not the answers")  # fmt: skip


def open_splits(arguments: argparse.Namespace, minibatch: int, gpus: int) -> list[DataSet]:
    """Training and validation data; UserError unless they and the settings fit each other."""
    flags = ("training_data_dir", "validation_data_dir")
    data, validation = (
        DataSet.open(getattr(arguments, flag), f"--{flag}", needs_labels=True) for flag in flags
    )
    if validation.source_names != data.source_names:
        raise UserError(
            f"--validation_data_dir {validation.folder}: its sources are "
            f"{', '.join(validation.source_names or [])}; expected those of the training data: "
            f"{', '.join(data.source_names or [])}"
        )
    if validation.resolution != data.resolution:
        raise UserError(
            f"--validation_data_dir {validation.folder}: {validation.resolution} pixels, expected "
            f"{data.resolution} as the training data; prepare it with --resolution"
        )
    if data.resolution < 16:
        raise UserError(
            f"--training_data_dir {data.folder}: {data.resolution} pixels, expected 16 or more; "
            "prepare it with --resolution"
        )
    if minibatch % gpus:
        raise UserError(f"--minibatch {minibatch}: not a multiple of {gpus} GPUs")
    return [data, validation]


def require_same_network(
    path: str, old: networks_io.Loaded, asked: dict[str, Any], data: DataSet
) -> None:
    """UserError unless a file's network has the arguments and sources that are asked for."""
    asked = {"resolution": data.resolution, **asked, "source_names": data.source_names}
    has = {**old.network.arguments, "source_names": old.source_names}
    for name, value in asked.items():
        if has[name] != value:
            raise UserError(f"--init_from {path}: its {name} is {has[name]}, expected {value}")


def accuracy(
    predict: Callable[[np.ndarray], Any],
    data: DataSet,
    most: int,
    seed: int,
    attack: Perturbation | None = None,
) -> float:
    """Share of right answers on up to `most` images, the same ones every time.

    predict: uint8 [64, R, R, 3] → label numbers [64].
    attack: what happens to the images first, if anything; always the same to each.
    """
    from gan_fingerprints import pipeline  # imports TensorFlow, which takes seconds

    chosen = pipeline.epoch_order(data.count, seed, 0)[:most]
    right = 0
    for pixels, labels in _batches(data, chosen, attack):
        answers = predict(pixels).numpy()[: len(labels)]
        right += int(np.sum(answers == labels))
    return right / len(chosen)


def calibrate(
    answers: Callable[[np.ndarray], Sequence[Any]],
    data: DataSet,
    false_alarms: float,
    attack: Perturbation | None = None,
) -> Calibration:
    """Temperature and threshold of a trained network, from all validation images.

    answers: uint8 [64, R, R, 3] → logits [64, sources] and features [64, D].
    Raises UserError when a source has no validation image.
    """
    parts = []
    for pixels, true in _batches(data, np.arange(data.count), attack):
        parts.append([*(found.numpy()[: len(true)] for found in answers(pixels)), true])
    logits, features, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    try:
        return calibration.calibrate(logits, features, labels, data.checksum, false_alarms)
    except ValueError as error:
        raise UserError(
            f'{data.folder}: {error}, expected some of each to set the threshold of "unknown" on'
        ) from None


def _batches(
    data: DataSet, chosen: np.ndarray, attack: Perturbation | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images uint8 [64, R, R, 3], the last ones repeating the first, and as many label numbers."""
    assert data.labels is not None
    for start in range(0, len(chosen), ACCURACY_BATCH):
        indices = chosen[start : start + ACCURACY_BATCH]
        padded = np.pad(indices, (0, ACCURACY_BATCH - len(indices)))  # one shape, one graph
        pixels = data.images(padded)
        if attack:
            pairs = zip(pixels, padded, strict=True)
            pixels = np.stack([attack(image, int(index))[0] for image, index in pairs])
        yield pixels, np.argmax(data.labels[indices], axis=1)


def attack_by_name(attack: Perturbation, tested: str | Path) -> attribution.Change:
    """An attack on tested images, keyed by their path below `tested` as perturb.py does it."""
    folder = Path(tested) if Path(tested).is_dir() else Path(tested).parent

    def change(image: np.ndarray, path: Path) -> np.ndarray:
        return attack(image, str(path.relative_to(folder).with_suffix(".png")))[0]

    return change


def check_tables(arguments: argparse.Namespace) -> None:
    """UserError unless what `add_table_flags` names can be written."""
    for flag in ("out_csv", "out_json", "out_confusion", "out_scores"):
        if getattr(arguments, flag, None):
            commands.check_writable(Path(getattr(arguments, flag)), f"--{flag}")


def testing_images(arguments: argparse.Namespace) -> tuple[list[Path], list[str] | None]:
    """What `attribution.find_testing_images` finds, after all else was checked."""
    commands.existing_file(arguments.model_path, "--model_path")
    check_tables(arguments)
    return attribution.find_testing_images(arguments.testing_data_path)


def load_network(
    arguments: argparse.Namespace, kinds: Mapping[str, Callable[..., keras.Model]]
) -> networks_io.Loaded:
    """The network of --model_path, with --source_names; says so when names are assumed."""
    loaded = networks_io.load(
        arguments.model_path, kinds, "--model_path", names=arguments.source_names
    )
    if loaded.names_assumed:
        print(loaded.names_assumed)
    return loaded


def calibration_of(arguments: argparse.Namespace, loaded: networks_io.Loaded) -> Calibration | None:
    """What --unknown leaves of the network's calibration; says so when there is none."""
    if loaded.calibration is None:
        print(f"{arguments.model_path}: has no threshold for unknown sources; every image is named")
    found = loaded.calibration if arguments.unknown else None
    if arguments.out_scores and found is None:
        why = "--unknown 0" if loaded.calibration else f"{arguments.model_path} without scores"
        raise UserError(f"--out_scores: found {why}, expected a threshold; leave the flag out")
    return found


def with_progress(rows: Iterator[Attribution], count: int) -> list[Attribution]:
    """All rows, each printed above a progress bar as it arrives."""
    done = []
    with tqdm(total=count, unit="image", dynamic_ncols=True) as bar:
        for i, row in enumerate(rows):
            done.append(row)
            tqdm.write(findings.line(i, count, row))
            bar.update()
    return done


def write_results(
    arguments: argparse.Namespace,
    rows: Sequence[Attribution],
    truth: Sequence[str] | None,
    names: Sequence[str],
    scale: Calibration | None = None,
) -> None:
    """Prints the report, writes the files that were asked for and says where they are."""
    print(findings.report(rows, truth, names))
    if arguments.out_csv:
        findings.write_csv(arguments.out_csv, rows)
        print(f"table: {arguments.out_csv}")
    if arguments.out_json:
        findings.write_json(arguments.out_json, rows)
        print(f"JSON: {arguments.out_json}")
    if scale and arguments.out_scores:
        findings.write_scores(arguments.out_scores, rows, scale.score, scale.threshold)
        print(f"scores: {arguments.out_scores}")
    if truth and findings.write_confusion_png(arguments.out_confusion, rows, truth, names):
        print(f"confusion matrix: {arguments.out_confusion}")
