"""Trains the attribution classifier, or names the source of images with a trained one."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
import dataclasses
import json

from classifier.config import Config
from gan_fingerprints import program
from gan_fingerprints.attribution.measuring import open_splits, require_same_network
from gan_fingerprints.attribution.tables import (
    add_testing_flags,
    add_training_flags,
    attack_by_name,
    open_attributor,
    testing_images,
    with_progress,
    write_results,
)
from gan_fingerprints.networks import files
from gan_fingerprints.training.run import (
    Execution,
    add_run_flags,
    data_facts,
    open_run,
    set_up_tensorflow,
)

DESCRIPTION = """\
Trains the attribution classifier, or names the source of images with a trained one.

  python3 run.py --app train --training_data_dir datasets/training \\
      --validation_data_dir datasets/validation --out_model_dir models/GAN_classifier
  python3 run.py --app test --model_path models/GAN_classifier/network-final.safetensors \\
      --testing_data_path images/ --out_csv results.csv

The folder to test may hold images of any size and format. If it has one subfolder per source,
accuracy, precision, recall and the confusion matrix are reported too. Training ends with setting
the threshold below which images are answered "unknown"."""


def parse_arguments() -> argparse.Namespace:
    parser = program.Parser(description=DESCRIPTION)
    parser.add_argument("--app", choices=("train", "test"), required=True,
                        help="train a classifier, or test images")  # fmt: skip
    add_training_flags(parser)
    add_testing_flags(parser)
    program.add_options(parser, "what to train", Config)
    add_run_flags(parser)
    return parser.parse_args()


def train(arguments: argparse.Namespace) -> None:
    program.require(arguments, "train", "training_data_dir", "validation_data_dir", "out_model_dir")
    config = program.options_from(arguments, Config)
    execution = program.options_from(arguments, Execution)
    gpus = max(1, execution.num_gpus or 1)
    data, validation = open_splits(arguments, config.minibatch, gpus)
    network_arguments = config.network_arguments(data.resolution)
    settings = {
        "command": "classifier/run.py --app train",
        "config": dataclasses.asdict(config),
        "mixed_precision": execution.mixed_precision,
        "num_gpus": execution.num_gpus,
        "init_from": arguments.init_from,
        "data": data_facts(data),
        "validation_data": data_facts(validation),
    }
    print(json.dumps(settings, indent=2))
    strategy = set_up_tensorflow(execution)
    from classifier import training
    from classifier.networks import Classifier

    initial = None
    if arguments.init_from:
        old = files.load(arguments.init_from, {"classifier": Classifier}, "--init_from")
        require_same_network(arguments.init_from, old, network_arguments, data)
        initial = files.arrays_of(old.network)
    if arguments.dry_run:
        print("dry run: everything fits; nothing was written")
        return
    run = open_run(arguments.out_model_dir, settings, execution, arguments.resume)
    if run is None:
        print(f"{arguments.out_model_dir}: this run is finished")
        return
    training.train(config, data, validation, run, strategy, execution.xla, initial)


def test(arguments: argparse.Namespace) -> None:
    program.require(arguments, "test", "model_path", "testing_data_path")
    config = program.options_from(arguments, Config)
    paths, truth = testing_images(arguments)
    program.load_tensorflow()
    from classifier.networks import Classifier

    attributor = open_attributor(arguments, {"classifier": Classifier})
    attack = config.perturbation()
    change = attack and attack_by_name(attack, arguments.testing_data_path)
    rows = with_progress(attributor.attribute(paths, change), len(paths))
    write_results(arguments, rows, truth, attributor.source_names, attributor.calibration)


def main() -> None:
    arguments = parse_arguments()
    (train if arguments.app == "train" else test)(arguments)


if __name__ == "__main__":
    program.run(main)
