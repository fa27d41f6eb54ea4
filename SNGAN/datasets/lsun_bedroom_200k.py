"""LSUN bedroom: writes the image list, and is the data set of that name in configurations."""

import sys
from functools import partial
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder

from gan_fingerprints import program
from SNGAN.datasets import listing

IMAGE_LIST = "lsun_bedroom_200k_png_image_list.txt"
LSUNBedroom200kDataset = partial(listing.open_images, usual_list=IMAGE_LIST)


if __name__ == "__main__":
    program.run(lambda: listing.main(IMAGE_LIST, "LSUN bedroom (200,000, 128x128)"))
