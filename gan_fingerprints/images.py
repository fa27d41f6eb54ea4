"""Images: find, read, check, resize, convert and write them, one after the other or on all cores.

The one place that knows about colour modes and value ranges; `formats` knows the files. Worker
processes import it, so it needs nothing heavier than NumPy and Pillow.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan_fingerprints import formats, limits, truncation
from gan_fingerprints.formats import JPEG, SUFFIXES, opened
from gan_fingerprints.program import UserError, existing_folder, whole_file
from gan_fingerprints.shown import shown

ORIENTATION = 0x0112  # EXIF tag
OF_MACOS = "__MACOSX"  # a folder in archives
BAND = 512  # rows that are converted at a time

Result = TypeVar("Result")

warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters comes as an ImageError


class ImageError(UserError):
    """An image that cannot be used: the message begins with its file."""


def find_images(folder: str | Path) -> list[Path]:
    """The image files directly in `folder`, by suffix, sorted by name; hidden ones are skipped."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and entry.name[0] != "." and entry.is_file()
        ]
    return [Path(folder, name) for name in sorted(names)]


def list_images(folder: str | Path, flag: str) -> list[Path]:
    """As `find_images`, but UserError when there are none. `flag` named the folder."""
    found = find_images(existing_folder(folder, flag))
    if not found:
        raise UserError(
            f"{flag} {folder}: found {content_of(folder)}, expected images "
            f"({' '.join(suffix[1:] for suffix in SUFFIXES)}) directly in this folder; "
            "name the folder that holds them"
        )
    return found


def list_sources(
    folder: str | Path, flag: str, images_of: Callable[[Path, str], list[Any]] = list_images
) -> dict[str, list[Any]]:
    """The images of each source: subfolder name → its images, both sorted.

    images_of: what lists them, as `list_images` does.

    Empty subfolders, and what macOS puts into archives beside the images, are no sources: a line
    says that they are left out.

    Raises:
        UserError: there are no subfolders, or one of them holds other files but no images.
    """
    every = sorted(x for x in existing_folder(folder, flag).iterdir() if _is_subfolder(x))
    subfolders = [x for x in every if x.name != OF_MACOS and _has_content(x)]
    for path in every:
        if path not in subfolders:
            why = "no images but what macOS adds" if path.name == OF_MACOS else "nothing in it"
            print(shown(f"left out: {path}, which has {why}"))
    if not subfolders:
        raise UserError(
            f"{flag} {folder}: found {content_of(folder)}, expected one subfolder of images per "
            "source; move the images of each source into a subfolder with its name"
        )
    return {subfolder.name: images_of(subfolder, flag) for subfolder in subfolders}


def _is_subfolder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _has_content(folder: Path) -> bool:
    return any(not path.name.startswith(".") for path in folder.iterdir())


def content_of(folder: str | Path) -> str:
    """What is in a folder, in a few words for a message: "3 subfolders, no images"."""
    paths = [path for path in Path(folder).iterdir() if not path.name.startswith(".")]
    subfolders = sum(path.is_dir() for path in paths)
    pictures = len(find_images(folder))
    others = len(paths) - subfolders - pictures
    counts = {"subfolders": subfolders, "images": pictures, "other files": others}
    words = [f"{n} {what if n > 1 else what[:-1]}" for what, n in counts.items() if n]
    if not words:
        return "an empty folder"
    return " and ".join(words) + ("" if pictures else ", no images")


def read_image(path: str | Path, content: bytes | None = None) -> np.ndarray:
    """As `open_image`, within `limits`, as uint8 [H, W, 3]."""
    return read_changed(path, np.asarray, content)


def read_changed(
    path: str | Path, change: Callable[[np.ndarray], Result], content: bytes | None = None
) -> Result:
    """change(read_image(path, content)), of which only the result need be small.

    change: picklable, a partial of a function of the library say.
    """
    return within_limits(path, _changed, path, change, content)


def _changed(path: str | Path, change: Callable[[np.ndarray], Any], content: bytes | None) -> Any:
    return change(np.asarray(open_image(path, content)))


def open_image(path: str | Path, content: bytes | None = None) -> Image.Image:
    """Reads an image of any colour mode and up to 100 megapixels as Pillow's image in RGB.

    Alpha is dropped, grey of 16 bits becomes the nearest of 8, the EXIF orientation is applied. Of
    several pictures the first is taken, which `formats.FIRST` in its `info` then says.
    To be called by what `within_limits` calls; `read_image` is for all others.

    Args:
        path: the file; only its name in messages where `content` is given.
        content: the bytes of the file, where they come from elsewhere.

    Raises:
        ImageError: missing, not an image, damaged, truncated or too large.
    """
    try:
        with (
            open(path, "rb") if content is None else io.BytesIO(content) as file,
            opened(file) as image,
        ):
            if image.format in JPEG:
                truncation.require_bytes_for(image, file)
            first = formats.is_first(image)
            decoded = rgb(image, path)
            decoded.info[formats.FIRST] = first
            if image.format == "PNG":
                truncation.require_png_end(file)
            elif image.format in JPEG:
                truncation.require_jpeg_data(image, file)
            return decoded
    except (ImageError, limits.CostlyError):
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise ImageError(f"{path}: {_reason(error)}; replace or remove it") from None


def size_of(path: str | Path) -> tuple[int, int]:
    """Width and height that an image file states, as it is stored; raises ImageError."""
    try:
        with open(path, "rb") as file, formats.identified(file) as image:
            return image.size
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise ImageError(f"{path}: {_reason(error)}; replace or remove it") from None


def within_limits(path: object, function: Callable[..., Result], *arguments: Any) -> Result:
    """As `limits.within`, but what takes too much is an ImageError that names `path`."""
    try:
        return limits.within(function, *arguments)
    except limits.ExceededError as error:
        raise ImageError(f"{path}: {error}; make it smaller or remove it") from None


def rgb(image: Image.Image, name: object = "image") -> Image.Image:
    """Pillow's image of any mode as `open_image` gives it; ImageError, which names it, else."""
    most = formats.MOST_PIXELS.get(image.format or "", formats.MAX_PIXELS)
    if image.width * image.height > most:
        raise ImageError(
            f"{name}: found {image.width}x{image.height} pixels, expected at most "
            f"{most // 10**6} megapixels; make it smaller or remove it"
        )
    try:
        return _rgb(image)
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise ImageError(f"{name}: {_reason(error)}; replace or remove it") from None


def _rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, expected 8 or 16 bits")
    if image.mode.startswith("I"):
        return _grey_of_16_bits(image).convert("RGB")
    if image.mode != "RGB":
        if "transparency" in image.info:  # alpha of a palette: dropped like any other
            image = image.copy()  # the caller's keeps it
            del image.info["transparency"]
        image = image.convert("RGB")
    return image


def _grey_of_16_bits(image: Image.Image) -> Image.Image:
    grey = Image.new("L", image.size)
    for top in range(0, image.height, BAND):  # all at once would take much memory
        bottom = min(top + BAND, image.height)
        values = np.asarray(image.crop((0, top, image.width, bottom)))
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels have more than 16 bits, expected 8 or 16")
        levels = (values.astype(np.uint32) + 128) // 257
        grey.paste(Image.fromarray(levels.astype(np.uint8)), (0, top))
    return grey


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"takes more than {limits.MEMORY >> 20} MiB of memory to read"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return f"found something else than a {formats.IN_WORDS} image"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot be read as an image ({' '.join(text.split())})"


def resize(
    image: np.ndarray, resolution: int, kernel: Image.Resampling = Image.Resampling.LANCZOS
) -> np.ndarray:
    """The whole image, uint8 [H, W, 3], as [resolution, resolution, 3], with Pillow's Lanczos.

    The aspect ratio is not kept; an image that fits already is returned as it is. Another kernel
    of Pillow's, BILINEAR say, averages over the pixels that become one, too.
    """
    if image.shape[:2] == (resolution, resolution):
        return image
    return np.asarray(resize_image(Image.fromarray(image), resolution, kernel))


def resize_image(
    image: Image.Image, resolution: int, kernel: Image.Resampling = Image.Resampling.LANCZOS
) -> Image.Image:
    """As `resize`, of Pillow's image."""
    size = (resolution, resolution)
    return image if image.size == size else image.resize(size, kernel)


def fitted(
    image: np.ndarray, resolution: int, kernel: Image.Resampling = Image.Resampling.LANCZOS
) -> np.ndarray:
    """The square in the middle of an image uint8 [H, W, 3], as `resize` makes it."""
    return resize(center_square(image), resolution, kernel)


def center_square(image: np.ndarray) -> np.ndarray:
    """The square in the middle of an image [H, W, ...], as large as the shorter side."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def center_image(image: Image.Image) -> Image.Image:
    """As `center_square`, of Pillow's image."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))


def from_uint8(images: np.ndarray) -> np.ndarray:
    """uint8 → float32 in [-1, 1], of any shape."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float in [-1, 1] → uint8, rounded to the nearest and saturated, of any shape."""
    return np.clip(np.rint(images * 127.5 + 127.5), 0, 255).astype(np.uint8)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] or [H, W] as a PNG that appears only when it is whole."""
    with whole_file(path) as partial_path:
        Image.fromarray(image).save(partial_path, format="PNG")


def write_numbered(folder: Path, prefix: str, batches: Iterable[np.ndarray], total: int) -> None:
    """Writes the first `total` of the images in batches, uint8 [N, H, W, 3] each.

    As PREFIX_00000000.png, PREFIX_00000001.png, … in an existing folder, with a progress bar.
    """
    from tqdm import tqdm

    with (
        ThreadPoolExecutor() as writers,
        tqdm(total=total, unit="image", dynamic_ncols=True) as bar,
    ):
        for batch in batches:
            kept = batch[: total - bar.n]
            paths = [folder / f"{prefix}_{bar.n + i:08d}.png" for i in range(len(kept))]
            list(writers.map(write_png, paths, kept))
            bar.update(len(kept))


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """One picture of many, uint8 [N, H, W, 3] → [rows · H, columns · W, 3], row by row.

    columns: as many as make the grid about square, by default. Free places stay black.
    """
    number, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(number))
    rows = math.ceil(number / columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:number] = images
    cells = cells.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return cells.reshape(rows * height, columns * width, channels)
