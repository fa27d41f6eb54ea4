"""Generates images with a trained SNGAN."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder

import argparse
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from gan_fingerprints import images, program, typed
from gan_fingerprints.program import UserError, option
from SNGAN import config as configuration
from SNGAN.evaluations import flags

DESCRIPTION = """\
Generates images with a trained SNGAN: SNGAN_00000000.png, SNGAN_00000001.png, …

  python3 evaluations/gen_images.py --config_path configs/sn_projection_celeba.yml \\
      --snapshot models/faces/ResNetGenerator_150000.npz --results_dir gen/faces \\
      --num_pngs 10000 --seed 0"""


OPTIONS = {
    **flags.GENERATOR,
    "--num_pngs": option(typed.positive_int, 10, "images per class"),
    "--classes": option(flags.CLASSES, [0], "classes to generate, one after the other"),
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


def check(arguments: argparse.Namespace, n_classes: int) -> None:
    """UserError unless the flags fit each other and the configuration."""
    flags.check_classes(arguments, n_classes)
    if (arguments.rows is None) != (arguments.columns is None):
        raise UserError("--rows and --columns: found one of them, expected both or none")
    if arguments.rows and arguments.rows * arguments.columns > arguments.num_pngs:
        raise UserError(
            f"--rows {arguments.rows} --columns {arguments.columns}: a sheet of more images than "
            f"--num_pngs {arguments.num_pngs}; raise that, or make the sheet smaller"
        )


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    config = configuration.load(arguments.config_path)
    check(arguments, config.generator["n_classes"])
    program.existing_file(arguments.snapshot, "--snapshot")
    folder = program.new_output(arguments.results_dir, "--results_dir")
    program.load_tensorflow()
    from SNGAN.evaluations import sampling

    G = sampling.load_generator(config, arguments.snapshot)
    random = np.random.RandomState(arguments.seed)
    number, sheet = arguments.num_pngs, (arguments.rows or 0) * (arguments.columns or 0)
    with (
        program.whole_folder(folder) as partial,
        ThreadPoolExecutor() as writers,
        tqdm(total=number * len(arguments.classes), unit="image", dynamic_ncols=True) as bar,
    ):
        for label in arguments.classes:
            z, first = sampling.latents(random, G, number), []
            for batch in sampling.pictures(G, z, np.full(number, label), arguments.round):
                paths = [partial / f"SNGAN_{bar.n + i:08d}.png" for i in range(len(batch))]
                list(writers.map(images.write_png, paths, batch))
                first += list(batch[: sheet - len(first)])
                bar.update(len(batch))
            if sheet:
                grid = images.grid(np.stack(first), arguments.columns)
                images.write_png(partial / f"sheet_class_{label}.png", grid)
    total = number * len(arguments.classes)
    print(f"wrote {total} images of {G.size}x{G.size} pixels to {folder}")


if __name__ == "__main__":
    program.run(main)
