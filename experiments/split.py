"""Splits folders of images into training, validation and testing images, by links."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse

from experiments.choose import link
from gan_fingerprints import images, program
from gan_fingerprints.program import UserError

DESCRIPTION = """\
Makes OUT/training, OUT/validation and OUT/testing, each with a subfolder per source, of links to
the images: the first so many of each source, by their names, the next, and the next.

  python3 split.py --out_dir sets/seeds --training 4000 --validation 400 --testing 500 \\
      images/real images/ProGAN_seed_v0 images/ProGAN_seed_v1

The sources are called as their folders."""

SPLITS = ("training", "validation", "testing")


def parse_arguments() -> argparse.Namespace:
    parser = program.Parser(description=DESCRIPTION)
    parser.add_argument("folders", metavar="DIR", nargs="+", help="images of one source")
    parser.add_argument("--out_dir", metavar="DIR", required=True, help="new folder")
    for name in SPLITS:
        parser.add_argument(f"--{name}", type=program.count, metavar="N", default=0,
                            help="images of each source")  # fmt: skip
    parser.add_argument("--first", type=program.count, metavar="N", default=0,
                        help="how many of each source to leave out before")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    numbers = [getattr(arguments, name) for name in SPLITS]
    sources = {}
    for folder in map(Path, arguments.folders):
        files = images.list_images(program.existing_folder(folder, "DIR"), "DIR")
        needed = arguments.first + sum(numbers)
        if len(files) < needed or not sum(numbers):
            raise UserError(
                f"DIR {folder}: found {len(files)} images, expected {needed} for all splits and "
                "--first; at least one split must have images"
            )
        sources[folder.name] = files
    out = program.new_output(arguments.out_dir, "--out_dir")
    with program.whole_folder(out) as partial:
        for source, files in sources.items():
            first = arguments.first
            for split, number in zip(SPLITS, numbers, strict=True):
                if not number:
                    continue
                (partial / split / source).mkdir(parents=True)
                link(files[first : first + number], partial / split / source, out / split / source)
                first += number
    print(f"{len(sources)} sources, {' + '.join(map(str, numbers))} images of each: {out}")


if __name__ == "__main__":
    program.run(main)
