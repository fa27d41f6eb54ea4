"""Chooses images of a folder, by links, so that no image has to be copied or drawn twice."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.data.links import in_order, link
from gan_fingerprints.program import REQUIRED, UserError, option

DESCRIPTION = """\
Makes a folder of links to some images of another: NUM of them from FIRST on, in the order of their
names or, with --seed, in an order drawn once for all choices with that seed. The links' names keep
that order.

  python3 choose.py --in_dir faces --out_dir training --num 5000 --seed 0
  python3 choose.py --in_dir faces --out_dir testing --num 1000 --seed 0 --first 5000

Two training sets that differ in ten images:

  python3 choose.py --in_dir faces --out_dir base --num 4000 --seed 0
  python3 choose.py --in_dir faces --out_dir other --num 4000 --seed 0 --replace 10 --spare 4000"""


OPTIONS = {
    "--in_dir": option(typed.folder, REQUIRED, "folder of images"),
    "--out_dir": option(typed.folder, REQUIRED, "new folder of links"),
    "--num": option(typed.positive_int, REQUIRED, "how many"),
    "--first": option(typed.count, 0, "how many to leave out before"),
    "--seed": option(typed.seed, None, "mix the images first, always in the same way"),
    "--replace": option(typed.count, 0, "take so many, the last of them, from --spare on instead"),
    "--spare": option(typed.count, 0, "see --replace"),
}


def chosen(
    files: list[Path], num: int, first: int, seed: int | None, replace: int = 0, spare: int = 0
) -> list[Path]:
    """The files that the flags ask for. UserError when there are too few, or some twice."""
    last = max(first + num, spare + replace if replace else 0)
    if last > len(files):
        raise UserError(
            f"--in_dir: found {len(files)} images, expected {last} or more for --num {num} from "
            f"--first {first}{f' and --replace {replace} from --spare {spare}' if replace else ''}"
        )
    if replace > num or (replace and spare < first + num and spare + replace > first):
        raise UserError(
            f"--replace {replace} --spare {spare}: expected at most {num} images from outside "
            f"{first} to {first + num - 1}, which are chosen anyway"
        )
    order = np.arange(len(files))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(files))
    picked = [*order[first : first + num - replace], *order[spare : spare + replace]]
    return [files[i] for i in picked]


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    files = images.list_images(program.existing_folder(arguments.in_dir, "--in_dir"), "--in_dir")
    program.new_output(arguments.out_dir, "--out_dir")
    picked = chosen(
        files, arguments.num, arguments.first, arguments.seed, arguments.replace, arguments.spare
    )
    with program.whole_folder(arguments.out_dir) as folder:
        link(picked, in_order(picked), folder, Path(arguments.out_dir))
    print(f"chose {len(picked)} of {len(files)} images: {arguments.out_dir}")


if __name__ == "__main__":
    program.run(main)
