"""What is printed and written about images that were attributed."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from gan_fingerprints import metrics, program
from gan_fingerprints.attribution.answering import Change, Picture
from gan_fingerprints.attribution.attributor import Attributor, Examined
from gan_fingerprints.attribution.finding import find_testing_images
from gan_fingerprints.attribution.flags import CONFUSION, looks_of, rules_of, say_precision
from gan_fingerprints.attribution.pooling import Pools
from gan_fingerprints.attribution.summary import summarize, with_known_truth
from gan_fingerprints.attribution.verdict import (
    VERDICTS,
    Attribution,
    called,
    is_of_photographs,
    worded,
)
from gan_fingerprints.calibration import UNKNOWN, Calibration
from gan_fingerprints.data import groups
from gan_fingerprints.networks import files
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import cell, shown, shown_lines

if TYPE_CHECKING:
    import keras

RATIOS = ("log10_lr", "log10_outside")
TILED = ("tiles", "spread", "images", "agreement")
MORE = (*TILED, *RATIOS, "stable", "turned_by", "precision")  # in some rows


def line(i: int, n: int, row: Attribution) -> str:
    """One image's line of the log, as the 2019 release has it; `i` counts from 0 to `n` - 1."""
    likely = called(str(row.most_probable))
    answer = f"predicted as being sampled from {row.predicted}"
    if row.error is not None:
        answer = f"skipped: {row.error}"
    elif row.predicted == UNKNOWN:
        answer = f"predicted as being sampled from an unknown source (most like {likely})"
    elif row.predicted in VERDICTS:
        answer = f"{row.predicted} (most like {likely}): {row.reason}"
    return shown(f"Classifying {i}/{n} images: {row.path.name if row.path else ''}: {answer}")


def write_csv(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a table `path,predicted,probability,<one column per source>,reason,error`.

    The probability is that of the most probable source, whatever the verdict. Where images were
    seen in tiles, `tiles,spread,agreement` come before the reason; of pools, `images,agreement`;
    of networks with likelihood ratios `log10_lr`, of that source, and `log10_outside`; where
    sources were asked for again `stable,turned_by`; `precision` where it was not float32.
    """
    names = list(rows[0].probabilities) if rows else []
    of_tiles = _more(rows)
    table = [["path", "predicted", "probability", *map(cell, names), *of_tiles, "reason", "error"]]
    for row in rows:
        found = dict(vars(row), log10_lr=row.log10_of_likely)
        numbers = [row.probability, *row.probabilities.values(), *(found[x] for x in of_tiles)]
        cells = [p if isinstance(p, str) else "" if p is None else f"{p:.8g}" for p in numbers]
        table.append([*_cells(row.path, row.predicted), *cells, *_cells(row.reason, row.error)])
    _write_table(path, table)


def _more(rows: Sequence[Attribution]) -> list[str]:
    return [name for name in MORE if any(getattr(row, name) is not None for row in rows)]


def _cells(*names: object) -> list[str]:
    return ["" if name is None else cell(name) for name in names]


def _write_table(path: str | Path, table: Iterable[Iterable[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    program.write_whole(path, text.getvalue().encode())


def write_json(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a list of objects {path, predicted, probabilities: {source: p}, reason, error}."""
    of_tiles = _more(rows)
    several = ["opinions"] if any(row.opinions for row in rows) else []
    names = ("predicted", "probabilities", *several, *of_tiles, "reason", "error")
    table = [{"path": str(row.path)} | {name: getattr(row, name) for name in names} for row in rows]
    program.write_whole(path, (json.dumps(table, indent=1) + "\n").encode())


def write_confusion_png(
    path: str | Path, rows: Sequence[Attribution], truth: Sequence[str], source_names: Sequence[str]
) -> bool:
    """Writes the confusion matrix as a picture; False if no true source is known."""
    probabilities, labels = with_known_truth(rows, truth, source_names)
    if not len(labels):
        return False
    matrix = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(source_names))
    metrics.confusion_png(path, matrix, source_names)
    return True


def write_scores(
    path: str | Path, rows: Sequence[Attribution], score: str, threshold: float
) -> None:
    """Writes a table `path,predicted,most_probable,score,threshold,error`, a line per image.

    score: the name of the score, which heads its column.
    """
    table = [["path", "predicted", "most_probable", score, "threshold", "error"]]
    for row in rows:
        numbers = ["" if row.score is None else f"{row.score:.8g}", f"{threshold:.8g}"]
        names = _cells(row.path, row.predicted, row.most_probable)
        table.append([*names, *numbers, *_cells(row.error)])
    _write_table(path, table)


def attack_by_name(attack: Perturbation, tested: str | Path) -> Change:
    """An attack on tested images, keyed by their path below `tested` as perturb.py does it."""
    folder = Path(tested) if Path(tested).is_dir() else Path(tested).parent
    return partial(_attacked, attack, folder)


def _attacked(attack: Perturbation, folder: Path, image: np.ndarray, path: Path) -> np.ndarray:
    return attack(image, str(path.relative_to(folder).with_suffix(".png")))[0]


def check_tables(arguments: argparse.Namespace) -> None:
    """UserError unless what `TABLES` names can be written, in place of nothing unasked."""
    for flag in ("out_csv", "out_json", "out_confusion", "out_scores"):
        if getattr(arguments, flag, None):
            program.new_file(getattr(arguments, flag), f"--{flag}", arguments.overwrite)
    if arguments.out_confusion is None:
        program.check_writable(Path(CONFUSION), "--out_confusion")


def confusion_file(arguments: argparse.Namespace) -> str:
    """What --out_confusion names, or a name that no file has, unless --overwrite is given."""
    if arguments.out_confusion is not None:
        return arguments.out_confusion
    names = chain([CONFUSION], (f"{Path(CONFUSION).stem}_{i}.png" for i in count(2)))
    return next(name for name in names if arguments.overwrite or not os.path.lexists(name))


def testing_images(arguments: argparse.Namespace) -> tuple[list[Path], list[str] | None]:
    """What `find_testing_images` finds, after all else was checked."""
    program.existing_file(arguments.model_path, "--model_path")
    check_tables(arguments)
    paths, truth = find_testing_images(arguments.testing_data_path)
    groups_of(arguments, paths)
    return paths, truth


def groups_of(arguments: argparse.Namespace, paths: Sequence[object]) -> list[str] | None:
    """The group of each image by --group_by, None without; UserError if some have none."""
    if arguments.group_by is None:
        return None
    return groups.groups_of([str(path or "") for path in paths], arguments.group_by, "--group_by")


def load_network(
    arguments: argparse.Namespace, kinds: Mapping[str, Callable[..., keras.Model]], batch: int = 1
) -> files.Loaded:
    """The network of --model_path, with --source_names; says so when names are assumed.

    batch: images that it will be given at once.
    """
    loaded = files.load(arguments.model_path, kinds, "--model_path", arguments.source_names, batch)
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
    """The network of --model_path, with what the other options of `TESTING` say."""
    loaded = load_network(arguments, kinds, arguments.batch)
    loaded = replace(loaded, calibration=calibration_of(arguments, loaded))
    how = fingerprints, rules_of(arguments)
    attributor = Attributor.of(loaded, arguments.batch, *how, **looks_of(arguments))
    say_precision(attributor)
    return attributor


def pooled(
    attributor: Attributor, examined: Iterator[Examined[Picture]], count: int
) -> list[Attribution]:
    """A row for each folder of images, each image being printed as it arrives."""
    pools = Pools(attributor)

    def rows() -> Iterator[Attribution]:
        for one in examined:
            pools.add(one)
            yield one.row

    with_progress(rows(), count)
    found = pools.rows()
    for i, row in enumerate(found):
        print(line(i, len(found), row).replace("images: ", "pools: ", 1))
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
    """Prints the summary, writes the files that were asked for and says where they are.

    Raises:
        UserError: there was no room for one; the others are written.
    """
    one_each = [row.path for row in rows if row.images is None]  # not of a pool
    of_each = groups_of(arguments, one_each) if len(one_each) == len(rows) else None
    print(shown_lines(summarize(rows, truth, names, of_each)))
    for name in sorted({str(row.predicted) for row in rows if row.named}):
        if is_of_photographs(name):
            print(shown(f"sampled from {name}: this means {worded(name)}, no more"))
    files: list[tuple[str, str | None, Callable[[str], object]]] = [
        ("table", arguments.out_csv, lambda path: write_csv(path, rows)),
        ("JSON", arguments.out_json, lambda path: write_json(path, rows)),
    ]
    if scale:
        score, at = scale.score, scale.threshold
        files.append(
            ("scores", arguments.out_scores, lambda path: write_scores(path, rows, score, at))
        )
    if truth and len(with_known_truth(rows, truth, names)[1]):
        picture = partial(write_confusion_png, rows=rows, truth=truth, source_names=names)
        files.append(("confusion matrix", confusion_file(arguments), picture))
    failed = []
    for name, path, write in files:
        if path:
            try:
                write(path)
                print(shown(f"{name}: {path}"))
            except UserError as error:
                failed.append(error)
    if failed:
        raise failed[0]
