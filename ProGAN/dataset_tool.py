"""Turns images into the data set that ProGAN trains on; shows, unpacks and compares data sets."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gan_fingerprints import images, program, typed, workers
from gan_fingerprints.data.databases import LSUN_IMAGES, Lmdb
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer, default_name, shuffled_order
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import REQUIRED, UserError, option

DESCRIPTION = """\
Turns images into the data set that ProGAN trains on: TFRecord files of every size from 4x4 up,
and a manifest. Also shows, unpacks and compares data sets, those of the classifiers too.

  python3 dataset_tool.py create_from_images datasets/celeba/ ../celeba_align_png_cropped/
  python3 dataset_tool.py display datasets/celeba/

Every command explains itself: python3 dataset_tool.py create_from_images --help"""
FROM_IMAGES = """\
Prepares a folder of images (PNG, JPEG, WebP, BMP, TIFF). Without --resolution they must all be
square and of one size, a power of two from 4 up. Every image is checked before OUT appears."""
FROM_CELEBA = """\
Prepares CelebA from its aligned images (img_align_celeba, 178x218 pixels), cropped to 128x128
pixels centred at (x, y) = (89, 121)."""
FROM_LSUN = """\
Prepares the first images of an LSUN category: the centre square of each, resized."""
DISPLAY = """\
Prints what is in a data set, compares its files with the checksums in its manifest, and writes a
picture of the first images."""
EXTRACT = """\
Writes the images of a data set, in its order, as img00000000.png, img00000001.png, …"""
COMPARE = """\
Compares two data sets image by image. Exit status: 0 the same, 1 different."""

CELEBA = (218, 178)  # height and width of the aligned images
CELEBA_CROP = (slice(57, 185), slice(25, 153))
LARGEST = 4096  # pixels of a side
LOOKED_AT = 9  # images whose sizes suggest what all should have

Read = Callable[[Any], tuple[np.ndarray, None]]


def create_from_images(arguments: argparse.Namespace) -> None:
    out = program.new_output(arguments.out, "OUT")
    paths = images.list_images(arguments.source, "IN")
    read = read_resized if arguments.resolution else read_exact
    resolution = arguments.resolution or usual_size(paths)
    write(arguments, out, paths, partial(read, resolution), resolution)


def create_celeba(arguments: argparse.Namespace) -> None:
    out = program.new_output(arguments.out, "OUT")
    write(arguments, out, images.list_images(arguments.source, "IN"), read_celeba, 128)


def create_lsun(arguments: argparse.Namespace) -> None:
    out = program.new_output(arguments.out, "OUT")
    source = Path(arguments.source)
    if source.suffix == ".mdb" or (source / "data.mdb").exists():
        database = Lmdb(source, "IN")
        items: Sequence[Any] = database.keys(arguments.max_images)
        read: Read = partial(read_lsun, database, arguments.resolution)
    else:
        items = images.list_images(source, "IN")[: arguments.max_images]
        read = partial(read_resized, arguments.resolution)
    write(arguments, out, items, read, arguments.resolution)


def usual_size(paths: Sequence[Path]) -> int:
    """The size, square and a power of two, that most of a few images have.

    Raises:
        ImageError: none of them can be read.
        UserError: none of them has such a size.
    """
    sizes: Counter[tuple[int, ...]] = Counter()
    errors = []
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        try:
            sizes[images.read_image(path).shape[:2]] += 1
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


def read_exact(resolution: int, path: Path) -> tuple[np.ndarray, None]:
    image = images.read_image(path)
    require_size(path, image, (resolution, resolution), "; --resolution N resizes all images")
    return image, None


def read_resized(resolution: int, path: Path) -> tuple[np.ndarray, None]:
    return fitted(images.read_image(path), resolution), None


def read_celeba(path: Path) -> tuple[np.ndarray, None]:
    image = images.read_image(path)
    require_size(path, image, CELEBA, ", the aligned images of CelebA (img_align_celeba)")
    return image[CELEBA_CROP], None


def fitted(image: np.ndarray, resolution: int) -> np.ndarray:
    """The centre square, resized by Lanczos."""
    return images.resize(images.center_square(image), resolution)


def require_size(path: Path, image: np.ndarray, size: tuple[int, int], hint: str) -> None:
    if image.shape[:2] != size:
        raise ImageError(
            f"{path}: found {image.shape[1]}x{image.shape[0]} pixels, expected "
            f"{size[1]}x{size[0]}{hint}"
        )


def read_lsun(database: Lmdb, resolution: int, key: bytes) -> tuple[np.ndarray, None]:
    return fitted(database.read(key), resolution), None


def write(
    arguments: argparse.Namespace, out: Path, items: Sequence[Any], read: Read, resolution: int
) -> None:
    """Writes the data set, whole or not at all, and says so."""
    from tqdm import tqdm

    if resolution > LARGEST:
        raise UserError(f"--resolution: found {resolution}, expected {LARGEST} or less")
    if arguments.shuffle:
        items = [items[i] for i in shuffled_order(len(items))]
    name = default_name(out)
    with (
        program.whole_folder(out) as folder,
        Writer(folder, name, resolution, every_level=True) as writer,
    ):
        with tqdm(total=len(items), unit="image", dynamic_ncols=True) as bar:
            try:
                outcomes = writer.add_all(
                    read, items, skip_bad=arguments.skip_bad_images, progress=bar.update
                )
            except ImageError as error:
                raise UserError(f"{error}, or leave such out by --skip_bad_images") from None
        skipped = [str(outcome) for outcome in outcomes if outcome is not None]
        settings = {"shuffle": arguments.shuffle, "skipped": len(skipped)}
        source = default_name(arguments.source)
        command = f"dataset_tool.py {arguments.command} {name} {source}"
        writer.finish(None, None, command, settings)
        size = sum(path.stat().st_size for path in folder.iterdir())
    if skipped:
        print(f"skipped {len(skipped)} images:", *sorted(skipped), sep="\n  ")
    print(
        f"wrote {writer.count} images, 4x4 to {resolution}x{resolution}, to {out} "
        f"({size / 1e6:.1f} MB)"
    )


def display(arguments: argparse.Namespace) -> None:
    data = DataSet.open(arguments.folder, "DIR")
    resolution = arguments.resolution or data.resolution
    data.require_level(resolution)
    out = Path(arguments.out or f"{data.folder.resolve()}.png")
    program.check_writable(out, "--out")
    print(f"{data.count} images, sizes " + ", ".join(f"{x}x{x}" for x in data.resolutions))
    if data.labels is not None:
        counts = zip(data.source_names or [], data.labels.sum(axis=0), strict=True)
        print("sources: " + ", ".join(f"{name} ({n:.0f})" for name, n in counts))
    first = np.arange(min(arguments.number, data.count))
    images.write_png(out, images.grid(data.images(first, resolution)))
    print(f"wrote a picture of the first {len(first)} images to {out}")
    compared = (
        "all files agree with the manifest" if data.manifest else "no manifest to compare with"
    )
    print(f"checksum {data.checksum} ({compared})")


def extract(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    data = DataSet.open(arguments.folder, "DIR")
    resolution = arguments.resolution or data.resolution
    data.require_level(resolution)
    out = program.new_output(arguments.out, "OUT")
    with program.whole_folder(out) as folder:
        unpack = partial(extract_one, data.folder, resolution, folder)
        for _ in tqdm(
            workers.parallel(unpack, range(data.count)),
            total=data.count,
            unit="image",
            dynamic_ncols=True,
        ):
            pass
    print(f"wrote {data.count} images of {resolution}x{resolution} pixels to {out}")


def extract_one(source: Path, resolution: int, folder: Path, number: int) -> None:
    image = opened(source).images(np.array([number]), resolution)[0]
    images.write_png(folder / f"img{number:08d}.png", image)


@lru_cache(1)
def opened(folder: Path) -> DataSet:
    """The data set; each process opens it once, after `extract` found it intact."""
    return DataSet.open(folder, "DIR", verify=False)


def compare(arguments: argparse.Namespace) -> int:
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
    labels = [np.zeros((0, 0)) if x.labels is None else x.labels for x in (a, b)]
    same_labels = np.array_equal(labels[0], labels[1])
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
    }


def one_size(about: str, default: int | None = None) -> dict[str, Any]:
    return {"--resolution": option(typed.power_of_two, default, about)}


IMAGES_OPTIONS = {
    **creation("folder of images"),
    **one_size("cut the centre square out of each image and resize it to this, a power of two"),
}
LSUN_OPTIONS = {
    **creation("folder with LSUN's data.mdb, or of images"),
    **one_size("resize the centre squares to this, a power of two", 128),
    "--max_images": option(typed.positive_int, LSUN_IMAGES, "the first N by key (or by name)"),
}
DISPLAY_OPTIONS = {
    "folder": option(typed.folder, REQUIRED, "folder of the data set"),
    **one_size("which size to show; the full one unless given"),
    "--number": option(typed.positive_int, 64, "images to show"),
    "--out": option(typed.file, None, "where the picture goes; DIR.png unless given"),
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


def parse() -> argparse.Namespace:
    parser = program.Parser(DESCRIPTION)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(function: Callable, help: str, description: str, options: program.Options) -> None:
        sub = subparsers.add_parser(function.__name__, help=help, description=description)
        sub.set_defaults(function=function)
        program.add_options(sub, options)

    about_celeba = "from CelebA's aligned images, cropped to 128x128"
    about_lsun = "from LSUN's database or a folder, cropped, resized"
    celeba_options = creation("folder of the aligned images")
    command(create_from_images, "from a folder of images", FROM_IMAGES, IMAGES_OPTIONS)
    command(create_celeba, about_celeba, FROM_CELEBA, celeba_options)
    command(create_lsun, about_lsun, FROM_LSUN, LSUN_OPTIONS)
    command(display, "what is in a data set, and whether it is whole", DISPLAY, DISPLAY_OPTIONS)
    command(extract, "unpack into PNG files", EXTRACT, EXTRACT_OPTIONS)
    command(compare, "compare two data sets image by image", COMPARE, COMPARE_OPTIONS)
    return parser.parse_args()


def main() -> int | None:
    arguments = parse()
    return arguments.function(arguments)


if __name__ == "__main__":
    program.run(main)
