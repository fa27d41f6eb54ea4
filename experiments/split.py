"""Splits folders of images into training, validation and testing images, by links."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()


from gan_fingerprints import images, program, typed
from gan_fingerprints.data.links import in_order, link
from gan_fingerprints.program import REQUIRED, UserError, option

DESCRIPTION = """\
Makes OUT/training, OUT/validation and OUT/testing, each with a subfolder per source, of links to
the images: the first so many of each source, by their names, the next, and the next.

  python3 split.py --out_dir sets/seeds --training 4000 --validation 400 --testing 500 \\
      images/real images/ProGAN_seed_v0 images/ProGAN_seed_v1

The sources are called as their folders."""

SPLITS = ("training", "validation", "testing")

OPTIONS = {
    "folders": option(typed.several(typed.folder), REQUIRED, "images of one source"),
    "--out_dir": option(typed.folder, REQUIRED, "new folder"),
    **{f"--{name}": option(typed.count, 0, "images of each source") for name in SPLITS},
    "--first": option(typed.count, 0, "how many of each source to leave out before"),
}


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
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
                part, place = files[first : first + number], out / split / source
                link(part, in_order(part), partial / split / source, place)
                first += number
    print(f"{len(sources)} sources, {' + '.join(map(str, numbers))} images of each: {out}")


if __name__ == "__main__":
    program.run(main)
