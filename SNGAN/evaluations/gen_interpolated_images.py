"""Generates sheets of images between two latents, or between two classes, with a trained SNGAN."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.program import UserError, option
from SNGAN.evaluations import sampling

DESCRIPTION = """\
Generates images between two latents, or between two classes: one row per pair, as single images
(SNGAN_interpolated_ROW_COLUMN.png) and as a sheet (interpolated.png).

  python3 evaluations/gen_interpolated_images.py --config_path configs/small_32.yml \\
      --snapshot models/small/ResNetGenerator_2500.npz --results_dir gen/between --rows 4"""


OPTIONS = {
    **sampling.OPTIONS,
    "--rows": option(typed.positive_int, 8, "pairs of latents; with two classes, latents"),
    "--columns": option(typed.positive_int, 8, "steps of a row, with both its ends (2 or more)"),
    "--classes": option(
        sampling.CLASSES, [0], "one: between latents; two: from class to class, one latent fixed"
    ),
}


def check(arguments: argparse.Namespace) -> None:
    """UserError unless the flags fit each other."""
    if len(arguments.classes) > 2:
        raise UserError(f"--classes: found {len(arguments.classes)} classes, expected one or two")
    if arguments.columns < 2:
        raise UserError("--columns 1: expected 2 or more, for the two ends of a row")


def inputs(
    ends: np.ndarray, classes: list[int], n_classes: int, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Latents and class mixtures of a sheet, row by row.

    Args:
        ends: float32 [2, rows, dim_z]; the second half is not used with two classes.

    Returns:
        z float32 [rows · columns, dim_z], mixtures float32 [rows · columns, n_classes].
    """
    share = np.linspace(0, 1, columns, dtype=np.float32)[None, :, None]
    first, last = ends[0][:, None], ends[1 if len(classes) == 1 else 0][:, None]
    z = (1 - share) * first + share * last  # [rows, columns, dim_z]
    one_hot = np.eye(max(n_classes, 1), dtype=np.float32)
    mixture = (1 - share) * one_hot[classes[0]] + share * one_hot[classes[-1]]
    mixture = np.broadcast_to(mixture, (*z.shape[:2], mixture.shape[-1]))
    return z.reshape(-1, z.shape[-1]), mixture.reshape(-1, mixture.shape[-1])


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    check(arguments)
    folder, G = sampling.begin(arguments)
    rows, columns = arguments.rows, arguments.columns
    ends = sampling.latents(np.random.RandomState(arguments.seed), G, 2 * rows)
    z, mixture = inputs(ends.reshape(2, rows, -1), arguments.classes, G.n_classes, columns)
    pictures = np.concatenate(list(sampling.pictures(G, z, mixture)))
    with program.whole_folder(folder) as partial:
        for i, picture in enumerate(pictures):
            name = f"SNGAN_interpolated_{i // columns:03d}_{i % columns:03d}.png"
            images.write_png(partial / name, picture)
        images.write_png(partial / "interpolated.png", images.grid(pictures, columns))
    print(f"wrote {rows} rows of {columns} images to {folder}")


if __name__ == "__main__":
    program.run(main)
