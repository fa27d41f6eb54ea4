"""Trains the attribution classifier, or names the source of images with a trained one."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import dataclasses

from classifier.config import PRESETS, Config, flags_of
from gan_fingerprints import program, typed
from gan_fingerprints.attribution.flags import TESTING, TRAINING
from gan_fingerprints.attribution.tables import (
    attack_by_name,
    open_attributor,
    pooled,
    testing_images,
    with_progress,
    write_results,
)
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.program import REQUIRED, option
from gan_fingerprints.training import begin
from gan_fingerprints.training.classifying import open_splits
from gan_fingerprints.training.run import RUN

DESCRIPTION = f"""\
Trains the attribution classifier, or names the source of images with a trained one.

  python3 run.py --app train --training_data_dir datasets/training \\
      --validation_data_dir datasets/validation --out_model_dir models/GAN_classifier
  python3 run.py --app test --model_path models/GAN_classifier/network-final.safetensors \\
      --testing_data_path images/ --out_csv results.csv

The folder to test may hold images of any size and format. If it has one subfolder per source,
accuracy, precision, recall and the confusion matrix are reported too. Training ends with setting
the threshold below which images are answered "unknown".

The defaults of --network residual, where they are not those below, are

{flags_of("residual")}"""


OUTSIDE = {
    "--outside_data_dir": option(
        typed.folder,
        None,
        "data set of images of sources outside, which likelihood ratios are fitted on beside "
        "pseudo-unknowns",
    )
}
TRAIN = ("train", TRAINING | OUTSIDE, begin.preset_option())
APP = {"--app": option(typed.one_of("train", "test"), REQUIRED, "train, or test images")}


def train(arguments: argparse.Namespace) -> None:
    program.require(arguments, "train", "training_data_dir", "validation_data_dir", "out_model_dir")
    preset = PRESETS[arguments.preset][arguments.network or "paper"]
    config = program.options_from(arguments, Config, preset)
    data, validation = open_splits(arguments, config.minibatch, begin.devices(arguments))
    outside = outside_data(arguments, config, data)
    config.network_arguments(data.resolution)  # fit the data, or say so now
    config.augmentation(data.resolution)
    start = begin.Start(
        arguments, arguments.out_model_dir, command="classifier/run.py --app train",
        config=dataclasses.asdict(config), seed=config.training_seed, data=data,
        validation=validation,
    )  # fmt: skip
    from classifier import training

    num_sources = len(data.source_names or [])
    trainer = training.Trainer(config, data.resolution, num_sources, start.strategy, start.xla)
    if arguments.init_from:
        trainer.start_from(arguments.init_from, data.source_names)
    if run := start.open_run():
        training.train(trainer, data, validation, run, outside)


def outside_data(arguments: argparse.Namespace, config: Config, data: DataSet) -> DataSet | None:
    """The data set of --outside_data_dir; UserError unless it is of use."""
    if arguments.outside_data_dir is None:
        return None
    flag = f"--outside_data_dir {arguments.outside_data_dir}"
    if not config.likelihoods:
        raise program.UserError(f"{flag}: only with --likelihoods 1; add it, or leave this out")
    outside = DataSet.open(
        arguments.outside_data_dir, "--outside_data_dir", needs_labels=True, verify=arguments.verify
    )
    if outside.resolution != data.resolution:
        raise program.UserError(
            f"{flag}: {outside.resolution} pixels, expected {data.resolution} as the training data"
        )
    shared = sorted(set(outside.source_names or []).intersection(data.source_names or []))
    if shared:
        raise program.UserError(
            f"{flag}: has images of {', '.join(shared)}, as the training data; expected other "
            "sources only"
        )
    return outside


def test(arguments: argparse.Namespace) -> None:
    program.require(arguments, "test", "model_path", "testing_data_path")
    config = program.options_from(arguments, Config)
    paths, truth = testing_images(arguments)
    program.load_tensorflow()
    kinds = files.constructors("classifier", "residual", "cooccurrence")
    attributor = open_attributor(arguments, kinds)
    attack = config.perturbation()
    change = attack and attack_by_name(attack, arguments.testing_data_path)
    if arguments.pool == "folder":
        rows = pooled(attributor, attributor.examine(paths, change), len(paths))
        of_folder = dict(zip((path.parent for path in paths), truth or (), strict=False))
        truth = [of_folder[row.path] for row in rows] if truth else None
    else:
        rows = with_progress(attributor.attribute(paths, change), len(paths))
    write_results(arguments, rows, truth, attributor.source_names, attributor.calibration)


def main() -> None:
    groups = (TRAIN, ("test", TESTING), ("what to train", Config), *RUN)
    arguments = program.Parser(DESCRIPTION, APP, *groups).parse_args()
    (train if arguments.app == "train" else test)(arguments)


if __name__ == "__main__":
    program.run(main)
