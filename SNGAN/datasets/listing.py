"""A folder of images and the list that says which of them, and of which class, are trained on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.data.folder import Images, square_image
from gan_fingerprints.program import REQUIRED, UserError, option

LISTS = Path(__file__).resolve().parent  # where the programs of this folder write theirs
NAMES = {
    "CelebADataset": "celeba_align_png_cropped_image_list.txt",
    "LSUNBedroom200kDataset": "lsun_bedroom_200k_png_image_list.txt",
}
"""Data set of a configuration → the published name of its list, where it has one."""


def write_list(folder: str | Path, path: Path, overwrite: bool = False) -> int:
    """Writes a list of the images in a folder, sorted by name, all of class 0; returns how many.

    One line per image, `name.png 0`; UserError where a name is more than one, or another list is
    there that may not be replaced.
    """
    names = [file.name for file in images.list_images(folder, "DIR")]
    if broken := [name for name in names if "\n" in name]:
        raise UserError(
            f"DIR {folder}: found {broken[0]!r}, a name of more than one line, which a list cannot "
            "hold; rename it"
        )
    content = b"".join(os.fsencode(name) + b" 0\n" for name in names)
    if not path.is_file() or path.read_bytes() != content:  # else it is there
        program.write_whole(program.new_file(path, "--image_list", overwrite), content)
    return len(names)


def read_list(path: Path, folder: Path) -> tuple[list[str], list[int]]:
    """Names and classes of a list.

    Raises:
        UserError: no such list, a line that is no `name class`, or a file that is not there.
    """
    names, classes = [], []
    content = program.existing_file(path, "--image_list").read_bytes()
    lines = os.fsdecode(content.removesuffix(b"\n")).split("\n") if content else []
    for number, line in enumerate(lines, start=1):
        name, _, label = line.rstrip().rpartition(" ")
        if not name or not label.isdecimal():
            raise UserError(
                f"--image_list {path} line {number}: found {line!r}, expected a file name, a "
                "space and a class number"
            )
        if not (folder / name).is_file():
            raise UserError(
                f"--image_list {path} line {number}: {name} is not in --data_dir {folder}; write "
                "the list anew, or name the folder that it was written for"
            )
        names.append(name)
        classes.append(int(label))
    if not names:
        raise UserError(f"--image_list {path}: an empty file, expected lines `name.png 0`")
    return names, classes


def open_images(
    dataset: str, data_dir: str | Path, side: int, workers: int, image_list: str | Path | None
) -> Images:
    """The images of a folder and their classes, each decoded once.

    Args:
        dataset: name of the data set in configurations.
        data_dir: the folder that the list's names are in.
        side: what the images, which are square, are resized to.
        workers: processes (later threads) that decode.
        image_list: a list that must exist. Without, the one that datasets/*.py wrote is
            used, and where there is none, every image of the folder, sorted, as class 0.

    Raises:
        UserError: the list or an image cannot be used; the message names it.
    """
    folder = program.existing_folder(data_dir, "--data_dir")
    path = Path(image_list) if image_list else LISTS / NAMES.get(dataset, "")
    if image_list or path.is_file():
        names, classes = read_list(path, folder)
        print(f"using the {len(names)} images that {path} lists")
    else:
        names = [file.name for file in images.list_images(folder, "--data_dir")]
        classes = [0] * len(names)
        print(f"using all {len(names)} images in {folder}, sorted by name")
    labels = np.array(classes, np.float32)[:, None]
    paths = [folder / name for name in names]
    return Images(folder.resolve().name, paths, square_image, side, workers, labels)


def main(dataset: str, what: str) -> None:
    """The command line of a data set's program: writes its image list."""
    options = {
        "DIR": option(typed.folder, REQUIRED, "folder of square PNG images"),
        "--image_list": option(
            typed.file,
            None,
            f"list to write (default: where train.py looks, SNGAN/datasets/{NAMES[dataset]})",
        ),
        **program.OVERWRITE,
    }
    description = f"Writes the list of the images of {what} for train.py."
    arguments = program.Parser(description, options).parse_args()
    path = Path(arguments.image_list or LISTS / NAMES[dataset])
    count = write_list(arguments.DIR, path, arguments.overwrite)
    print(f"wrote {path}: {count} images")
