"""Trains a ProGAN on a prepared data set, or generates images with a trained one."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import dataclasses
from collections.abc import Iterator

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.training import begin
from gan_fingerprints.training.run import RUN
from ProGAN.config import PRESETS, Config, level_sides, step_of

DESCRIPTION = """\
Trains a ProGAN on a prepared data set, or generates images with a trained one.

  python3 run.py --app train --training_data_dir datasets/faces --out_model_dir models/faces_v0 \\
      --training_seed 0
  python3 run.py --app gen --model_path models/faces_v0/network-final.safetensors \\
      --out_image_dir gen/faces_v0 --num_pngs 10000 --gen_seed 0

The defaults are the publication's configuration (128 px, 12,000 kimg: days on a GPU).
--preset small trains 32 px on two CPU cores in minutes; every number can be set by its flag."""


APP = {"--app": option(typed.one_of("train", "gen"), REQUIRED, "train a GAN, or generate images")}
TRAIN = {
    "--training_data_dir": option(typed.folder, None, "data set that dataset_tool.py wrote"),
    "--out_model_dir": option(typed.folder, None, "networks, settings, log, pictures, checkpoints"),
    **begin.preset_option(),
}
GENERATE = {
    "--model_path": option(typed.file, None, "a generator of ours, or a published .pkl"),
    "--out_image_dir": option(typed.folder, None, "where ProGAN_00000000.png … go"),
    "--num_pngs": option(typed.positive_int, 10, "how many images"),
    "--gen_seed": option(typed.seed, 0, "seed of the latents; same seed, same images"),
    "--label": option(
        typed.count.of("CLASS"), None, "class of a GAN with labels (default: none)", advanced=True
    ),
    "--gen_minibatch": option(
        typed.positive_int, 16, "images per step; changes only the speed", advanced=True
    ),
}


def parse_arguments() -> argparse.Namespace:
    groups = (("train", TRAIN), ("gen", GENERATE), ("what to train", Config), *RUN)
    return program.Parser(DESCRIPTION, APP, *groups).parse_args()


def check(config: Config, data: DataSet, devices: int) -> None:
    """UserError unless the data set and the settings fit each other."""
    resolution = config.resolution or data.resolution
    for side in level_sides(config, resolution):
        data.require_level(side)
        batch = step_of(config.minibatch, side)
        if batch % devices:
            raise UserError(
                f"--minibatch {batch} at {side}x{side}: not a multiple of {devices} devices"
            )
        share, group = batch // devices, config.mbstd_group_size
        if group and share % min(group, share):
            raise UserError(
                f"--minibatch {batch} at {side}x{side}: {share} images per device are not a "
                f"multiple of --mbstd_group_size {group}; change one of them"
            )
    if config.lod_initial_resolution > resolution:
        raise UserError(
            f"--lod_initial_resolution {config.lod_initial_resolution}: found more than the "
            f"final resolution {resolution}; expected at most that"
        )
    if config.use_labels and data.labels is None:
        raise UserError("--use_labels 1: the data set has no labels; leave the flag out")


def train(arguments: argparse.Namespace) -> None:
    program.require(arguments, "train", "training_data_dir", "out_model_dir")
    config = program.options_from(arguments, Config, PRESETS[arguments.preset])
    data = DataSet.open(arguments.training_data_dir, "--training_data_dir", verify=arguments.verify)
    check(config, data, begin.devices(arguments))
    start = begin.Start(
        arguments, arguments.out_model_dir, command="ProGAN/run.py --app train",
        config=dataclasses.asdict(config), seed=config.training_seed, data=data,
    )  # fmt: skip
    from ProGAN import training

    label_size = data.labels.shape[1] if config.use_labels and data.labels is not None else 0
    resolution = config.resolution or data.resolution
    trainer = training.Trainer(config, resolution, label_size, start.strategy, start.xla)
    if arguments.init_from:
        trainer.start_from(arguments.init_from)
    if run := start.open_run():
        training.train(trainer, data, run)


def label_of(label_size: int, arguments: argparse.Namespace) -> np.ndarray:
    """float32 [label_size], one-hot or zeros; UserError when the generator lacks the class."""
    label = np.zeros(label_size, np.float32)
    if arguments.label is not None:
        if arguments.label >= label_size:
            known = f"classes 0 to {label_size - 1}" if label_size else "no labels"
            raise UserError(f"--label {arguments.label}: {arguments.model_path} has {known}")
        label[arguments.label] = 1
    return label


def generate(arguments: argparse.Namespace) -> None:
    program.require(arguments, "gen", "model_path", "out_image_dir")
    program.existing_file(arguments.model_path, "--model_path")
    folder = program.new_output(arguments.out_image_dir, "--out_image_dir")
    program.load_tensorflow()
    import tensorflow as tf

    from ProGAN.networks import Generator, full_size_images

    loaded = files.load(
        arguments.model_path, {"generator": Generator}, "--model_path",
        batch=arguments.gen_minibatch, batch_flag="--gen_minibatch",
    )  # fmt: skip
    G = loaded.network
    label = label_of(G.label_size, arguments)
    lod = float(G.lod)
    step = tf.function(lambda latents: full_size_images(G, latents, lod))
    total, batch = arguments.num_pngs, arguments.gen_minibatch
    # All at once, as published: image i depends on the seed and on how many come before it.
    latents = np.random.RandomState(arguments.gen_seed).randn(total, G.latent_size)
    labelled = np.hstack([latents, np.tile(label, (total, 1))]).astype(np.float32)

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, total, batch):
            part = labelled[start : start + batch]
            # Always the same shape, so that TensorFlow traces and plans the network once.
            padded = np.pad(part, ((0, batch - len(part)), (0, 0)))
            yield images.to_uint8(step(padded).numpy())

    with program.whole_folder(folder) as partial:
        images.write_numbered(partial, "ProGAN", batches(), total)
    print(f"wrote {total} images of {G.resolution}x{G.resolution} pixels to {folder}")


def main() -> None:
    arguments = parse_arguments()
    (train if arguments.app == "train" else generate)(arguments)


if __name__ == "__main__":
    program.run(main)
