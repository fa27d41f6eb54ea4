"""Measures whether a generator has collapsed: how far its images are from each other."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import json

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.data.folder import square_image
from gan_fingerprints.program import REQUIRED, option

DESCRIPTION = """\
Mean distance between the pixels of two images of a folder, over all pairs of the first N images,
for generated and for real ones. A share well below 1 means that the generated images resemble
each other: the generator has collapsed.

  python3 evaluations/diversity.py --generated gen/small --real ../faces --num_images 1000"""

OPTIONS = {
    "--generated": option(typed.folder, REQUIRED, "folder of images"),
    "--real": option(typed.folder, REQUIRED, "folder of images; resized as the generated ones"),
    "--num_images": option(typed.positive_int, 1000, "images of each folder, by name (2 or more)"),
}


def mean_pairwise_distance(pixels: np.ndarray) -> float:
    """Mean over all pairs of ‖a - b‖₂ / √(values per image).

    pixels: [N, ...], N ≥ 2; the distance has their unit.
    """
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    # ‖a - b‖² = ‖a‖² + ‖b‖² - 2⟨a, b⟩ loses digits where the images' common part is large.
    flat -= flat.mean(axis=0)
    squares = np.sum(flat * flat, axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0))
    np.fill_diagonal(distances, 0)
    return float(distances.sum() / (len(flat) * (len(flat) - 1)) / np.sqrt(flat.shape[1]))


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    measured, side = {}, None
    for flag in ("generated", "real"):
        paths = images.list_images(getattr(arguments, flag), f"--{flag}")[: arguments.num_images]
        if len(paths) < 2:
            raise program.UserError(f"--{flag}: found one image, expected 2 or more")
        side = side or images.read_changed(paths[0], np.shape)[0]
        pixels = np.stack([square_image(path, side) for path in paths])
        distance = round(mean_pairwise_distance(pixels), 3)
        measured[flag] = {"images": len(paths), "distance": distance}
    share = measured["generated"]["distance"] / measured["real"]["distance"]
    print(json.dumps({**measured, "share": round(share, 4)}, indent=2))


if __name__ == "__main__":
    program.run(main)
