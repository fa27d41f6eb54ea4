"""Turns images into the data set that ProGAN trains on; shows, unpacks and compares data sets."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gan_fingerprints import images, program, typed, workers
from gan_fingerprints.data.databases import LSUN_IMAGES, Lmdb
from gan_fingerprints.data.packed import COLUMN, list_places
from gan_fingerprints.data.parquet import Unpacked
from gan_fingerprints.data.places import Place, content_of
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.unfinished import AT_SCALE, output
from gan_fingerprints.data.writing import Writer, default_name, shuffled_order, versions
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown

DESCRIPTION = """\
Turns images into the data set that ProGAN trains on: TFRecord files of every size from 4x4 up,
and a manifest. Also shows, unpacks and compares data sets, those of the classifiers too.

  python3 dataset_tool.py create_from_images datasets/celeba/ ../celeba_align_png_cropped/
  python3 dataset_tool.py display datasets/celeba/

Every command explains itself: python3 dataset_tool.py create_from_images --help"""

CELEBA = (218, 178)  # height and width of the aligned images
CELEBA_CROP = (slice(57, 185), slice(25, 153))
LARGEST = 4096  # pixels of a side
LOOKED_AT = 9  # images whose sizes suggest what all should have

Read = Callable[[Any], tuple[np.ndarray, None]]  # of an item: the image, no label


# What --help says of a command is the docstring of its function.
def create_from_images(arguments: argparse.Namespace) -> None:
    """Prepares a folder of images of any common format, or of tars or Parquet files of them.

    Without --resolution they must all be square and of one size, a power of two from 4 up. Every
    image is checked before OUT appears.
    """
    with Unpacked(Path(arguments.out), arguments.column) as unpacked:
        paths = list_places(arguments.source, "IN", unpacked)
        resolution = arguments.resolution or usual_size(paths)
        read: Read = partial(read_fitted, resolution)
        if not arguments.resolution:
            hint = "; --resolution N resizes all images"
            read = partial(read_exact, (resolution, resolution), hint)
        write(arguments, paths, read, resolution)


def create_celeba(arguments: argparse.Namespace) -> None:
    """Prepares CelebA from its aligned images (img_align_celeba, 178x218 pixels).

    They are cropped to 128x128 pixels centred at (x, y) = (89, 121).
    """
    write(arguments, images.list_images(arguments.source, "IN"), read_celeba, 128)


def create_lsun(arguments: argparse.Namespace) -> None:
    """Prepares the first images of an LSUN category: the centre square of each, resized."""
    source, resolution = Path(arguments.source), arguments.resolution
    if source.suffix == ".mdb" or (source / "data.mdb").exists():
        database = Lmdb(source, "IN")
        keys, read = database.keys(arguments.max_images), partial(read_key, resolution, database)
        write(arguments, keys, read, resolution, [database.file])
    else:
        paths = images.list_images(source, "IN")[: arguments.max_images]
        write(arguments, paths, partial(read_fitted, resolution), resolution)


def usual_size(paths: Sequence[Place]) -> int:
    """The size, square and a power of two, that most of a few images have.

    Raises:
        ImageError: none of them can be read.
        UserError: none of them has such a size.
    """
    sizes: Counter[tuple[int, ...]] = Counter()
    errors = []
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        try:
            sizes[images.read_changed(str(path), np.shape, content_of(path))[:2]] += 1
        except ImageError as error:
            errors.append(error)
    if not sizes:
        raise errors[0]
    for (height, width), _ in sizes.most_common():
        if height == width and 4 <= height <= LARGEST and not height & (height - 1):
            return height
    height, width = sizes.most_common(1)[0][0]
    raise UserError(
        f"IN {paths[0].parent}: found images of {width}x{height} pixels, expected square ones "
        f"whose size is a power of two from 4 to {LARGEST}; --resolution N resizes them"
    )


def read_exact(size: tuple[int, int], hint: str, path: Place) -> tuple[np.ndarray, None]:
    """An image that has this height and width; ImageError, which ends in the hint, otherwise."""
    image = images.read_image(str(path), content_of(path))
    if image.shape[:2] != size:
        raise ImageError(
            f"{path}: found {image.shape[1]}x{image.shape[0]} pixels, expected "
            f"{size[1]}x{size[0]}{hint}"
        )
    return image, None


def read_celeba(path: Path) -> tuple[np.ndarray, None]:
    hint = ", the aligned images of CelebA (img_align_celeba)"
    return read_exact(CELEBA, hint, path)[0][CELEBA_CROP], None


def read_fitted(resolution: int, path: Place) -> tuple[np.ndarray, None]:
    """The centre square of an image, resized by Lanczos."""
    change = partial(images.fitted, resolution=resolution)
    return images.read_changed(str(path), change, content_of(path)), None


def read_key(resolution: int, database: Lmdb, key: bytes) -> tuple[np.ndarray, None]:
    """As `read_fitted`, of an image in a database."""
    return database.read(key, partial(images.fitted, resolution=resolution)), None


def write(
    arguments: argparse.Namespace, items: Sequence[Any], read: Read, resolution: int,
    files: Sequence[Path] | None = None,
) -> None:  # fmt: skip
    """Writes the data set, whole or not at all, and says so.

    files: where the items are, if they are no files themselves.
    """
    from tqdm import tqdm

    out = program.new_output(arguments.out, "OUT")
    if resolution > LARGEST:
        raise UserError(f"--resolution: found {resolution}, expected {LARGEST} or less")
    if arguments.shuffle:
        items = [items[i] for i in shuffled_order(len(items))]
    name = default_name(out)
    made = {
        "command": arguments.command, "resolution": resolution, "shuffle": arguments.shuffle,
        "skip_bad_images": arguments.skip_bad_images, "number": len(items),
        "column": getattr(arguments, "column", None), "versions": versions(),
    }  # fmt: skip
    with output(out, "OUT", arguments.shards, made, files or items) as (folder, kept):
        writer = Writer(folder, name, resolution, every_level=True, kept=kept)
        with writer:
            with tqdm(total=len(items), unit="image", dynamic_ncols=True) as bar:
                try:
                    outcomes = writer.add_all(
                        read, items, skip_bad=arguments.skip_bad_images,
                        workers=arguments.workers, progress=bar.update,
                    )  # fmt: skip
                except ImageError as error:
                    raise UserError(f"{error}, or leave such out by --skip_bad_images") from None
            skipped = [str(outcome) for outcome in outcomes if outcome is not None]
            settings = {"shuffle": arguments.shuffle, "skipped": len(skipped)}
            source = default_name(arguments.source)
            command = f"dataset_tool.py {arguments.command} {name} {source}"
            writer.finish(None, None, command, settings)
            size = sum(path.stat().st_size for path in folder.iterdir())
    if skipped:
        print(f"skipped {len(skipped)} images:", *map(shown, sorted(skipped)), sep="\n  ")
    print(
        f"wrote {writer.count} images, 4x4 to {resolution}x{resolution}, to {shown(out)} "
        f"({size / 1e6:.1f} MB)"
    )


def display(arguments: argparse.Namespace) -> None:
    """Prints what is in a data set and writes a picture of its first images.

    Its files are compared with the checksums in its manifest.
    """
    data, resolution = opened_at(arguments)
    out = Path(arguments.out or f"{data.folder.resolve()}.png")
    program.new_file(out, "--out", arguments.overwrite)
    print(f"{data.count} images, sizes " + ", ".join(f"{x}x{x}" for x in data.resolutions))
    if data.labels is not None:
        counts = zip(data.source_names or [], data.labels.sum(axis=0), strict=True)
        print("sources: " + ", ".join(f"{name} ({n:.0f})" for name, n in counts))
    first = np.arange(min(arguments.number, data.count))
    images.write_png(out, images.grid(data.images(first, resolution)))
    print(shown(f"wrote a picture of the first {len(first)} images to {out}"))
    compared = (
        "all files agree with the manifest" if data.manifest else "no manifest to compare with"
    )
    print(f"checksum {data.checksum} ({compared})")


def opened_at(arguments: argparse.Namespace) -> tuple[DataSet, int]:
    """The data set of the command line and the size asked for, which it has."""
    data = DataSet.open(arguments.folder, "DIR")
    resolution = arguments.resolution or data.resolution
    data.require_level(resolution)
    return data, resolution


def extract(arguments: argparse.Namespace) -> None:
    """Writes the images of a data set, in its order, as img00000000.png, img00000001.png, …"""
    from tqdm import tqdm

    data, resolution = opened_at(arguments)
    out = program.new_output(arguments.out, "OUT")
    with program.whole_folder(out) as folder:
        unpack = partial(extract_one, data.folder, resolution, folder)
        done = workers.parallel(unpack, range(data.count))
        for _ in tqdm(done, total=data.count, unit="image", dynamic_ncols=True):
            pass
    print(shown(f"wrote {data.count} images of {resolution}x{resolution} pixels to {out}"))


def extract_one(source: Path, resolution: int, folder: Path, number: int) -> None:
    image = opened(source).images(np.array([number]), resolution)[0]
    images.write_png(folder / f"img{number:08d}.png", image)


@lru_cache(1)
def opened(folder: Path) -> DataSet:
    """The data set; each process opens it once, after `extract` found it intact."""
    return DataSet.open(folder, "DIR", verify=False)


def compare(arguments: argparse.Namespace) -> int:
    """Compares two data sets image by image. Exit status: 0 the same, 1 different."""
    a, b = (DataSet.open(folder, "DIR") for folder in (arguments.folder_a, arguments.folder_b))
    if a.resolution != b.resolution:
        print(f"{a.resolution}x{a.resolution} and {b.resolution}x{b.resolution} pixels")
        return 1
    shared = min(a.count, b.count)
    different = []
    for start in range(0, shared, 256):
        indices = np.arange(start, min(start + 256, shared))
        unequal = (a.images(indices) != b.images(indices)).any(axis=(1, 2, 3))
        different += indices[unequal].tolist()
    same_labels = np.array_equal(a.labels, b.labels)
    print(f"{shared - len(different)} identical images, {len(different)} different")
    if different:
        print(f"the first that differs is number {different[0]}")
    if a.count != b.count:
        print(f"{a.count} images in {a.folder}, {b.count} in {b.folder}")
    if not same_labels:
        print("the labels differ")
    return int(bool(different) or a.count != b.count or not same_labels)


def creation(source: str) -> dict[str, Any]:
    """The options that all commands to create a data set have; `source` says what they read."""
    return {
        "out": option(
            typed.path.of("OUT"), REQUIRED, "new folder; its name begins the names of the files"
        ),
        "source": option(typed.path.of("IN"), REQUIRED, source),
        "--shuffle": option(typed.switch, True, "mix the images, always alike; 0: in name order"),
        "--skip_bad_images": option(
            typed.given, False, "leave out and list images that cannot be used, instead of stopping"
        ),
        **AT_SCALE,
    }


def one_size(about: str, default: int | None = None) -> dict[str, Any]:
    return {"--resolution": option(typed.power_of_two, default, about)}


IMAGES_OPTIONS = {
    **creation("folder of images, or of tars or Parquet files of them; or one of these files"),
    **COLUMN,
    **one_size("cut the centre square out of each image and resize it to this, a power of two"),
}
CELEBA_OPTIONS = creation("folder of the aligned images")
LSUN_OPTIONS = {
    **creation("folder with LSUN's data.mdb, or of images"),
    **one_size("resize the centre squares to this, a power of two", 128),
    "--max_images": option(typed.positive_int, LSUN_IMAGES, "the first N by key (or by name)"),
}
DISPLAY_OPTIONS = {
    "folder": option(typed.folder, REQUIRED, "folder of the data set"),
    **one_size("which size to show; the full one unless given"),
    "--number": option(typed.positive_int, 64, "images to show"),
    "--out": option(typed.new_file(".png"), None, "where the picture goes; DIR.png unless given"),
    **program.OVERWRITE,
}
EXTRACT_OPTIONS = {
    "folder": option(typed.folder, REQUIRED, "folder of the data set"),
    "out": option(typed.path.of("OUT"), REQUIRED, "new folder for the PNG files"),
    **one_size("which size to write; the full one unless given"),
}
COMPARE_OPTIONS = {
    "folder_a": option(typed.folder.of("DIR_A"), REQUIRED, "folder of a data set"),
    "folder_b": option(typed.folder.of("DIR_B"), REQUIRED, "folder of another"),
}


COMMANDS: dict[Callable, tuple[str, program.Options]] = {
    create_from_images: ("from a folder of images", IMAGES_OPTIONS),
    create_celeba: ("from CelebA's aligned images, cropped to 128x128", CELEBA_OPTIONS),
    create_lsun: ("from LSUN's database or a folder, cropped, resized", LSUN_OPTIONS),
    display: ("what is in a data set, and whether it is whole", DISPLAY_OPTIONS),
    extract: ("unpack into PNG files", EXTRACT_OPTIONS),
    compare: ("compare two data sets image by image", COMPARE_OPTIONS),
}


def parse() -> argparse.Namespace:
    parser = program.Parser(DESCRIPTION)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    for function, (about, options) in COMMANDS.items():
        description = inspect.getdoc(function)
        sub = subparsers.add_parser(function.__name__, help=about, description=description)
        sub.set_defaults(function=function)
        sub.add_options(sub, options)
    return parser.parse_args()


def main() -> int | None:
    arguments = parse()
    return arguments.function(arguments)


if __name__ == "__main__":
    program.run(main)
