"""Generates images with a trained SNGAN."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
from collections.abc import Iterator

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.program import UserError, option
from SNGAN.evaluations import sampling

DESCRIPTION = """\
Generates images with a trained SNGAN: SNGAN_00000000.png, SNGAN_00000001.png, …

  python3 evaluations/gen_images.py --config_path configs/sn_projection_celeba.yml \\
      --snapshot models/faces/ResNetGenerator_150000.npz --results_dir gen/faces \\
      --num_pngs 10000 --seed 0"""


OPTIONS = {
    **sampling.OPTIONS,
    "--num_pngs": option(typed.positive_int, 10, "images per class"),
    "--classes": option(sampling.CLASSES, [0], "classes to generate, one after the other"),
    "--round": option(
        typed.switch,
        False,
        "1: to the nearest of 256 levels, as the other GANs here do; 0: cut off, as published, "
        "which makes images darker by half a level",
    ),
    "--rows": option(
        typed.positive_int, None, "with --columns: each class's first images, sheet_class_0.png, …"
    ),
    "--columns": option(typed.positive_int, None, "see --rows"),
}


def check(arguments: argparse.Namespace) -> None:
    """UserError unless the flags fit each other."""
    if (arguments.rows is None) != (arguments.columns is None):
        raise UserError("--rows and --columns: found one of them, expected both or none")
    if arguments.rows and arguments.rows * arguments.columns > arguments.num_pngs:
        raise UserError(
            f"--rows {arguments.rows} --columns {arguments.columns}: a sheet of more images than "
            f"--num_pngs {arguments.num_pngs}; raise that, or make the sheet smaller"
        )


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    check(arguments)
    folder, G = sampling.begin(arguments)
    random = np.random.RandomState(arguments.seed)
    number, sheet = arguments.num_pngs, (arguments.rows or 0) * (arguments.columns or 0)
    first: dict[int, list[np.ndarray]] = {}  # class → images of its sheet

    def batches() -> Iterator[np.ndarray]:
        for label in arguments.classes:
            z, first[label] = sampling.latents(random, G, number), []
            for batch in sampling.pictures(G, z, np.full(number, label), arguments.round):
                first[label] += list(batch[: sheet - len(first[label])])
                yield batch

    total = number * len(arguments.classes)
    with program.whole_folder(folder) as partial:
        images.write_numbered(partial, "SNGAN", batches(), total)
        for label, pictures in first.items() if sheet else ():
            grid = images.grid(np.stack(pictures), arguments.columns)
            images.write_png(partial / f"sheet_class_{label}.png", grid)
    print(f"wrote {total} images of {G.size}x{G.size} pixels to {folder}")


if __name__ == "__main__":
    program.run(main)
