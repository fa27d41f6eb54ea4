"""Trains an SNGAN on a folder of images, as a configuration file says."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
import dataclasses
import importlib
import json
from typing import TYPE_CHECKING

from gan_fingerprints import program
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from gan_fingerprints.training.run import (
    Execution,
    add_run_flags,
    data_facts,
    open_run,
    set_up_tensorflow,
)
from SNGAN import config as configuration
from SNGAN.config import Config

if TYPE_CHECKING:
    from SNGAN.updater import Updater

DESCRIPTION = """\
Trains an SNGAN on a folder of square images, as a configuration file says.

  python3 train.py --config_path configs/sn_projection_celeba.yml \\
      --data_dir ../celeba_align_png_cropped --results_dir models/faces --loaderjob 8
  python3 train.py --config_path configs/small_32.yml --data_dir ../faces --results_dir models/small

The published configurations take days on a GPU; configs/small_32.yml makes 32 px faces on two
CPU cores in half an hour. Images of another size are resized."""


def parse_arguments() -> argparse.Namespace:
    parser = program.Parser(description=DESCRIPTION)
    parser.add_argument("--config_path", required=True, metavar="FILE",
                        help="YAML file with every number of the run; see configs/")  # fmt: skip
    parser.add_argument("--data_dir", required=True, metavar="DIR",
                        help="folder of square images")  # fmt: skip
    parser.add_argument("--results_dir", required=True, metavar="DIR",
                        help="where snapshots, log, previews and checkpoints go")  # fmt: skip
    parser.add_argument("--loaderjob", type=program.positive_int, default=2, metavar="N",
                        help="parallel workers that read images")  # fmt: skip
    parser.add_argument("--image_list", metavar="FILE",
                        help="images to use, one `name.png CLASS` per line (default: the list "
                        "that datasets/*.py wrote, else the whole folder)")  # fmt: skip
    add_run_flags(parser)
    parser.add_argument("--snapshot", metavar="FILE",
                        help="go on in a new folder from a training state that Chainer wrote "
                        "(snapshot_iter_N); for our own runs use --resume")  # fmt: skip
    return parser.parse_args()


def check(config: Config, labels: list[int], replicas: int, origin: str) -> None:
    """UserError unless data and devices fit the configuration."""
    for key in ("batchsize", "n_gen_samples"):
        if getattr(config, key) % replicas:
            raise UserError(f"{origin}: {key} {getattr(config, key)}: not a multiple of "
                            f"{replicas} GPUs")  # fmt: skip
    n_classes = config.discriminator["n_classes"]
    if config.conditional and max(labels) >= n_classes:
        raise UserError(f"--image_list: class {max(labels)}: found more than the classes 0 to "
                        f"{n_classes - 1} of {origin}; correct the list or n_classes")  # fmt: skip


def main() -> None:
    arguments = parse_arguments()
    if arguments.snapshot and arguments.init_from:
        raise UserError("--snapshot and --init_from: found both, expected at most one")
    config = configuration.load(arguments.config_path)
    execution = program.options_from(arguments, Execution)
    module = configuration.DATASETS[config.dataset].removesuffix(".py").replace("/", ".")
    open_images = getattr(importlib.import_module(f"SNGAN.{module}"), config.dataset)
    data = open_images(
        arguments.data_dir, config.size, arguments.loaderjob,
        arguments.image_list or config.image_list,
    )  # fmt: skip
    origin = f"--config_path {arguments.config_path}"
    check(config, data.labels[:, 0].astype(int).tolist(), max(1, execution.num_gpus or 1), origin)
    settings = {
        "command": "SNGAN/train.py",
        "config": dataclasses.asdict(config),
        "mixed_precision": execution.mixed_precision,
        "num_gpus": execution.num_gpus,
        "init_from": arguments.init_from,
        "snapshot": arguments.snapshot,
        "data": data_facts(data),
    }
    print(json.dumps(settings, indent=2))
    strategy = set_up_tensorflow(execution)
    from SNGAN import training
    from SNGAN.updater import Updater

    updater = Updater(config, strategy, execution.xla)
    start_from(updater, arguments.init_from, arguments.snapshot)
    if arguments.dry_run:
        print("dry run: everything fits; nothing was written")
        return
    run = open_run(arguments.results_dir, settings, execution, arguments.resume, "--results_dir")
    if run is None:
        print(f"{arguments.results_dir}: this run is finished")
        return
    training.train(updater, data, run)


def start_from(updater: "Updater", init_from: str | None, snapshot: str | None) -> None:
    """Fills the networks from one snapshot of either, or everything from Chainer's state."""
    from SNGAN import chainer_state

    if init_from:
        files.fill_from(init_from, [updater.G, updater.D], "--init_from")
    if snapshot:
        chainer_state.restore(updater, snapshot)


if __name__ == "__main__":
    program.run(main)
