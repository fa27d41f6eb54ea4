"""Attributes images by nearest neighbours, Eigenfaces or camera noise, to compare with."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
from collections.abc import Sequence
from functools import partial

import numpy as np

from classifier import baseline_files, baseline_methods, cooccurrence
from classifier.baseline_methods import Baseline, images_of
from gan_fingerprints import program, typed
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.answering import Picture
from gan_fingerprints.attribution.finding import find_testing_images
from gan_fingerprints.attribution.flags import TABLES, TRAINING, model_options
from gan_fingerprints.attribution.seeing import Whole
from gan_fingerprints.attribution.tables import (
    check_tables,
    groups_of,
    with_progress,
    write_results,
)
from gan_fingerprints.attribution.verdict import row_of
from gan_fingerprints.networks.own_format import holds_network
from gan_fingerprints.program import UserError, option
from gan_fingerprints.training.classifying import open_splits
from gan_fingerprints.training.run import STARTING

DESCRIPTION = """\
Attributes images with the methods that the classifier is compared with.

  python3 baselines.py --method prnu --training_data_dir datasets/training \\
      --validation_data_dir datasets/validation --out_model prnu.safetensors \\
      --testing_data_path ../GAN_classifier_datasets/test/
  python3 baselines.py --model_path prnu.safetensors --testing_data_path images/

knn: nearest neighbours by pixels; eigenface: principal components and a linear support vector
machine; prnu: the sources' mean noise residuals, as cameras are identified; cooccurrence: counts of
neighbouring residuals and a linear discriminant. Hyper-parameters are chosen by accuracy on the
validation images. Methods without probabilities show the softmax of
their scores instead, which is good for ranking only. What cooccurrence writes is a network, which
run.py --app test and gan-fingerprints attribute take like any other."""

METHODS = baseline_methods.METHODS | {cooccurrence.Cooccurrence.name: cooccurrence.Cooccurrence}

FIT = {
    "--method": option(typed.one_of(*METHODS), None, "what to fit"),
    "--training_data_dir": TRAINING["--training_data_dir"],
    "--validation_data_dir": option(
        typed.folder, None, "another of the same sources, to choose by"
    ),
    "--training_images": option(
        typed.positive_int, 5000, "N at most, of all sources; all are in memory"
    ),
    "--verify": STARTING["--verify"],
    "--out_model": option(typed.new_file(".safetensors"), None, "where the fitted method goes"),
}
TEST = {
    "--model_path": option(typed.file, None, "a fitted method, instead of fitting"),
    "--testing_data_path": model_options()["--testing_data_path"],
    **TABLES,
}


def fit(arguments: argparse.Namespace) -> tuple[Baseline, dict]:
    """The fitted method and the header of its file; both are written."""
    for flag in ("training_data_dir", "validation_data_dir", "out_model"):
        if getattr(arguments, flag) is None:
            raise UserError(f"--{flag} is missing: fitting needs it; see --help")
    program.new_file(arguments.out_model, "--out_model", arguments.overwrite)
    data, validation = open_splits(arguments, minibatch=1, devices=1)
    if arguments.training_images < (sources := len(data.source_names or [])):
        raise UserError(
            f"--training_images {arguments.training_images}: expected {sources} or more, one of "
            "every source"
        )
    method = METHODS[arguments.method]()
    train = images_of(data, arguments.training_images)
    trials = method.fit(train, images_of(validation, validation.count))
    for trial in trials:
        words = " ".join(f"{name} {value:g}" for name, value in trial.parameters.items())
        mark = " (chosen)" if trial.parameters == method.parameters else ""
        print(f"{words}: validation accuracy {trial.accuracy:.2%}{mark}")
    header = {
        "source_names": data.source_names,
        "resolution": data.resolution,
        "training_images": len(train.pixels),
        "data": data.checksum,
        "validation_data": validation.checksum,
    }
    if isinstance(method, cooccurrence.Cooccurrence):
        method.save(arguments.out_model, header)
    else:
        baseline_files.save(arguments.out_model, method, header)
    print(f"fitted on {len(train.pixels)} images: {arguments.out_model}")
    return method, header


def load(path: str) -> tuple[Baseline, dict]:
    """A method that was fitted, and the header of its file."""
    own = holds_network(program.existing_file(path, "--model_path"))
    return (cooccurrence if own else baseline_files).load(path, "--model_path")


def rows_of(method: Baseline, header: dict, paths: list[Path]):
    """What each image is attributed to, as it is read."""

    def answer(pictures: Sequence[Picture]) -> np.ndarray:
        return method.probabilities(np.concatenate([x.pixels for x in pictures]))

    side = header["resolution"]
    read, batch = partial(answering.read, seeing=Whole(side)), baseline_files.batch(side)
    answered = answering.answered(read, paths, answer, batch)
    return (row_of(*pair, header["source_names"]) for pair in answered)


def main() -> None:
    arguments = program.Parser(DESCRIPTION, ("fit", FIT), ("test", TEST)).parse_args()
    if bool(arguments.model_path) == bool(arguments.method):
        found = "both" if arguments.method else "neither"
        raise UserError(f"--method and --model_path: found {found}, expected one of them")
    if arguments.model_path and not arguments.testing_data_path:
        raise UserError("--testing_data_path is missing: --model_path needs it; see --help")
    check_tables(arguments)
    tested = arguments.testing_data_path and find_testing_images(arguments.testing_data_path)
    if tested:
        groups_of(arguments, tested[0])  # which may fail, and then before the work
    if arguments.method:
        method, header = fit(arguments)
    else:
        method, header = load(arguments.model_path)
    if tested:
        paths, truth = tested
        rows = with_progress(rows_of(method, header, paths), len(paths))
        write_results(arguments, rows, truth, header["source_names"])


if __name__ == "__main__":
    program.run(main)
