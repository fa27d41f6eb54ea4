"""What is printed and written about images that were attributed, and the flags that ask for it."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from gan_fingerprints import metrics, program
from gan_fingerprints.attribution.answering import Change
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.finding import find_testing_images
from gan_fingerprints.attribution.summary import summarize, with_known_truth
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, Attribution, Rules
from gan_fingerprints.calibration import UNKNOWN, Calibration
from gan_fingerprints.networks import files
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import UserError

if TYPE_CHECKING:
    import keras


def line(i: int, n: int, row: Attribution) -> str:
    """One image's line of the log; `i` counts from 0 to `n` - 1."""
    answer = f"predicted as being sampled from {row.predicted}"
    if row.error is not None:
        answer = f"skipped: {row.error}"
    elif row.predicted == UNKNOWN:
        answer = (
            f"predicted as being sampled from an unknown source (most like {row.most_probable})"
        )
    elif row.predicted == INCONCLUSIVE:
        answer = f"inconclusive (most like {row.most_probable}): {row.reason}"
    return f"Classifying {i}/{n} images: {row.path.name if row.path else ''}: {answer}"


def write_csv(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a table `path,predicted,probability,<one column per source>,reason,error`.

    The probability is that of the most probable source, whatever the verdict.
    """
    names = list(rows[0].probabilities) if rows else []
    with program.whole_file(path) as partial, open(partial, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "predicted", "probability", *names, "reason", "error"])
        for row in rows:
            numbers = [row.probability, *row.probabilities.values()]
            cells = ["" if p is None else f"{p:.8g}" for p in numbers]
            table.writerow([row.path, row.predicted, *cells, row.reason, row.error])


def write_json(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a list of objects {path, predicted, probabilities: {source: p}, reason, error}."""
    names = ("predicted", "probabilities", "reason", "error")
    table = [{"path": str(row.path)} | {name: getattr(row, name) for name in names} for row in rows]
    with program.whole_file(path) as partial:
        partial.write_text(json.dumps(table, indent=1) + "\n")


def write_confusion_png(
    path: str | Path,
    rows: Sequence[Attribution],
    truth: Sequence[str],
    source_names: Sequence[str],
) -> bool:
    """Writes the confusion matrix as a picture; False, without one, if no true source is known."""
    probabilities, labels = with_known_truth(rows, truth, source_names)
    if not len(labels):
        return False
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, len(source_names))
    metrics.confusion_png(path, matrix, source_names)
    return True


def write_scores(
    path: str | Path, rows: Sequence[Attribution], score: str, threshold: float
) -> None:
    """Writes a table `path,predicted,most_probable,score,threshold,error`, a line per image.

    score: the name of the score, which heads its column.
    """
    with program.whole_file(path) as partial, open(partial, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "predicted", "most_probable", score, "threshold", "error"])
        for row in rows:
            value = "" if row.score is None else f"{row.score:.8g}"
            cells = [row.path, row.predicted, row.most_probable, value, f"{threshold:.8g}"]
            table.writerow([*cells, row.error])


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
    group.add_argument("--unknown", type=program.switch, default="1", metavar="0|1",
                       help="1: answer \"unknown\" for images that fit no source of the network; "
                            "0: never")  # fmt: skip
    group.add_argument("--least_probability", type=program.between(0, 1), default=0.9,
                       metavar="P", help="inconclusive if the most probable source has "
                                         "less")  # fmt: skip
    group.add_argument("--least_size", type=program.between(0, 1), default=0.5, metavar="SHARE",
                       help="inconclusive if the shorter side of the image has less than this "
                            "share of the network's")  # fmt: skip
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
    group.add_argument("--batch", type=program.positive_int, default=64, metavar="N",
                       help="images per step; changes the speed, not the answers")  # fmt: skip


def attack_by_name(attack: Perturbation, tested: str | Path) -> Change:
    """An attack on tested images, keyed by their path below `tested` as perturb.py does it."""
    folder = Path(tested) if Path(tested).is_dir() else Path(tested).parent

    def change(image: np.ndarray, path: Path) -> np.ndarray:
        return attack(image, str(path.relative_to(folder).with_suffix(".png")))[0]

    return change


def check_tables(arguments: argparse.Namespace) -> None:
    """UserError unless what `add_table_flags` names can be written."""
    for flag in ("out_csv", "out_json", "out_confusion", "out_scores"):
        if getattr(arguments, flag, None):
            program.check_writable(Path(getattr(arguments, flag)), f"--{flag}")


def testing_images(arguments: argparse.Namespace) -> tuple[list[Path], list[str] | None]:
    """What `find_testing_images` finds, after all else was checked."""
    program.existing_file(arguments.model_path, "--model_path")
    check_tables(arguments)
    return find_testing_images(arguments.testing_data_path)


def load_network(
    arguments: argparse.Namespace, kinds: Mapping[str, Callable[..., keras.Model]]
) -> files.Loaded:
    """The network of --model_path, with --source_names; says so when names are assumed."""
    loaded = files.load(arguments.model_path, kinds, "--model_path", names=arguments.source_names)
    if loaded.names_assumed:
        print(loaded.names_assumed)
    return loaded


def calibration_of(arguments: argparse.Namespace, loaded: files.Loaded) -> Calibration | None:
    """What --unknown leaves of the network's calibration; says so when there is none."""
    if loaded.calibration is None:
        print(f"{arguments.model_path}: has no threshold; no image can be answered unknown")
    used = loaded.calibration if arguments.unknown else None
    if arguments.out_scores and used is None:
        why = "--unknown 0" if loaded.calibration else f"{arguments.model_path} without scores"
        raise UserError(f"--out_scores: found {why}, expected a threshold; leave the flag out")
    return used


def open_attributor(
    arguments: argparse.Namespace,
    kinds: Mapping[str, Callable[..., keras.Model]],
    fingerprints: bool = False,
) -> Attributor:
    """The network of --model_path, with what the other flags of `add_testing_flags` say."""
    loaded = load_network(arguments, kinds)
    loaded = replace(loaded, calibration=calibration_of(arguments, loaded))
    rules = Rules(arguments.least_probability, arguments.least_size)
    return Attributor.of(loaded, arguments.batch, fingerprints, rules)


def with_progress(rows: Iterator[Attribution], count: int) -> list[Attribution]:
    """All rows, each printed above a progress bar as it arrives."""
    done = []
    with tqdm(total=count, unit="image", dynamic_ncols=True) as bar:
        for i, row in enumerate(rows):
            done.append(row)
            tqdm.write(line(i, count, row))
            bar.update()
    return done


def write_results(
    arguments: argparse.Namespace,
    rows: Sequence[Attribution],
    truth: Sequence[str] | None,
    names: Sequence[str],
    scale: Calibration | None = None,
) -> None:
    """Prints the summary, writes the files that were asked for and says where they are."""
    print(summarize(rows, truth, names))
    if arguments.out_csv:
        write_csv(arguments.out_csv, rows)
        print(f"table: {arguments.out_csv}")
    if arguments.out_json:
        write_json(arguments.out_json, rows)
        print(f"JSON: {arguments.out_json}")
    if scale and arguments.out_scores:
        write_scores(arguments.out_scores, rows, scale.score, scale.threshold)
        print(f"scores: {arguments.out_scores}")
    if truth and write_confusion_png(arguments.out_confusion, rows, truth, names):
        print(f"confusion matrix: {arguments.out_confusion}")
