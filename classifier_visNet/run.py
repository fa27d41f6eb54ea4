"""Trains a visNet, or names the source of images with a trained one and shows fingerprints."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
import dataclasses
import json

from classifier_visNet.config import Config
from gan_fingerprints import program
from gan_fingerprints.attribution.measuring import open_splits, require_same_network
from gan_fingerprints.attribution.tables import (
    add_testing_flags,
    add_training_flags,
    open_attributor,
    testing_images,
    with_progress,
    write_results,
)
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from gan_fingerprints.training.run import (
    Execution,
    add_run_flags,
    data_facts,
    open_run,
    set_up_tensorflow,
)

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
    parser = program.Parser(description=DESCRIPTION)
    parser.add_argument("--app", choices=("train", "test"), required=True,
                        help="train a visNet, or test images")  # fmt: skip
    add_training_flags(parser)
    test = add_testing_flags(parser)
    test.add_argument("--out_fingerprint_dir", metavar="DIR",
                      help="new folder for pictures and arrays of model fingerprints, image "
                           "fingerprints and responses")  # fmt: skip
    program.add_options(parser, "what to train", Config)
    add_run_flags(parser)
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
    program.require(arguments, "train", "training_data_dir", "validation_data_dir", "out_model_dir")
    config = program.options_from(arguments, Config)
    execution = program.options_from(arguments, Execution)
    gpus = max(1, execution.num_gpus or 1)
    data, validation = open_splits(arguments, config.minibatch, gpus)
    check_groups(config, gpus)
    settings = {
        "command": "classifier_visNet/run.py --app train",
        "config": dataclasses.asdict(config),
        "mixed_precision": execution.mixed_precision,
        "num_gpus": execution.num_gpus,
        "init_from": arguments.init_from,
        "data": data_facts(data),
        "validation_data": data_facts(validation),
    }
    print(json.dumps(settings, indent=2))
    strategy = set_up_tensorflow(execution)
    from classifier_visNet import training
    from classifier_visNet.networks import AutoEncoder

    initial = None
    if arguments.init_from:
        kinds = {"visnet_autoencoder": AutoEncoder}
        old = files.load(arguments.init_from, kinds, "--init_from")
        names = ("fmap_base", "fmap_max", "correlation", "use_pixelnorm")
        asked = {name: getattr(config, name) for name in names}
        require_same_network(arguments.init_from, old, asked, data)
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
    arguments = parse_arguments()
    (train if arguments.app == "train" else test)(arguments)


if __name__ == "__main__":
    program.run(main)
