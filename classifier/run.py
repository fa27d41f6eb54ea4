"""Trains the attribution classifier, or names the source of images with a trained one."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
import dataclasses
import json

from tqdm import tqdm

from classifier.config import Config
from gan_fingerprints import attribution, commands, networks_io, runs
from gan_fingerprints.commands import UserError
from gan_fingerprints.tfrecords import DataSet

DESCRIPTION = """\
Trains the attribution classifier, or names the source of images with a trained one.

  python3 run.py --app train --training_data_dir datasets/training \\
      --validation_data_dir datasets/validation --out_model_dir models/GAN_classifier
  python3 run.py --app test --model_path models/GAN_classifier/network-final.safetensors \\
      --testing_data_path images/ --out_csv results.csv

The folder to test may hold images of any size and format. If it has one subfolder per source,
accuracy, precision, recall and the confusion matrix are reported too."""


def parse_arguments() -> argparse.Namespace:
    parser = commands.Parser(description=DESCRIPTION)
    parser.add_argument("--app", choices=("train", "test"), required=True,
                        help="train a classifier, or test images")  # fmt: skip
    train = parser.add_argument_group("train")
    train.add_argument("--training_data_dir", metavar="DIR",
                       help="data set that data_preparation.py wrote")  # fmt: skip
    train.add_argument("--validation_data_dir", metavar="DIR",
                       help="another one, of the same sources, to measure accuracy on")  # fmt: skip
    train.add_argument("--out_model_dir", metavar="DIR",
                       help="where networks, settings, log and checkpoints go")  # fmt: skip
    test = parser.add_argument_group("test")
    test.add_argument("--model_path", metavar="FILE", help="a classifier that training wrote")
    test.add_argument("--testing_data_path", metavar="PATH",
                      help="an image, a folder of images, or a folder of one subfolder per "
                           "source")  # fmt: skip
    test.add_argument("--out_csv", metavar="FILE", help="write all probabilities as a table")
    test.add_argument("--out_json", metavar="FILE", help="write all probabilities as JSON")
    test.add_argument("--out_confusion", metavar="FILE", default="confusion_matrix.png",
                      help="picture of the confusion matrix, where the truth is known")  # fmt: skip
    test.add_argument("--batch", type=commands.positive_int, default=64, metavar="N",
                      help="images per step; changes the speed, not the answers")  # fmt: skip
    commands.add_options(parser, "what to train", Config)
    runs.add_run_flags(parser)
    return parser.parse_args()


def check(config: Config, data: DataSet, validation: DataSet, gpus: int) -> None:
    """UserError unless both splits and the settings fit each other."""
    if validation.source_names != data.source_names:
        raise UserError(
            f"--validation_data_dir {validation.folder}: its sources are "
            f"{', '.join(validation.source_names)}; expected those of the training data: "
            f"{', '.join(data.source_names)}"
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
    if config.minibatch % gpus:
        raise UserError(f"--minibatch {config.minibatch}: not a multiple of {gpus} GPUs")


def train(arguments: argparse.Namespace) -> None:
    commands.require(
        arguments, "train", "training_data_dir", "validation_data_dir", "out_model_dir"
    )
    config = commands.options_from(arguments, Config)
    execution = commands.options_from(arguments, runs.Execution)
    data = DataSet.open(arguments.training_data_dir, "--training_data_dir", needs_labels=True)
    validation = DataSet.open(
        arguments.validation_data_dir, "--validation_data_dir", needs_labels=True
    )
    check(config, data, validation, max(1, execution.num_gpus or 1))
    settings = {
        "command": "classifier/run.py --app train",
        "config": dataclasses.asdict(config),
        "mixed_precision": execution.mixed_precision,
        "num_gpus": execution.num_gpus,
        "init_from": arguments.init_from,
        "data": runs.data_facts(data),
        "validation_data": runs.data_facts(validation),
    }
    print(json.dumps(settings, indent=2))
    strategy = runs.set_up_tensorflow(execution)
    from classifier import training
    from classifier.networks import Classifier

    initial = None
    if arguments.init_from:
        old = networks_io.load(arguments.init_from, {"classifier": Classifier}, "--init_from")
        require_same_network(arguments.init_from, old, config, data)
        initial = networks_io.arrays_of(old.network)
    if arguments.dry_run:
        print("dry run: everything fits; nothing was written")
        return
    run = runs.open_run(arguments.out_model_dir, settings, execution, arguments.resume)
    if run is None:
        print(f"{arguments.out_model_dir}: this run is finished")
        return
    training.train(config, data, validation, run, strategy, execution.xla, initial)


def require_same_network(path: str, old: networks_io.Loaded, config: Config, data: DataSet) -> None:
    """UserError unless a file's classifier has the shape and sources that are asked for."""
    asked = {
        "resolution": data.resolution,
        "fmap_base": config.fmap_base,
        "fmap_max": config.fmap_max,
        "source_names": data.source_names,
    }
    has = {**old.arguments, "source_names": old.source_names}
    for name, value in asked.items():
        if has[name] != value:
            raise UserError(f"--init_from {path}: its {name} is {has[name]}, expected {value}")


def test(arguments: argparse.Namespace) -> None:
    commands.require(arguments, "test", "model_path", "testing_data_path")
    commands.existing_file(arguments.model_path, "--model_path")
    for flag in ("out_csv", "out_json", "out_confusion"):
        if getattr(arguments, flag):
            commands.check_writable(Path(getattr(arguments, flag)), f"--{flag}")
    paths, truth = attribution.find_testing_images(arguments.testing_data_path)
    commands.load_tensorflow()
    from classifier.networks import Classifier

    loaded = networks_io.load(arguments.model_path, {"classifier": Classifier}, "--model_path")
    attributor = attribution.Attributor(
        loaded.network, loaded.source_names, loaded.arguments["resolution"], arguments.batch
    )
    rows = []
    with tqdm(total=len(paths), unit="image", dynamic_ncols=True) as bar:
        for i, row in enumerate(attributor.attribute(paths)):
            rows.append(row)
            tqdm.write(attribution.line(i, len(paths), row))
            bar.update()
    print(attribution.report(rows, truth, loaded.source_names))
    write_results(arguments, rows, truth, loaded.source_names)


def write_results(
    arguments: argparse.Namespace,
    rows: list[attribution.Attribution],
    truth: list[str] | None,
    names: list[str],
) -> None:
    """Writes the files that were asked for and says where they are."""
    if arguments.out_csv:
        attribution.write_csv(arguments.out_csv, rows)
        print(f"table: {arguments.out_csv}")
    if arguments.out_json:
        attribution.write_json(arguments.out_json, rows)
        print(f"JSON: {arguments.out_json}")
    if truth and attribution.write_confusion_png(arguments.out_confusion, rows, truth, names):
        print(f"confusion matrix: {arguments.out_confusion}")


def main() -> None:
    arguments = parse_arguments()
    (train if arguments.app == "train" else test)(arguments)


if __name__ == "__main__":
    commands.run(main)
