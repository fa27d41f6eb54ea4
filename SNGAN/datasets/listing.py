"""A folder of images and the list that says which of them, and of which class, are trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan_fingerprints import images, program, typed
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.workers import cores, parallel_chunks

LISTS = Path(__file__).resolve().parent  # where the programs of this folder write theirs
KEPT_BYTES = 2**30  # decoded images up to this total stay in memory


def write_list(folder: str | Path, path: Path) -> int:
    """Writes a list of the images in a folder, sorted by name, all of class 0; returns how many.

    One line per image, `name.png 0`.
    """
    names = [file.name for file in images.list_images(folder, "DIR")]
    program.check_writable(path, "--image_list")
    with program.whole_file(path) as partial_path:
        partial_path.write_text("".join(f"{name} 0\n" for name in names))
    return len(names)


def read_list(path: Path, folder: Path) -> tuple[list[str], list[int]]:
    """Names and classes of a list.

    Raises:
        UserError: no such list, a line that is no `name class`, or a file that is not there.
    """
    names, classes = [], []
    lines = program.existing_file(path, "--image_list").read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        name, _, label = line.strip().rpartition(" ")
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


def decode(path: Path, side: int) -> np.ndarray:
    """An image as uint8 [side, side, 3], resized where needed.

    Raises:
        ImageError: it cannot be read, or is not square.
    """
    pixels = images.read_image(path)
    if pixels.shape[0] != pixels.shape[1]:
        raise images.ImageError(
            f"{path}: found {pixels.shape[1]}x{pixels.shape[0]} pixels, expected a square image; "
            "crop the images first (ProGAN/dataset_tool.py does), or remove this one"
        )
    return images.resize(pixels, side)


def _decode_all(paths: Sequence[Path], side: int, keep: bool) -> tuple[bytes, np.ndarray | None]:
    """The SHA-256 of some decoded images, and, with `keep`, the images uint8 [N, 3, side, side]."""
    pixels = np.stack([decode(path, side) for path in paths]).transpose(0, 3, 1, 2)
    return hashlib.sha256(pixels.tobytes()).digest(), pixels if keep else None


class ListedImages:
    """Images by position, as `data.pipeline` takes them.

    Attributes:
        name, count, resolution, source_names, checksum: what identifies the data.
        labels: float32 [count, 1], class numbers.
    """

    image_list: str | None = None  # file name of the list that is used where it exists

    def __init__(self, folder: Path, names: list[str], classes: list[int], resolution: int,
                 workers: int) -> None:  # fmt: skip
        self.name = folder.resolve().name
        self.paths = [folder / name for name in names]
        self.labels = np.array(classes, np.float32)[:, None]
        self.count = len(names)
        self.resolution = resolution
        self.source_names = None
        self._threads = ThreadPoolExecutor(workers)
        self._kept: np.ndarray | None = None
        self.checksum = self._check(workers)

    @classmethod
    def open(cls, data_dir: str | Path, resolution: int, workers: int,
             image_list: str | Path | None = None) -> ListedImages:  # fmt: skip
        """Decodes every image once, and keeps them all where they are small.

        Args:
            data_dir: the folder that the list's names are in.
            resolution: side to resize to.
            workers: processes (later threads) that decode.
            image_list: a list that must exist. Without, the one that datasets/*.py wrote is
                used, and where there is none, every image of the folder, sorted, as class 0.

        Raises:
            UserError: the list or an image cannot be used; the message names it.
        """
        folder = program.existing_folder(data_dir, "--data_dir")
        path = Path(image_list) if image_list else None
        if path is None and cls.image_list and (LISTS / cls.image_list).is_file():
            path = LISTS / cls.image_list
        if path:
            names, classes = read_list(path, folder)
            print(f"using the {len(names)} images that {path} lists")
        else:
            names = [file.name for file in images.list_images(folder, "--data_dir")]
            classes = [0] * len(names)
            print(f"using all {len(names)} images in {folder}, sorted by name")
        return cls(folder, names, classes, resolution, workers)

    def _check(self, workers: int) -> str:
        shape = (self.count, 3, self.resolution, self.resolution)
        keep = int(np.prod(shape)) <= KEPT_BYTES
        if keep:
            self._kept = np.empty(shape, np.uint8)
        digest = hashlib.sha256(self.labels.tobytes())
        job = partial(_decode_all, side=self.resolution, keep=keep)
        start, chunk = 0, 32
        with tqdm(total=self.count, unit="image", desc="reading", dynamic_ncols=True) as bar:
            for sha, pixels in parallel_chunks(job, self.paths, min(workers, cores()), chunk):
                digest.update(sha)
                if self._kept is not None:
                    self._kept[start : start + chunk] = pixels
                start += chunk
                bar.update(min(chunk, self.count - bar.n))
        return digest.hexdigest()

    def read(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Images at some positions: uint8 [N, 3, resolution, resolution]."""
        if self._kept is not None:
            return self._kept[indices]
        jobs = [self.paths[i] for i in indices]
        pixels = list(self._threads.map(partial(decode, side=resolution), jobs))
        return np.stack(pixels).transpose(0, 3, 1, 2)

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """As `read`, uint8 [N, resolution, resolution, 3]."""
        return self.read(indices, resolution).transpose(0, 2, 3, 1)


def main(image_list: str, what: str) -> None:
    """The command line of a data set's program: writes its image list."""
    options = {
        "DIR": option(typed.folder, REQUIRED, "folder of square PNG images"),
        "--image_list": option(
            typed.file,
            None,
            "list to write (default: where train.py looks, SNGAN/datasets/" + image_list + ")",
        ),
    }
    description = f"Writes the list of the images of {what} for train.py."
    arguments = program.Parser(description, options).parse_args()
    path = Path(arguments.image_list or LISTS / image_list)
    count = write_list(arguments.DIR, path)
    print(f"wrote {path}: {count} images")
