"""`gan-fingerprints test`: names the sources of images, and says how often that was right."""

from __future__ import annotations

import argparse
import dataclasses

from classifier import run
from classifier.config import Config
from gan_fingerprints.attribution.flags import TESTING

DESCRIPTION = """\
Names the sources of the images in a folder with a trained classifier. If the folder has one
subfolder per source, accuracy, precision, recall and the confusion matrix are reported too.

  gan-fingerprints test --model_path models/mine/network-final.safetensors \\
      --testing_data_path images/ --out_csv results.csv

It is `run.py --app test` of the classifier. For single images in question, with a report, there is
`gan-fingerprints attribute`."""
ATTACK = {
    f"--{field.name}": field
    for field in dataclasses.fields(Config)
    if field.name in ("attack", "attack_seed")
}
GROUPS = (("test", TESTING), ("attack the images first", ATTACK))


def main(arguments: argparse.Namespace) -> None:
    """Tests; the exit status is 0."""
    run.test(arguments)
