"""`gan-fingerprints card`: what a network's file says of itself, in words."""

from __future__ import annotations

import argparse

from gan_fingerprints import card, program, typed
from gan_fingerprints.networks import files
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown_lines

DESCRIPTION = """\
Shows a model's card: its sources, what was seen in training, what was measured of it, and what it
must not be used for.

  gan-fingerprints card network-final.safetensors"""
OPTIONS = {"model": option(typed.file, REQUIRED, "a network that names sources")}


def main(arguments: argparse.Namespace) -> None:
    """Prints the card."""
    stored = files.read(program.existing_file(arguments.model, "MODEL"), "MODEL", files.NAMING)[-1]
    if stored.card is None:
        raise UserError(
            f"MODEL {arguments.model}: has no card; train it again, or measure it with "
            "gan-fingerprints measure --out_model"
        )
    print(shown_lines(card.markdown(stored.card)), end="")
