"""Trains a visNet, or names the source of images with a trained one and shows fingerprints."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import dataclasses

from classifier_visNet.config import PRESETS, Config
from gan_fingerprints import program, typed
from gan_fingerprints.attribution.flags import TESTING, TRAINING
from gan_fingerprints.attribution.tables import (
    open_attributor,
    testing_images,
    with_progress,
    write_results,
)
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.training import begin
from gan_fingerprints.training.classifying import open_splits
from gan_fingerprints.training.run import RUN

DESCRIPTION = """\
Trains a visNet, the attribution classifier whose fingerprints can be looked at, or names the source
of images with a trained one.

  python3 run.py --app train --training_data_dir datasets/training \\
      --validation_data_dir datasets/validation --out_model_dir models/GAN_classifier
  python3 run.py --app test --model_path models/GAN_classifier/network-final.safetensors \\
      --testing_data_path images/ --out_fingerprint_dir fingerprints/GAN_classifier_visNet

The folder to test may hold images of any size and format. If it has one subfolder per source,
accuracy, precision, recall and the confusion matrix are reported too. Training ends with setting
the threshold below which images are answered "unknown"."""


APP = {"--app": option(typed.one_of("train", "test"), REQUIRED, "train, or test images")}
TEST = {
    **TESTING,
    "--out_fingerprint_dir": option(
        typed.folder, None, "new folder for pictures and arrays of fingerprints and responses"
    ),
}


def check_groups(config: Config, devices: int) -> None:
    """UserError unless the minibatch of a device divides into groups for the critic."""
    share, group = config.minibatch // devices, config.mbstd_group_size
    if group and share % min(group, share):
        raise UserError(
            f"--minibatch {config.minibatch}: {share} images per device are not a multiple of "
            f"--mbstd_group_size {group}; change one of them"
        )


def train(arguments: argparse.Namespace) -> None:
    program.require(arguments, "train", "training_data_dir", "validation_data_dir", "out_model_dir")
    config = program.options_from(arguments, Config, PRESETS[arguments.preset])
    devices = begin.devices(arguments)
    data, validation = open_splits(arguments, config.minibatch, devices)
    check_groups(config, devices)
    start = begin.Start(
        arguments, arguments.out_model_dir, command="classifier_visNet/run.py --app train",
        config=dataclasses.asdict(config), seed=config.training_seed, data=data,
        validation=validation,
    )  # fmt: skip
    from classifier_visNet import training

    num_sources = len(data.source_names or [])
    trainer = training.Trainer(config, data.resolution, num_sources, start.strategy, start.xla)
    if arguments.init_from:
        trainer.start_from(arguments.init_from, data.source_names)
    if run := start.open_run():
        training.train(trainer, data, validation, run)


def test(arguments: argparse.Namespace) -> None:
    program.require(arguments, "test", "model_path", "testing_data_path")
    out_dir = arguments.out_fingerprint_dir
    if out_dir:
        program.new_output(out_dir, "--out_fingerprint_dir")
    paths, truth = testing_images(arguments)
    program.load_tensorflow()
    from classifier_visNet import testing
    from classifier_visNet.networks import AutoEncoder

    attributor = open_attributor(arguments, {"visnet_autoencoder": AutoEncoder}, fingerprints=True)
    if not out_dir:
        rows = with_progress(attributor.attribute(paths), len(paths))
    else:
        with testing.fingerprint_folder(out_dir, attributor, paths, truth) as folder:
            kept = (folder.add(one) for one in attributor.examine(paths))
            rows = with_progress(kept, len(paths))
    write_results(arguments, rows, truth, attributor.source_names, attributor.calibration)
    if out_dir:
        print(f"fingerprints: {out_dir}")


def main() -> None:
    groups = (
        ("train", TRAINING, begin.preset_option()),
        ("test", TEST),
        ("what to train", Config),
        *RUN,
    )
    arguments = program.Parser(DESCRIPTION, APP, *groups).parse_args()
    (train if arguments.app == "train" else test)(arguments)


if __name__ == "__main__":
    program.run(main)
