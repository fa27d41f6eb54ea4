"""`gan-fingerprints prepare`: makes a data set, as data_preparation.py does."""

from __future__ import annotations

import argparse

from gan_fingerprints.data import preparation
from gan_fingerprints.data.preparation import OPTIONS

__all__ = ["DESCRIPTION", "OPTIONS", "main"]
DESCRIPTION = preparation.DESCRIPTION.replace(
    "python3 data_preparation.py", "gan-fingerprints prepare"
)


def main(arguments: argparse.Namespace) -> None:
    """Prepares; the exit status is 0."""
    arguments.command = "classifier/data_preparation.py"
    preparation.prepare(arguments)
