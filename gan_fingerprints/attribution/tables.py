"""What is printed and written about images that were attributed, and the flags that ask for it."""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gan_fingerprints import metrics, program, typed
from gan_fingerprints.attribution.attributor import Attribution, Change, find_testing_images
from gan_fingerprints.calibration import UNKNOWN, Calibration, area_under_roc, true_negatives_at
from gan_fingerprints.networks import files
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import UserError, option

if TYPE_CHECKING:
    import keras


def line(i: int, n: int, row: Attribution) -> str:
    """One image's line of the log; `i` counts from 0 to `n` - 1."""
    if row.error is not None:
        return f"Classifying {i}/{n} images: {row.path.name}: skipped: {row.error}"
    answer = f"predicted as being sampled from {row.predicted}"
    if row.predicted == UNKNOWN:
        answer = (
            f"predicted as being sampled from an unknown source (most like {row.most_probable})"
        )
    return f"Classifying {i}/{n} images: {row.path.name}: {answer}"


def write_csv(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a table `path,predicted,probability,<one column per source>,error`.

    The probability is that of the most probable source, also where the answer is "unknown".
    """
    names = list(rows[0].probabilities) if rows else []
    with program.whole_file(path) as partial, open(partial, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "predicted", "probability", *names, "error"])
        for row in rows:
            cells = ["" if p is None else f"{p:.8g}" for p in row.probabilities.values()]
            likely = row.most_probable
            probability = "" if likely is None else cells[names.index(likely)]
            table.writerow([row.path, row.predicted, probability, *cells, row.error])


def write_json(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a list of objects {path, predicted, probabilities: {source: p}, error}."""
    names = ("predicted", "probabilities", "error")
    table = [{"path": str(row.path)} | {name: getattr(row, name) for name in names} for row in rows]
    with program.whole_file(path) as partial:
        partial.write_text(json.dumps(table, indent=1) + "\n")


def report(
    rows: Sequence[Attribution], truth: Sequence[str] | None, source_names: Sequence[str]
) -> str:
    """The share of each source among the images and, where truth is known, how right that is.

    rows, truth: [N]. Images whose true source the network was not trained on are listed and left
    out of the accuracy; so are images that could not be read.
    """
    lines = _shares(rows, source_names)
    if truth is not None:
        lines += _against_truth(rows, truth, source_names)
    return "\n".join(lines)


def _shares(rows: Sequence[Attribution], source_names: Sequence[str]) -> list[str]:
    counts = Counter(row.predicted for row in rows)
    skipped = counts.pop(None, 0)
    total = len(rows) - skipped
    lines = [
        f"The percentage of images sampled from {name} is "
        f"{counts[name]}/{total} = {100 * counts[name] / max(total, 1):.2f}%"
        for name in source_names
    ]
    if any(row.score is not None for row in rows):
        share = 100 * counts[UNKNOWN] / max(total, 1)
        lines.append(
            f"The percentage of images of unknown sources is "
            f"{counts[UNKNOWN]}/{total} = {share:.2f}%"
        )
    if skipped:
        lines.append(f"Skipped: {skipped} of {len(rows)} images could not be used")
    return lines


def write_confusion_png(
    path: str | Path,
    rows: Sequence[Attribution],
    truth: Sequence[str],
    source_names: Sequence[str],
) -> bool:
    """Writes the confusion matrix as a picture; False, without one, if no true source is known."""
    probabilities, labels = _known(rows, truth, source_names)
    if not len(labels):
        return False
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, len(source_names))
    metrics.confusion_png(path, matrix, source_names)
    return True


def _known(
    rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, sources] and labels [n] of the images whose true source is in `names`."""
    labels = {name: label for label, name in enumerate(names)}
    pairs = [
        (list(row.probabilities.values()), labels[name])
        for row, name in zip(rows, truth, strict=True)
        if row.error is None and name in labels
    ]
    probabilities = np.array([p for p, _ in pairs], np.float64).reshape(-1, len(labels))
    return probabilities, np.array([label for _, label in pairs], np.int64)


def _against_truth(
    rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]
) -> list[str]:
    lines = []
    tested = (name for row, name in zip(rows, truth, strict=True) if row.error is None)
    if strangers := Counter(name for name in tested if name not in names):
        listed = ", ".join(
            f"{name} ({count} of {len(rows)} images)" for name, count in strangers.items()
        )
        lines.append(f"Left out of the accuracy, as no source of this network: {listed}")
    lines += _open_set(rows, truth, names)
    probabilities, labels = _known(rows, truth, names)
    if not len(labels):
        return [*lines, f"No accuracy: no folder is named as one of {', '.join(names)}"]
    return lines + _scores(probabilities, labels, names)


def _open_set(rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]) -> list[str]:
    """What the answer "unknown" did to images of known and of other sources."""
    scored = [(row, name) for row, name in zip(rows, truth, strict=True) if row.score is not None]
    known = [row for row, name in scored if name in names]
    strange = [row for row, name in scored if name not in names]
    lines = []
    for group, what in ((known, "known"), (strange, "other")):
        if group:
            rejected = sum(row.predicted == UNKNOWN for row in group)
            low, high = metrics.wilson_interval(rejected, len(group))
            lines.append(
                f"Answered unknown, of images of {what} sources: {rejected}/{len(group)} = "
                f"{100 * rejected / len(group):.2f}% "
                f"(95% interval {100 * low:.2f}% to {100 * high:.2f}%)"
            )
    if known:
        lines.append(f"  of each: {_unknown_of_each(scored, names)}")
    if known and strange:
        inside, outside = (np.array([row.score for row in group]) for group in (known, strange))
        lines.append(
            f"Known or other source: AUROC {area_under_roc(inside, outside):.4f}, others found "
            f"where 95% of the known pass {100 * true_negatives_at(inside, outside):.2f}%"
        )
    return lines


def _unknown_of_each(scored: Sequence[tuple[Attribution, str]], names: Sequence[str]) -> str:
    """How many images of each known source were answered "unknown": "real 2/50, ProGAN 0/50"."""
    tested = Counter(name for _, name in scored)
    rejected = Counter(name for row, name in scored if row.predicted == UNKNOWN)
    return ", ".join(f"{name} {rejected[name]}/{tested[name]}" for name in names if tested[name])


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


def _scores(probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> list[str]:
    predicted = probabilities.argmax(axis=1)
    correct, total = int((predicted == labels).sum()), len(labels)
    low, high = metrics.wilson_interval(correct, total)
    lines = [
        # Of the most probable names, also where the answer was "unknown".
        f"Accuracy: {correct}/{total} = {100 * correct / total:.2f}% "
        f"(95% interval {100 * low:.2f}% to {100 * high:.2f}%)",
        "Expected calibration error: "
        f"{metrics.expected_calibration_error(probabilities, labels):.4f}",
    ]
    is_real = np.array(["real" in name.lower() for name in names])
    precision, area = metrics.real_or_generated(
        is_real[labels], 1 - probabilities[:, is_real].sum(axis=1)
    )
    if not np.isnan(area):
        real = ", ".join(np.array(names)[is_real])
        lines.append(f"Real ({real}) or generated: AP {precision:.4f}, AUC {area:.4f}")
    matrix = metrics.confusion_matrix(labels, predicted, len(names))
    return [*lines, "", metrics.confusion_text(matrix, names)]


def model_options(needed: Any = None) -> dict[str, Any]:
    """A trained network and images for it. `needed`: REQUIRED if the program always needs them."""
    return {
        "--model_path": option(typed.file, needed, "a network of ours, or a published one"),
        "--source_names": option(
            typed.names, None, "sources of a published network, in order, as its file lacks them"
        ),
        "--testing_data_path": option(
            typed.path, needed, "an image, or a folder of images or of one subfolder per source"
        ),
        "--batch": option(typed.positive_int, 64, "images per step; changes only the speed"),
    }


TRAINING = {
    "--training_data_dir": option(typed.folder, None, "data set that data_preparation.py wrote"),
    "--validation_data_dir": option(
        typed.folder, None, "another of the same sources, for accuracy"
    ),
    "--out_model_dir": option(typed.folder, None, "networks, settings, log and checkpoints"),
}
TABLES = {
    "--out_csv": option(typed.file, None, "write all probabilities as a table"),
    "--out_json": option(typed.file, None, "write all probabilities as JSON"),
    "--out_confusion": option(
        typed.file, "confusion_matrix.png", "confusion matrix as a picture, where truth is known"
    ),
}
TESTING = {
    **model_options(),
    **TABLES,
    "--unknown": option(
        typed.switch, True, '1: "unknown" for what fits no source; 0: always the most probable one'
    ),
    "--out_scores": option(typed.file, None, "write a table of how well images fit known sources"),
}


def attack_by_name(attack: Perturbation, tested: str | Path) -> Change:
    """An attack on tested images, keyed by their path below `tested` as perturb.py does it."""
    folder = Path(tested) if Path(tested).is_dir() else Path(tested).parent

    def change(image: np.ndarray, path: Path) -> np.ndarray:
        return attack(image, str(path.relative_to(folder).with_suffix(".png")))[0]

    return change


def check_tables(arguments: argparse.Namespace) -> None:
    """UserError unless what `TABLES` names can be written."""
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
    """Prints the report, writes the files that were asked for and says where they are."""
    print(report(rows, truth, names))
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
