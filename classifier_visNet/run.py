"""Trains a visNet, or names the source of images with a trained one and shows fingerprints."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
import dataclasses
import json

from classifier_visNet.config import Config
from gan_fingerprints import classifying, commands, networks_io, runs
from gan_fingerprints.commands import UserError

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


def parse_arguments() -> argparse.Namespace:
    parser = commands.Parser(description=DESCRIPTION)
    parser.add_argument("--app", choices=("train", "test"), required=True,
                        help="train a visNet, or test images")  # fmt: skip
    classifying.add_training_flags(parser)
    test = classifying.add_testing_flags(parser)
    test.add_argument("--out_fingerprint_dir", metavar="DIR",
                      help="new folder for pictures and arrays of model fingerprints, image "
                           "fingerprints and responses")  # fmt: skip
    commands.add_options(parser, "what to train", Config)
    runs.add_run_flags(parser)
    return parser.parse_args()


def check_groups(config: Config, gpus: int) -> None:
    """UserError unless the minibatch of a device divides into groups for the critic."""
    share, group = config.minibatch // gpus, config.mbstd_group_size
    if group and share % min(group, share):
        raise UserError(
            f"--minibatch {config.minibatch}: {share} images per device are not a multiple of "
            f"--mbstd_group_size {group}; change one of them"
        )


def train(arguments: argparse.Namespace) -> None:
    commands.require(
        arguments, "train", "training_data_dir", "validation_data_dir", "out_model_dir"
    )
    config = commands.options_from(arguments, Config)
    execution = commands.options_from(arguments, runs.Execution)
    gpus = max(1, execution.num_gpus or 1)
    data, validation = classifying.open_splits(arguments, config.minibatch, gpus)
    check_groups(config, gpus)
    settings = {
        "command": "classifier_visNet/run.py --app train",
        "config": dataclasses.asdict(config),
        "mixed_precision": execution.mixed_precision,
        "num_gpus": execution.num_gpus,
        "init_from": arguments.init_from,
        "data": runs.data_facts(data),
        "validation_data": runs.data_facts(validation),
    }
    print(json.dumps(settings, indent=2))
    strategy = runs.set_up_tensorflow(execution)
    from classifier_visNet import training
    from classifier_visNet.networks import AutoEncoder

    initial = None
    if arguments.init_from:
        kinds = {"visnet_autoencoder": AutoEncoder}
        old = networks_io.load(arguments.init_from, kinds, "--init_from")
        names = ("fmap_base", "fmap_max", "correlation", "use_pixelnorm")
        asked = {name: getattr(config, name) for name in names}
        classifying.require_same_network(arguments.init_from, old, asked, data)
        initial = networks_io.arrays_of(old.network)
    if arguments.dry_run:
        print("dry run: everything fits; nothing was written")
        return
    run = runs.open_run(arguments.out_model_dir, settings, execution, arguments.resume)
    if run is None:
        print(f"{arguments.out_model_dir}: this run is finished")
        return
    training.train(config, data, validation, run, strategy, execution.xla, initial)


def test(arguments: argparse.Namespace) -> None:
    commands.require(arguments, "test", "model_path", "testing_data_path")
    out_dir = arguments.out_fingerprint_dir
    if out_dir:
        commands.new_output(out_dir, "--out_fingerprint_dir")
    paths, truth = classifying.testing_images(arguments)
    commands.load_tensorflow()
    from classifier_visNet import testing
    from classifier_visNet.networks import AutoEncoder

    loaded = classifying.load_network(arguments, {"visnet_autoencoder": AutoEncoder})
    calibration = classifying.calibration_of(arguments, loaded)
    examiner = testing.Examiner(loaded.network, loaded.source_names, arguments.batch, calibration)
    examined = examiner.examine(paths)
    if not out_dir:
        rows = classifying.with_progress((found.row for found in examined), len(paths))
    else:
        with testing.fingerprint_folder(out_dir, examiner, paths, truth) as folder:
            kept = (folder.add(found) for found in examined)
            rows = classifying.with_progress(kept, len(paths))
    classifying.write_results(arguments, rows, truth, loaded.source_names, calibration)
    if out_dir:
        print(f"fingerprints: {out_dir}")


def main() -> None:
    arguments = parse_arguments()
    (train if arguments.app == "train" else test)(arguments)


if __name__ == "__main__":
    commands.run(main)
