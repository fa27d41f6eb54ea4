"""`gan-fingerprints train`: trains a classifier with the network for fine traces."""

from __future__ import annotations

import argparse

from classifier import run
from classifier.config import Config, flags_of
from gan_fingerprints.training.run import RUN

DESCRIPTION = f"""\
Trains a classifier on a data set that data_preparation.py wrote, with --network residual unless
another is asked for: for images of any size, and for few of each source.

  gan-fingerprints train --training_data_dir datasets/training \\
      --validation_data_dir datasets/validation --out_model_dir models/mine
  gan-fingerprints attribute images/ --model models/mine/network-final.safetensors

It is `run.py --app train` of the classifier, whose --network is the publication's by default. What
is said below of defaults holds for that one; those of --network residual are

{flags_of("residual")}"""
GROUPS = (run.TRAIN, ("what to train", Config), *RUN)


def main(arguments: argparse.Namespace) -> None:
    """Trains; the exit status is 0."""
    arguments.network = arguments.network or "residual"
    run.train(arguments)
