"""Flags that the programs of this folder share, and their check; without TensorFlow."""

from __future__ import annotations

import argparse

from gan_fingerprints import typed
from gan_fingerprints.program import REQUIRED, UserError, option

GENERATOR = {
    "--config_path": option(typed.file, REQUIRED, "configuration the generator was trained with"),
    "--snapshot": option(typed.file, REQUIRED, "ResNetGenerator_ITERATION.npz, ours or Chainer's"),
    "--results_dir": option(typed.folder, REQUIRED, "new folder of images"),
    "--seed": option(typed.seed, 0, "of the latents; the same seed gives the same images"),
}
CLASSES = typed.several(typed.count.of("CLASS"))


def check_classes(arguments: argparse.Namespace, n_classes: int) -> None:
    """UserError unless the generator knows all of --classes."""
    known = max(n_classes, 1)
    for label in arguments.classes:
        if label >= known:
            raise UserError(
                f"--classes {label}: expected 0 to {known - 1}; the generator of "
                f"{arguments.config_path} has {known}"
            )
