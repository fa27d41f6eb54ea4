"""Flags of the programs that say of images where they come from, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from gan_fingerprints import program, typed
from gan_fingerprints.attribution.seeing import TILES
from gan_fingerprints.attribution.verdict import RULES, Rules
from gan_fingerprints.data import groups
from gan_fingerprints.networks.precision import ASKED, FLOAT32, PRECISION, Choice
from gan_fingerprints.program import option

if TYPE_CHECKING:
    from gan_fingerprints.attribution.attributor import Attributor

ALL = "all"
TILES_OR_ALL = typed.number_or(ALL, typed.positive_int)

POOL = {
    "--pool": option(
        typed.one_of("none", "folder"),
        "none",
        "folder: one verdict on all images of a folder, which are known to be of one origin",
    )
}
SEEING = {
    **PRECISION,
    "--tiles": option(
        TILES_OR_ALL,
        TILES,
        "most tiles that an image is seen in, all for as many as cover it, by networks that take "
        "images of any size (--network residual); others see the whole image, resized",
    ),
}


LOOKING = {
    "--stability": option(
        typed.switch,
        None,
        "1: ask again after mild changes, JPEG, a shift, resizing; inconclusive if a source "
        "does not survive them (default: 1 for networks that take images of any size)",
    ),
    "--map": option(
        typed.switch,
        True,
        "1: see images larger than a tile in more tiles, for a map of them, and answer "
        '"mixed" where parts are like different sources; by networks that take any size',
    ),
}
"""What is done beyond one look at each image; for every command that gives verdicts, as the same
file and network have the same verdict everywhere."""


def looks_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `SEEING` and `LOOKING` say, for `Attributor`."""
    return {
        "tiles": None if arguments.tiles == ALL else arguments.tiles,
        "mapped": arguments.map,
        "precision": arguments.precision,
        "stability": arguments.stability,
    }


def say_precision(attributor: Attributor) -> None:
    """Prints in which precision the network answers, and why, where it is not the usual one."""
    if attributor.chosen != Choice(FLOAT32, ASKED):
        print(attributor.chosen)


def rules_of(arguments: argparse.Namespace) -> Rules:
    """What `rule_options` say."""
    return Rules(arguments.least_probability, arguments.least_size, arguments.most_size)


def model_options(needed: Any = None) -> dict[str, Any]:
    """A trained network and images for it. `needed`: REQUIRED if the program always needs them."""
    return {
        "--model_path": option(typed.file, needed, "a network of ours, or a published one"),
        "--source_names": option(
            typed.names,
            None,
            "sources of a published network, in order, as its file lacks them",
            advanced=True,
        ),
        "--testing_data_path": option(
            typed.path, needed, "an image, or a folder of images or of one subfolder per source"
        ),
        "--batch": option(
            typed.positive_int, 64, "images per step; changes only the speed", advanced=True
        ),
        **SEEING,
    }


def rule_options(lowest: float) -> dict[str, Any]:
    """When an image is given no name; `lowest` is the least probability that may be asked for."""
    return {
        "--least_probability": option(
            typed.between(lowest, 1, "P"),
            RULES.least_probability,
            "inconclusive if the most probable source has less",
            advanced=True,
        ),
        "--least_size": option(
            typed.between(0, 1, "SHARE"),
            RULES.least_size,
            "inconclusive below this share of the network's side",
            advanced=True,
        ),
        "--most_size": option(
            typed.number(float, lambda x: x >= 1, "a number of 1 or more"),
            RULES.most_size,
            "inconclusive above so many times the network's side; neither is asked for of networks "
            "that see images in tiles",
            advanced=True,
        ),
    }


TRAINING = {
    "--training_data_dir": option(typed.folder, None, "data set that data_preparation.py wrote"),
    "--validation_data_dir": option(
        typed.folder, None, "another of the same sources, for accuracy"
    ),
    "--out_model_dir": option(typed.folder, None, "networks, settings, log and checkpoints"),
}
CONFUSION = "confusion_matrix.png"
TABLES = {
    "--out_csv": option(typed.new_file(".csv"), None, "write all probabilities as a table"),
    "--out_json": option(typed.new_file(".json"), None, "write all probabilities as JSON"),
    "--out_confusion": option(
        typed.new_file(".png"),
        None,
        f"confusion matrix as a picture, where truth is known (default: {CONFUSION}, or, where "
        "that exists, with the next number in its name)",
    ),
    **program.OVERWRITE,
    "--group_by": option(
        groups.pattern,
        None,
        "what in a file's name images of one latent, photograph or person share; intervals are "
        "then by group",
    ),
}
TESTING = {
    **model_options(),
    **LOOKING,
    **POOL,
    **TABLES,
    "--unknown": option(typed.switch, True, '1: "unknown" for what fits no source; 0: never'),
    **rule_options(0),
    "--out_scores": option(
        typed.new_file(".csv"),
        None,
        "write a table of how well images fit known sources",
        advanced=True,
    ),
}
