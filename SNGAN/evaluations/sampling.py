"""What the programs of this folder share: flags, a generator from its files, its images."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.networks import files
from gan_fingerprints.program import REQUIRED, UserError, option
from SNGAN import config as configuration

if TYPE_CHECKING:
    from SNGAN.gen_models.resnet import ResNetGenerator

OPTIONS = {
    **configuration.OPTIONS,
    "--snapshot": option(
        typed.file, REQUIRED, "ResNetGenerator_ITERATION.npz, ours or Chainer's", alias="--model"
    ),
    "--results_dir": option(typed.folder, REQUIRED, "new folder of images"),
    "--seed": option(typed.seed, 0, "of the latents; the same seed gives the same images"),
}
CLASSES = typed.several(typed.count.of("CLASS"))
BATCH = 16


def begin(arguments: argparse.Namespace) -> tuple[Path, ResNetGenerator]:
    """The folder to make, and the generator of --snapshot, as its configuration says.

    Raises:
        UserError: a file or folder cannot be used, or --classes names one the generator lacks.
    """
    config_path = configuration.path_of(arguments)
    config = configuration.load(config_path)
    known = max(config.generator["n_classes"], 1)
    for label in arguments.classes:
        if label >= known:
            raise UserError(
                f"--classes {label}: expected 0 to {known - 1}; the generator of "
                f"{config_path} has {known}"
            )
    program.existing_file(arguments.snapshot, "--snapshot")
    folder = program.new_output(arguments.results_dir, "--results_dir")
    program.load_tensorflow()
    from SNGAN.gen_models.resnet import ResNetGenerator

    G = ResNetGenerator(**config.generator)
    files.fill_from(arguments.snapshot, [G], "--snapshot")
    return folder, G


def latents(random: np.random.RandomState, G: ResNetGenerator, number: int) -> np.ndarray:
    """float32 [number, dim_z]; one after the other, as published, so `number` does not matter."""
    if G.distribution == "uniform":
        return random.uniform(-1, 1, (number, G.dim_z)).astype(np.float32)
    return random.randn(number, G.dim_z).astype(np.float32)


def cut_off(values: np.ndarray) -> np.ndarray:
    """float in [-1, 1] → uint8, cut off instead of rounded, as published for this GAN."""
    return np.clip(values * 127.5 + 127.5, 0, 255).astype(np.uint8)


def pictures(
    G: ResNetGenerator, z: np.ndarray, classes: np.ndarray, rounded: bool = False
) -> Iterator[np.ndarray]:
    """Batches of generated images, uint8 [≤ 16, size, size, 3].

    Args:
        z: float32 [N, dim_z].
        classes: int [N], or mixtures of classes float32 [N, n_classes].
        rounded: to the nearest level, as images of the other GANs are; else cut off.
    """
    import tensorflow as tf

    step = tf.function(lambda z, y: G(z, y))
    to_uint8 = images.to_uint8 if rounded else cut_off
    for start in range(0, len(z), BATCH):
        part = [a[start : start + BATCH] for a in (z, classes)]
        number = len(part[0])
        # Always the same shape, so that TensorFlow traces and plans the network once.
        padded = [np.concatenate([a, np.repeat(a[-1:], BATCH - number, axis=0)]) for a in part]
        yield to_uint8(step(*padded).numpy()[:number])
