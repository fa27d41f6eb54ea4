"""Small pictures cut out of the photographs that come with the dependencies."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from gan_fingerprints import program, typed
from gan_fingerprints.program import REQUIRED, option

DESCRIPTION = """\
Cuts small pictures out of the photographs that come with the dependencies.

They stand in for a data set of real images where none is at hand: in the quickstart and the tests.
Eight photographs are few and their crops overlap: enough to try things out, not for a study.

    gan-fingerprints sample_photos photos/ --num 3000 --size 32"""

OPTIONS = {
    "out_dir": option(typed.folder, REQUIRED, "folder to create for the PNG files"),
    "--num": option(typed.positive_int, 3000, "number of crops"),
    "--size": option(typed.positive_int.of("PIXELS"), 32, "side of the crops"),
    "--seed": option(typed.seed, 0, "which crops are drawn"),
}
SCALES = (2, 4)  # crops are this many times smaller than in the photograph: sharp, without JPEG


def photographs() -> list[Image.Image]:
    """The colour photographs in scikit-image, scikit-learn and Matplotlib; nothing is downloaded.

    The right view of skimage's motorcycle is left out, it is nearly the left one.
    """
    import skimage.data
    from matplotlib.cbook import get_sample_data
    from sklearn.datasets import load_sample_image

    arrays = [
        skimage.data.astronaut(),
        skimage.data.chelsea(),
        skimage.data.coffee(),
        skimage.data.rocket(),
        skimage.data.stereo_motorcycle()[0],
        load_sample_image("china.jpg"),
        load_sample_image("flower.jpg"),
    ]
    hopper = Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False))
    return [hopper, *(Image.fromarray(array) for array in arrays)]


def crops(num: int, size: int, seed: int = 0) -> Iterator[Image.Image]:
    """Yields `num` RGB crops of size × size, no two alike; the same seed gives the same crops.

    They are drawn from all positions in all photographs at all scales, each equally likely.

    Raises:
        UserError: the photographs hold no crop of this size, or fewer than `num`.
    """
    photos = photographs()
    largest = max(min(photo.size) for photo in photos) // min(SCALES)
    if size > largest:
        raise program.UserError(f"--size: found {size}, expected {largest} or less")
    grids = []  # (photograph, side of the square to cut, positions across)
    starts = [0]  # number of positions before each grid
    for photo in photos:
        for side in (scale * size for scale in SCALES if scale * size <= min(photo.size)):
            across, down = photo.width - side + 1, photo.height - side + 1
            grids.append((photo, side, across))
            starts.append(starts[-1] + across * down)

    # All positions of all grids, numbered through, in a random order: none comes twice.
    seen: set[bytes] = set()
    for position in np.random.RandomState(seed).permutation(starts[-1]):
        if len(seen) == num:
            return
        grid = np.searchsorted(starts, position, side="right") - 1
        photo, side, across = grids[grid]
        top, left = divmod(int(position) - starts[grid], across)
        box = (left, top, left + side, top + side)
        crop = photo.resize((size, size), Image.Resampling.LANCZOS, box=box)
        if crop.tobytes() not in seen:  # a black background has many like crops
            seen.add(crop.tobytes())
            yield crop
    if len(seen) < num:
        raise program.UserError(
            f"--num: found {num}, expected {len(seen)} or less (all there are at --size {size})"
        )


def write_crops(folder: str | Path, num: int, size: int, seed: int = 0) -> None:
    """Writes `num` crops as 000000.png, 000001.png, … into an existing folder; see `crops`."""
    progress = tqdm(crops(num, size, seed), "cropping", num, unit="img", disable=None)
    for index, crop in enumerate(progress):
        crop.save(Path(folder, f"{index:06d}.png"))


def main(arguments: argparse.Namespace) -> None:
    """Writes the crops."""
    out_dir = program.new_output(arguments.out_dir, "out_dir")
    with program.whole_folder(out_dir) as folder:
        write_crops(folder, arguments.num, arguments.size, arguments.seed)
    print(f"{arguments.num} crops of {arguments.size}×{arguments.size} pixels are in {out_dir}")
