"""Chooses images of a folder, by links, so that no image has to be copied or drawn twice."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
import os

import numpy as np

from gan_fingerprints import images, program
from gan_fingerprints.program import UserError

DESCRIPTION = """\
Makes a folder of links to some images of another: NUM of them from FIRST on, in the order of their
names or, with --seed, in an order drawn once for all choices with that seed. The links' names keep
that order.

  python3 choose.py --in_dir faces --out_dir training --num 5000 --seed 0
  python3 choose.py --in_dir faces --out_dir testing --num 1000 --seed 0 --first 5000

Two training sets that differ in ten images:

  python3 choose.py --in_dir faces --out_dir base --num 4000 --seed 0
  python3 choose.py --in_dir faces --out_dir other --num 4000 --seed 0 --replace 10 --spare 4000"""


def parse_arguments() -> argparse.Namespace:
    parser = program.Parser(description=DESCRIPTION)
    parser.add_argument("--in_dir", metavar="DIR", required=True, help="folder of images")
    parser.add_argument("--out_dir", metavar="DIR", required=True, help="new folder of links")
    parser.add_argument("--num", type=program.positive_int, metavar="N", required=True,
                        help="how many")  # fmt: skip
    parser.add_argument("--first", type=program.count, metavar="N", default=0,
                        help="how many to leave out before")  # fmt: skip
    parser.add_argument("--seed", type=program.seed, metavar="SEED",
                        help="mix the images first, always in the same way")  # fmt: skip
    parser.add_argument("--replace", type=program.count, metavar="N", default=0,
                        help="take so many, the last of them, from --spare on instead")  # fmt: skip
    parser.add_argument("--spare", type=program.count, metavar="N", default=0,
                        help="see --replace")  # fmt: skip
    return parser.parse_args()


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


def link(files: list[Path], folder: Path, place: Path) -> None:
    """Links to files, named by their order, in a folder that will be renamed to `place`."""
    digits = len(str(len(files)))
    for i, file in enumerate(files):
        target = os.path.relpath(file.resolve(), place.resolve())
        (folder / f"{i:0{digits}d}{file.suffix.lower()}").symlink_to(target)


def main() -> None:
    arguments = parse_arguments()
    files = images.list_images(program.existing_folder(arguments.in_dir, "--in_dir"), "--in_dir")
    program.new_output(arguments.out_dir, "--out_dir")
    picked = chosen(
        files, arguments.num, arguments.first, arguments.seed, arguments.replace, arguments.spare
    )
    with program.whole_folder(arguments.out_dir) as folder:
        link(picked, folder, Path(arguments.out_dir))
    print(f"chose {len(picked)} of {len(files)} images: {arguments.out_dir}")


if __name__ == "__main__":
    program.run(main)
