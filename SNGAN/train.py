"""Trains an SNGAN on a folder of images, as a configuration file says."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import dataclasses

from gan_fingerprints import program, typed
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.training import begin
from gan_fingerprints.training.run import RUN
from SNGAN import config as configuration
from SNGAN.config import Config
from SNGAN.datasets.listing import open_images

DESCRIPTION = """\
Trains an SNGAN on a folder of square images, as a configuration file says.

  python3 train.py --config_path configs/sn_projection_celeba.yml \\
      --data_dir ../celeba_align_png_cropped --results_dir models/faces --loaderjob 8
  python3 train.py --preset small --data_dir ../faces --results_dir models/small

The published configurations take days on a GPU. On two CPU cores --preset small makes rough 32 px
images in minutes, and --config_path configs/small_32.yml better ones in half an hour to an hour.
Images of another size are resized."""


OPTIONS = {
    **configuration.OPTIONS,
    "--data_dir": option(typed.folder, REQUIRED, "folder of square images"),
    "--results_dir": option(typed.folder, REQUIRED, "snapshots, log, previews and checkpoints"),
    "--loaderjob": option(
        typed.positive_int, 2, "parallel workers that read images", advanced=True
    ),
    "--image_list": option(
        typed.file,
        None,
        "images to use, one `name.png CLASS` per line (default: the list that datasets/*.py "
        "wrote, else the whole folder)",
        advanced=True,
    ),
    "--snapshot": option(
        typed.file,
        None,
        "go on, in a new folder, from a state of Chainer's (snapshot_iter_N)",
        advanced=True,
    ),
}


def check(config: Config, labels: list[int], devices: int, origin: str) -> None:
    """UserError unless data and devices fit the configuration."""
    for key in ("batchsize", "n_gen_samples"):
        if getattr(config, key) % devices:
            raise UserError(
                f"{origin}: {key} {getattr(config, key)}: not a multiple of {devices} devices"
            )
    n_classes = config.discriminator["n_classes"]
    if config.conditional and max(labels) >= n_classes:
        raise UserError(
            f"--image_list: class {max(labels)}: found more than the classes 0 to "
            f"{n_classes - 1} of {origin}; correct the list or n_classes"
        )


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS, *RUN).parse_args()
    if arguments.snapshot and arguments.init_from:
        raise UserError("--snapshot and --init_from: found both, expected at most one")
    config_path = configuration.path_of(arguments)
    config = configuration.load(config_path)
    image_list = arguments.image_list or config.image_list
    data = open_images(
        config.dataset, arguments.data_dir, config.size, arguments.loaderjob, image_list
    )
    origin = f"--config_path {config_path}"
    check(config, data.labels[:, 0].astype(int).tolist(), begin.devices(arguments), origin)
    start = begin.Start(
        arguments, arguments.results_dir, "--results_dir", command="SNGAN/train.py",
        config=dataclasses.asdict(config), seed=config.seed, data=data,
        snapshot=arguments.snapshot,
    )  # fmt: skip
    from SNGAN import chainer_state, training

    trainer = training.Trainer(config, start.strategy, start.xla)
    if arguments.init_from:
        trainer.start_from(arguments.init_from)
    if arguments.snapshot:
        chainer_state.restore(trainer, arguments.snapshot)
    if run := start.open_run():
        training.train(trainer, data, run)


if __name__ == "__main__":
    program.run(main)
