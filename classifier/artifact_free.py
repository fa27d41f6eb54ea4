"""Chooses the generated images that look most like real ones: those nearest to a real image."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import csv
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from classifier import feature_spaces
from gan_fingerprints import images, program, typed
from gan_fingerprints.attribution.finding import find_testing_images
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import cell, shown

DESCRIPTION = """\
Chooses the generated images that look most like real ones: those nearest to a real image.

  python3 artifact_free.py --in_dir ../GAN_classifier_datasets/test/ --real_dir photos/ \\
      --share 0.1 --out_dir ../GAN_classifier_datasets/test_artifact_free/

Of each subfolder of --in_dir the share with the shortest distances is copied; of a subfolder with
"real" in its name as large a share, drawn at random. distances.csv in --out_dir lists all images
with the name of the real one nearest to them.

--space pixels compares colours (CIELAB) pixel by pixel in small copies of the images. That is no
perceptual network: it sees colours and coarse shapes, not textures. --space inception compares
features of Keras's InceptionV3."""

TABLE = "distances.csv"
CHUNK = 256  # images whose neighbours are searched together
BATCH = 16
OPTIONS = {
    "--in_dir": option(typed.folder, REQUIRED, "one subfolder of images per source, or images"),
    "--real_dir": option(
        typed.folder, REQUIRED, "real ones, of which 4,000 take 100 MB of memory at 32 pixels"
    ),
    "--out_dir": option(typed.folder, REQUIRED, "new folder of copies; subfolders as in --in_dir"),
    "--share": option(typed.part, 0.1, "of each source's images"),
    "--space": option(typed.one_of("pixels", "inception"), "pixels", "what is compared"),
    "--side": option(
        typed.positive_int.of("PIXELS"), None, "side of the copies that are compared (default: 32)"
    ),
    **feature_spaces.INCEPTION,
    "--seed": option(typed.seed, 0, "of what is drawn at random"),
}


@dataclass
class Row:
    """An image of a source: the real one nearest to it, how far that is, whether it is chosen.

    Attributes:
        real: of a real source, whose images are drawn at random.
    """

    path: Path
    source: str
    real: bool
    nearest: Path | None = None
    distance: float | None = None
    kept: bool = False


class RealImages:
    """Real images, to find the nearest one of; no image is its own neighbour."""

    def __init__(self, paths: Sequence[Path], features: np.ndarray) -> None:
        """paths: [N]; features: float32 [N, D]."""
        from sklearn.neighbors import NearestNeighbors

        self.paths, self.features = paths, features
        self.files = [file_of(path) for path in paths]
        self.search = NearestNeighbors(n_neighbors=min(2, len(paths)), algorithm="brute")
        self.search.fit(features)

    def nearest(self, paths: Sequence[Path], features: np.ndarray) -> Iterator[tuple[Path, float]]:
        """Yields each image's nearest other one, and the Euclidean distance."""
        # Two candidates: the nearest may be the image itself, when it is one of the real ones. The
        # distance is computed anew, as the search's loses digits where images are very close.
        nearest = self.search.kneighbors(features, return_distance=False)
        for path, x, candidates in zip(paths, features, nearest, strict=True):
            others = [i for i in candidates if self.files[i] != file_of(path)]
            if not others:
                raise UserError(f"--real_dir: found no other image than {path}, expected more")
            yield self.paths[others[0]], float(np.linalg.norm(x - self.features[others[0]]))


def file_of(path: Path) -> tuple[int, int]:
    """What two names of one file, links say, have in common."""
    status = path.stat()
    return status.st_dev, status.st_ino


def check(arguments: argparse.Namespace) -> None:
    """UserError where a flag belongs to the other space, or weights are not there."""
    other = {"pixels": "inception_weights", "inception": "side"}[arguments.space]
    if getattr(arguments, other) is not None:
        raise UserError(f"--{other}: not used with --space {arguments.space}; leave it out")
    if arguments.inception_weights is not None:
        program.existing_file(arguments.inception_weights, "--inception_weights")


def number_of(arguments: argparse.Namespace, source: str, total: int) -> int:
    """How many of a source's images are chosen."""
    number = round(arguments.share * total)
    if not number:
        raise UserError(
            f"--share {arguments.share:g}: found {total} images of {source} that can be used, of "
            "which that is none; use a larger share or more images"
        )
    return number


def find_sources(arguments: argparse.Namespace) -> list[Row]:
    """A row for each image, in the order of sources and names."""
    folder = program.existing_folder(arguments.in_dir, "--in_dir")
    paths, truth = find_testing_images(folder, "--in_dir")
    names = truth or [folder.resolve().name] * len(paths)
    for name, total in Counter(names).items():
        number_of(arguments, name, total)
    return [
        Row(path, name, truth is not None and "real" in name.lower())
        for path, name in zip(paths, names, strict=True)
    ]


def lab(pixels: np.ndarray) -> np.ndarray:
    """Images float32 [N, R, R, 3] in [-1, 1] → their CIELAB colours float32 [N, R·R·3]."""
    from skimage.color import rgb2lab

    return rgb2lab(pixels / 2 + 0.5).reshape(len(pixels), -1)


def open_space(arguments: argparse.Namespace) -> tuple[feature_spaces.Extractor, int]:
    """Features of images, and the side that those must have."""
    if arguments.space == "pixels":
        return lab, arguments.side or 32
    program.load_tensorflow()
    return feature_spaces.inception_space(arguments)


def real_images(
    arguments: argparse.Namespace, extractor: feature_spaces.Extractor, side: int
) -> RealImages:
    """Those of --real_dir, each file once."""
    listed = images.list_images(arguments.real_dir, "--real_dir")
    paths = list({file_of(path): path for path in reversed(listed)}.values())[::-1]
    usable = list(feature_spaces.readable(extractor, paths, side, BATCH, "real images"))
    if not usable:
        raise UserError(f"--real_dir {arguments.real_dir}: found no image that can be read")
    return RealImages([paths[i] for i, _ in usable], np.stack([x for _, x in usable]))


def measure(
    rows: Sequence[Row], real: RealImages, extractor: feature_spaces.Extractor, side: int
) -> list[Row]:
    """The rows of images that can be read, those of generated ones with their distances."""
    readable = feature_spaces.readable(extractor, [row.path for row in rows], side, BATCH, "images")
    usable = []
    while chunk := list(islice(readable, CHUNK)):
        usable += [rows[i] for i, _ in chunk]
        generated = [(rows[i], x) for i, x in chunk if not rows[i].real]
        if generated:
            some, features = zip(*generated, strict=True)
            nearest = real.nearest([row.path for row in some], np.stack(features))
            for row, pair in zip(some, nearest, strict=True):
                row.nearest, row.distance = pair
    return usable


def choose(arguments: argparse.Namespace, rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Marks what is kept; returns source → number kept, and of how many."""
    rng = np.random.default_rng(arguments.seed)
    numbers = {}
    for source in dict.fromkeys(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        number = number_of(arguments, source, len(own))
        # Real images are at no distance from themselves: as many of them, but any.
        keys = rng.random(len(own)) if own[0].real else [row.distance for row in own]
        for i in np.argsort(keys, kind="stable")[:number]:
            own[i].kept = True
        numbers[source] = number, len(own)
    return numbers


def write(out_dir: Path, in_dir: Path, rows: Sequence[Row]) -> None:
    """Copies what is kept, and writes the table of all images."""
    with program.whole_folder(out_dir) as folder:
        path = folder / TABLE
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["path", "source", "nearest", "distance", "kept"])
            for row in rows:
                distance = "" if row.distance is None else f"{row.distance:.8g}"
                nearest = row.nearest.name if row.nearest else ""
                name = row.path.relative_to(in_dir)
                table.writerow([*map(cell, (name, row.source, nearest)), distance, int(row.kept)])
                if row.kept:
                    (folder / name).parent.mkdir(exist_ok=True)
                    shutil.copyfile(row.path, folder / name)


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    check(arguments)
    rows = find_sources(arguments)
    images.list_images(arguments.real_dir, "--real_dir")  # or a mistake would be told of too late
    out_dir = program.new_output(arguments.out_dir, "--out_dir")
    extractor, side = open_space(arguments)
    real = real_images(arguments, extractor, side)
    rows = measure(rows, real, extractor, side)
    numbers = choose(arguments, rows)
    write(out_dir, Path(arguments.in_dir), rows)
    for source, (number, total) in numbers.items():
        own = [row.distance for row in rows if row.source == source and row.kept]
        far = "drawn at random" if own[0] is None else f"at most {max(own):.4g} from a real image"
        print(shown(f"{source}: {number} of {total} images, {far}"))
    print(f"copies and {TABLE}: {out_dir}")


if __name__ == "__main__":
    program.run(main)
