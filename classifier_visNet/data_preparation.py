"""Makes a data set for training or validating a visNet from one folder of images per source."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

from gan_fingerprints import program
from gan_fingerprints.data import preparation


def main() -> None:
    preparation.main("classifier_visNet/data_preparation.py")


if __name__ == "__main__":
    program.run(main)
