"""Flags that the programs of this folder share, and their check; without TensorFlow."""

from __future__ import annotations

import argparse

from gan_fingerprints import program
from gan_fingerprints.program import UserError


def add_generator_flags(parser: argparse.ArgumentParser) -> None:
    """Which generator, and where its images go."""
    parser.add_argument("--config_path", required=True, metavar="FILE",
                        help="configuration that the generator was trained with")  # fmt: skip
    parser.add_argument("--snapshot", required=True, metavar="FILE",
                        help="ResNetGenerator_ITERATION.npz, of ours or Chainer's")  # fmt: skip
    parser.add_argument("--results_dir", required=True, metavar="DIR", help="new folder of images")
    parser.add_argument("--seed", type=program.seed, default=0, metavar="SEED",
                        help="of the latents; the same seed gives the same images")  # fmt: skip


def check_classes(arguments: argparse.Namespace, n_classes: int) -> None:
    """UserError unless the generator knows all of --classes."""
    known = max(n_classes, 1)
    for label in arguments.classes:
        if label >= known:
            raise UserError(f"--classes {label}: expected 0 to {known - 1}; the generator of "
                            f"{arguments.config_path} has {known}")  # fmt: skip
