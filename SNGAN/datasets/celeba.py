"""CelebA: writes the list of its images."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

from gan_fingerprints import program
from SNGAN.datasets import listing

if __name__ == "__main__":
    program.run(lambda: listing.main("CelebADataset", "CelebA (aligned, cropped to 128x128)"))
