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
from gan_fingerprints.data import databases
from gan_fingerprints.data.databases import Lmdb
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.program import UserError
from gan_fingerprints.workers import cores, parallel_chunks

KEPT_BYTES = 2**30  # decoded images up to this total stay in memory
CHUNK = 32  # images; the checksum depends on it


def square_image(
    path: Path, side: int, kernel: Image.Resampling = Image.Resampling.LANCZOS
) -> np.ndarray:
    """A square image file as uint8 [side, side, 3]; ImageError when it cannot be used."""
    return images.read_changed(path, partial(_squared, path=path, side=side, kernel=kernel))


def _squared(pixels: np.ndarray, path: Path, side: int, kernel: Image.Resampling) -> np.ndarray:
    if pixels.shape[0] != pixels.shape[1]:
        raise images.ImageError(
            f"{path}: found {pixels.shape[1]}x{pixels.shape[0]} pixels, expected a square image; "
            "crop the images first (ProGAN/dataset_tool.py does), or remove this one"
        )
    return images.resize(pixels, side, kernel)


def bilinear(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 [H, W, 3] → [side, side, 3]."""
    return images.resize(pixels, side, Image.Resampling.BILINEAR)


def lsun_image(key: bytes, side: int, database: Lmdb) -> np.ndarray:
    """The centre square of an image of LSUN's database, uint8 [side, side, 3]."""
    kernel = Image.Resampling.BILINEAR
    return database.read(key, partial(images.fitted, resolution=side, kernel=kernel))


class Images:
    """Images of one size by position, as `data.pipeline` takes them.

    Decodes everything once, on all workers, and keeps it where it is small.

    Args:
        name: what to call them.
        items: what `load` takes: paths, keys, or the images themselves.
        load: (item, side=side) → uint8 [side, side, 3]; picklable.
        side: the size.
        workers: processes (later threads) that decode.
        labels: float32 [count, 1], class numbers; None without classes.

    Attributes:
        name, count, resolution, labels, source_names, checksum: as of a `data.reading.DataSet`.

    Raises:
        UserError: naming the image that cannot be used.
    """

    source_names: list[str] | None = None

    def __init__(
        self,
        name: str,
        items: Any,
        load: Callable[..., np.ndarray],
        side: int,
        workers: int,
        labels: np.ndarray | None = None,
    ) -> None:
        self.name, self.resolution, self.count, self.labels = name, side, len(items), labels
        self._items, self._load = items, partial(load, side=side)
        self._threads = ThreadPoolExecutor(workers)
        shape = (self.count, side, side, 3)
        self._kept = np.empty(shape, np.uint8) if int(np.prod(shape)) <= KEPT_BYTES else None
        self.checksum = self._check(workers)

    def _check(self, workers: int) -> str:
        job = partial(_load_all, load=self._load, keep=self._kept is not None)
        # Over classes and pixels, in order: what `--resume` knows the same images by.
        digest, start = hashlib.sha256(b"" if self.labels is None else self.labels.tobytes()), 0
        workers = min(workers, cores())
        with tqdm(total=self.count, unit="image", desc="reading", dynamic_ncols=True) as bar:
            for sha, pixels in parallel_chunks(job, self._items, workers, CHUNK):
                digest.update(sha)
                if self._kept is not None and pixels is not None:
                    self._kept[start : start + CHUNK] = pixels
                start += CHUNK
                bar.update(min(CHUNK, self.count - bar.n))
        return digest.hexdigest()

    def images(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray:
        """Images at some positions: uint8 [N, side, side, 3], a new array.

        resolution: no other than `side`.
        """
        if resolution not in (None, self.resolution):
            raise ValueError(f"got resolution {resolution}, expected {self.resolution}")
        if self._kept is not None:  # by an array of positions, so NumPy copies
            return self._kept[indices]
        return np.stack(list(self._threads.map(self._load, [self._items[i] for i in indices])))


def _load_all(
    items: Sequence[Any], load: Callable[..., np.ndarray], keep: bool
) -> tuple[bytes, np.ndarray | None]:
    """The SHA-256 of some images and, with `keep`, the images uint8 [N, side, side, 3]."""
    pixels = np.stack([load(item) for item in items])
    # Channel-first, as the checksums in the settings of older runs are, which --resume compares.
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return hashlib.sha256(planes.data).digest(), pixels if keep else None


class Records:
    """A TFRecord data set at one of its resolutions, or resized where it has not got that one."""

    labels: np.ndarray | None = None
    source_names: list[str] | None = None

    def __init__(self, data: DataSet, side: int) -> None:
        self.name, self.count, self.checksum = data.name, data.count, data.checksum
        self.resolution = side
        self._data = data
        self._stored = side if side in data.resolutions else data.resolution

    def images(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray:
        """As `Images.images`."""
        pixels = self._data.images(indices, self._stored)
        side = self.resolution if resolution is None else resolution
        if self._stored == side:
            return pixels
        return np.stack([bilinear(image, side) for image in pixels])


def open_images(
    dataset: str, data_dir: str | None, flag: str, side: int, workers: int, verify: bool = True
) -> Images | Records:
    """The training images that the command line names.

    Args:
        dataset: "mnist" and "cifar10" are their files, "lsun" its database (or a folder of
            images); every other name is a folder of images or of TFRecords that dataset_tool.py
            wrote.
        data_dir: the folder.
        flag: the command-line flag that named the folder, for messages.
        side: the size that the images are resized to, bilinearly.
        workers: processes that decode.
        verify: compare TFRecords with their manifest.

    Raises:
        UserError: nothing there, or something that cannot be used.
    """
    if data_dir is None:
        raise UserError(f"{flag} is missing: training needs a folder of images; see --help")
    folder = program.existing_folder(data_dir, flag)
    name = folder.resolve().name
    if dataset in databases.FILES:
        return Images(dataset, databases.FILES[dataset](folder, flag), bilinear, side, workers)
    if dataset == "lsun" and (folder / "data.mdb").is_file():
        database = Lmdb(folder, flag)
        load = partial(lsun_image, database=database)
        return Images(name, database.keys(), load, side, workers)
    if any(folder.glob("*.tfrecords")):
        return Records(DataSet.open(folder, flag, verify=verify), side)
    load = partial(square_image, kernel=Image.Resampling.BILINEAR)
    return Images(name, images.list_images(folder, flag), load, side, workers)
