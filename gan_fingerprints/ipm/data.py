"""Training images of one size from a folder, TFRecords, LSUN's database, MNIST or CIFAR-10."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from gan_fingerprints import images, program
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.ipm import databases
from gan_fingerprints.program import UserError
from gan_fingerprints.workers import cores, parallel_chunks

KEPT_BYTES = 2**30  # decoded images up to this total stay in memory


def bilinear(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 [H, W, 3] → [side, side, 3]."""
    return images.resize(pixels, side, Image.Resampling.BILINEAR)


def load_file(path: Path, side: int) -> np.ndarray:
    """An image file as uint8 [side, side, 3]; ImageError unless it is a square image."""
    pixels = images.read_image(path)
    if pixels.shape[0] != pixels.shape[1]:
        raise images.ImageError(
            f"{path}: found {pixels.shape[1]}x{pixels.shape[0]} pixels, expected a square image; "
            "crop the images first (ProGAN/dataset_tool.py does), or remove this one"
        )
    return bilinear(pixels, side)


def load_lsun(item: tuple[Path, bytes], side: int) -> np.ndarray:
    """An image of LSUN's database: the centre square."""
    return bilinear(images.center_square(databases.read_lmdb(*item)), side)


class Images:
    """Images of one size by position, as `data.pipeline` takes them.

    Decodes everything once, on all workers, and keeps it where it is small.

    Args:
        name: what to call them.
        items: what `load` takes: paths, keys, or the images themselves.
        load: (item, side) → uint8 [side, side, 3]; picklable.
        side: the size.
        workers: processes (later threads) that decode.

    Attributes:
        name, count, resolution, labels, source_names, checksum: as of a `data.reading.DataSet`.

    Raises:
        UserError: naming the image that cannot be used.
    """

    labels: np.ndarray | None = None
    source_names: list[str] | None = None

    def __init__(self, name: str, items: Any, load: Callable[..., np.ndarray], side: int,
                 workers: int) -> None:  # fmt: skip
        self.name, self.resolution, self.count = name, side, len(items)
        self._items, self._load = items, partial(load, side=side)
        self._threads = ThreadPoolExecutor(workers)
        shape = (self.count, 3, side, side)
        self._kept = np.empty(shape, np.uint8) if int(np.prod(shape)) <= KEPT_BYTES else None
        self.checksum = self._check(workers)

    def _check(self, workers: int) -> str:
        job = partial(_load_all, load=self._load, keep=self._kept is not None)
        digest, start, chunk = hashlib.sha256(), 0, 32
        workers = min(workers, cores())
        with tqdm(total=self.count, unit="image", desc="reading", dynamic_ncols=True) as bar:
            for sha, pixels in parallel_chunks(job, self._items, workers, chunk):
                digest.update(sha)
                if self._kept is not None and pixels is not None:
                    self._kept[start : start + chunk] = pixels
                start += chunk
                bar.update(min(chunk, self.count - bar.n))
        return digest.hexdigest()

    def read(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Images at some positions: uint8 [N, 3, resolution, resolution]."""
        if self._kept is not None:
            return self._kept[indices]
        pixels = list(self._threads.map(self._load, [self._items[i] for i in indices]))
        return np.stack(pixels).transpose(0, 3, 1, 2)

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """As `read`, uint8 [N, resolution, resolution, 3]."""
        return self.read(indices, resolution).transpose(0, 2, 3, 1)


def _load_all(
    items: Sequence[Any], load: Callable[..., np.ndarray], keep: bool
) -> tuple[bytes, np.ndarray | None]:
    """The SHA-256 of some images and, with `keep`, the images uint8 [N, 3, side, side]."""
    pixels = np.stack([load(item) for item in items]).transpose(0, 3, 1, 2)
    return hashlib.sha256(pixels.tobytes()).digest(), pixels if keep else None


class Records(Images):
    """A TFRecord data set at one of its resolutions, or resized where it has not got that one."""

    def __init__(self, data: DataSet, side: int) -> None:
        self.name, self.count, self.checksum = data.name, data.count, data.checksum
        self.resolution = side
        self._data = data
        self._stored = side if side in data.resolutions else data.resolution

    def read(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        pixels = self._data.read(indices, self._stored)
        if self._stored == resolution:
            return pixels
        small = [bilinear(image.transpose(1, 2, 0), resolution) for image in pixels]
        return np.stack(small).transpose(0, 3, 1, 2)


def open_images(dataset: str, data_dir: str | None, side: int, workers: int) -> Images:
    """The training images that the command line names.

    dataset: "mnist" and "cifar10" are their files, "lsun" its database (or a folder of images);
        every other name is a folder of images or of TFRecords that dataset_tool.py wrote.

    Raises:
        UserError: nothing there, or something that cannot be used.
    """
    if data_dir is None:
        raise UserError("--data_dir is missing: training needs a folder of images; see --help")
    folder = program.existing_folder(data_dir, "--data_dir")
    name = folder.resolve().name
    if dataset in databases.FILES:
        return Images(dataset, databases.FILES[dataset](folder), bilinear, side, workers)
    if dataset == "lsun" and (folder / "data.mdb").is_file():
        keys = databases.lmdb_keys(folder)
        return Images(name, [(folder, key) for key in keys], load_lsun, side, workers)
    if any(folder.glob("*.tfrecords")):
        return Records(DataSet.open(folder, "--data_dir"), side)
    return Images(name, images.list_images(folder, "--data_dir"), load_file, side, workers)
