"""`gan-fingerprints harmonize`: puts the images of all sources through the same processing."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints import formats, images, perturbations, program, typed
from gan_fingerprints.data.audit import grids, report
from gan_fingerprints.data.auditing import findings_of
from gan_fingerprints.data.sources import SOURCES, find_sources, folder_of
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown, shown_lines
from gan_fingerprints.workers import parallel

DESCRIPTION = """\
Puts the images of all sources through the same processing, so that a classifier has nothing but
the images themselves to go by: one size, one file format, one JPEG history.

  gan-fingerprints harmonize sources/ --out harmonized/ --jpeg_quality 75-95

Of one subfolder of images per source it makes the same subfolders. The EXIF orientation is
applied, alpha, colour profiles and all other metadata are dropped. The data audit runs on a sample
before and after, and what it no longer warns about is listed, and what is left.

What was done to an image before cannot be undone, only be made alike: a JPEG takes colour detail
away and leaves a grid of 8x8 pixels, resizing leaves its factor. --jpeg_quality puts all sources
through one more JPEG, which covers the earlier ones, the better the lower its quality; what it
costs, fingerprints pay, too."""

GRID = 8  # pixels of JPEG's blocks
LEAST_SIDE = 16  # of images that an audit can say much about
GRIDS = tuple(report.grid_topic(which) for which in grids.KINDS)
LEFT = {
    **dict.fromkeys(
        GRIDS,
        "an earlier JPEG cannot be undone: --jpeg_quality covers it, --by resize weakens it",
    ),
    **dict.fromkeys(
        ("fine colour detail", "8-pixel block pattern", "file size per pixel"),
        "this is most often the work of an earlier JPEG, or of a generator's own smoothness: "
        "--jpeg_quality makes images more alike in it",
    ),
    **dict.fromkeys(
        ("value range", "mean brightness", "contrast", "saturation", report.CONTENT),
        "this is in what the images show, which stays: choose images that show the same things",
    ),
}
"""What to say of a property that still tells the sources apart."""


def _read_qualities(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    try:
        found = int(low), int(high if dash else low)
    except ValueError:
        found = 0, 0
    if not 1 <= found[0] <= found[1] <= 100:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected a quality from 1 to 100, or LOW-HIGH, e.g. 75-95"
        )
    return found


OPTIONS = {
    **SOURCES,
    "--out_dir": option(typed.folder, REQUIRED, "new folder for the same subfolders"),
    "--size": option(
        typed.number(int, lambda x: x >= 4, "a whole number of 4 or more", "PIXELS"),
        None,
        "side of the squares (default: the largest power of two that the smallest image has room "
        "for)",
    ),
    "--by": option(
        typed.one_of("resize", "crop"),
        "resize",
        "resize: the square in the middle, shrunk; crop: the middle in its own pixels",
    ),
    "--jpeg_quality": option(
        typed.Kind(_read_qualities, "Q|LOW-HIGH"),
        None,
        "put every image through a JPEG of this quality, or of one drawn from a range for each",
    ),
    "--format": option(typed.one_of("png", "jpg"), "png", "format of the files"),
    "--seed": option(typed.seed, 0, "which qualities"),
    "--skip_bad_images": option(
        typed.given, False, "leave out and list images that cannot be used, instead of stopping"
    ),
    "--audit": option(typed.switch, True, "audit a sample before and after"),
}


class Job(NamedTuple):
    """An image file, its key SOURCE/NAME, and the file to write, SOURCE/NAME.SUFFIX."""

    path: str
    key: str
    target: str


@dataclass(frozen=True)
class Processing:
    """What every image goes through, in a worker process; the same for the same seed and key.

    Attributes:
        size: side of the squares.
        by: "resize" or "crop".
        qualities: lowest and highest of the JPEG; None without one.
        suffix: "png" or "jpg".
        seed: of the qualities.
    """

    size: int
    by: str
    qualities: tuple[int, int] | None
    suffix: str
    seed: int

    def fitted(self, image: Image.Image, path: object) -> np.ndarray:
        """A square of Pillow's RGB image, uint8 [size, size, 3]; ImageError if it is smaller."""
        if min(image.size) < self.size:
            raise ImageError(
                f"{path}: found {image.width}x{image.height} pixels, expected {self.size} or more "
                "on either side, as enlarging leaves traces; give a smaller --size, or remove it"
            )
        if self.by == "resize":
            return np.asarray(images.resize_image(images.center_image(image), self.size))
        # At whole blocks: an earlier JPEG of all sources then has its grid at one place.
        left, top = ((length - self.size) // 2 // GRID * GRID for length in image.size)
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))

    def quality(self, key: str) -> int | None:
        """The quality of the JPEG that the image with this key goes through."""
        if self.qualities is None:
            return None
        rng = perturbations.keyed_random(self.seed, "harmonize", key)
        return int(rng.integers(*self.qualities, endpoint=True))

    def write(self, pixels: np.ndarray, key: str, path: Path) -> None:
        """Writes an image uint8 [size, size, 3] as what has this key."""
        quality = self.quality(key)
        if self.suffix == "jpg" and quality:
            program.write_whole(path, perturbations.jpeg(pixels, quality))
        else:
            images.write_png(path, perturbations.compress(pixels, quality) if quality else pixels)

    def read(self, path: str) -> tuple[np.ndarray, bool]:
        """The square of a file, and whether there are more pictures in it."""
        image = images.open_image(path)
        return self.fitted(image, path), bool(image.info[formats.FIRST])


def process(way: Processing, folder: Path, skip_bad: bool, job: Job) -> bool | ImageError:
    """Writes one image; whether its file holds more pictures, or with `skip_bad` what is wrong."""
    try:
        pixels, first = images.within_limits(job.path, way.read, job.path)
    except ImageError as error:
        if not skip_bad:
            raise
        return error
    way.write(pixels, job.key, folder / job.target)
    return first


def jobs_of(sources: Mapping[str, Sequence[Path]], suffix: str) -> list[Job]:
    """What is to be done. UserError when two files would get the same name."""
    jobs = [
        Job(str(path), f"{name}/{path.name}", f"{name}/{path.stem}.{suffix}")
        for name, paths in sources.items()
        for path in paths
    ]
    ((target, number),) = Counter(job.target for job in jobs).most_common(1)
    if number > 1:
        same = [job.path for job in jobs if job.target == target]
        raise UserError(
            f"--in_dir: found {' and '.join(same)}, which would both become {target}, expected "
            "names that differ before their endings; rename one"
        )
    return jobs


def common_size(jobs: Sequence[Job], skip_bad: bool) -> tuple[int, str]:
    """The largest power of two that every image has room for, and the smallest image."""
    sides: dict[str, int] = {}
    for job in jobs:
        try:
            sides[job.path] = min(images.size_of(job.path))
        except ImageError:
            if not skip_bad:
                raise
    if not sides:
        raise UserError("--in_dir: found no image that can be used, expected some")
    smallest = min(sides, key=sides.__getitem__)
    size = power_of_two(sides[smallest])
    if size < LEAST_SIDE:
        raise UserError(
            f"{smallest}: found {sides[smallest]} pixels at its shorter side, expected "
            f"{LEAST_SIDE} or more; remove it, or say with --size what others are to have and add "
            "--skip_bad_images"
        )
    return size, smallest


def power_of_two(number: int) -> int:
    """The largest up to a number of 1 or more."""
    return 1 << (number.bit_length() - 1)


def compared(before: Sequence[str], after: Sequence[str], resized: bool) -> list[str]:
    """What the audit warned of before and after, as lines."""
    if not before and not after:
        return ["The audit warned of nothing, before and after."]
    gone = [topic for topic in before if topic not in after]
    lines = [f"What told the sources apart and no longer does: {', '.join(gone) or 'nothing'}"]
    left: dict[str, list[str]] = defaultdict(list)
    for topic in after:
        left[LEFT.get(topic, "")].append(topic + ("" if topic in before else " (new)"))
    lines += [
        f"What still does: {', '.join(topics)}" + (f"; {why}" if why else "")
        for why, topics in left.items()
    ]
    if resized and "image size" in before:
        lines.append(
            "Note: the sources had different sizes, so they were resized by different factors, of "
            "which traces stay that the audit does not see: --by crop leaves none"
        )
    return lines


def write(
    way: Processing, jobs: Sequence[Job], folder: Path, skip_bad: bool
) -> list[bool | ImageError]:
    """Writes all images; what became of each."""
    from tqdm import tqdm

    for name in {job.target.partition("/")[0] for job in jobs}:
        (folder / name).mkdir()
    with (
        closing(parallel(partial(process, way, folder, skip_bad), jobs)) as results,
        tqdm(results, "harmonizing", len(jobs), unit="image", dynamic_ncols=True) as outcomes,
    ):
        return list(outcomes)


def require_some(jobs: Sequence[Job], outcomes: Sequence[bool | ImageError]) -> None:
    """UserError where a source is left without an image."""
    used = {
        job.target.partition("/")[0]
        for job, outcome in zip(jobs, outcomes, strict=True)
        if not isinstance(outcome, ImageError)
    }
    for name in {job.target.partition("/")[0] for job in jobs} - used:
        raise UserError(f"--in_dir: found no usable image in {name}, expected some")


def audited(folders: Mapping[str, Sequence[Path]], size: int, when: str, skip_bad: bool) -> Any:
    """The audit's findings, printed; nothing is said of where the folders are."""
    findings = findings_of(folders, power_of_two(size), skip_bad, f"audit {when}")
    print(shown_lines(f"{when.capitalize()}\n{report.text(findings, warnings=False)}"))
    return report.topics(findings)


def main(arguments: argparse.Namespace) -> None:
    """Writes the folder, and says what the audit finds before and after."""
    if arguments.format == "jpg" and arguments.jpeg_quality is None:
        raise UserError("--jpeg_quality is missing: --format jpg needs it, e.g. --jpeg_quality 90")
    out, skip = program.new_output(arguments.out_dir, "--out_dir"), arguments.skip_bad_images
    sources = find_sources(folder_of(arguments))
    jobs = jobs_of(sources, arguments.format)
    size = arguments.size
    if size is None:
        size, smallest = common_size(jobs, skip)
        print(shown(f"size: {size}, which {smallest} has room for"))
    way = Processing(size, arguments.by, arguments.jpeg_quality, arguments.format, arguments.seed)
    told: list[list[str]] = []
    if arguments.audit:
        told.append(audited(sources, size, "before", skip))
    with program.whole_folder(out) as folder:
        outcomes = write(way, jobs, folder, skip)
        require_some(jobs, outcomes)
        if arguments.audit:
            made = {name: images.find_images(folder / name) for name in sources}
            told.append(audited(made, size, "after", skip_bad=False))
    tell(way, out, outcomes, told)


def tell(
    way: Processing, out: Path, outcomes: Sequence[bool | ImageError], told: Sequence[list[str]]
) -> None:
    """Prints what was done, and what the audits' warnings, if there were any audits, come to."""
    bad = [outcome for outcome in outcomes if isinstance(outcome, ImageError)]
    for error in bad:
        print(shown(f"skipped: {error}"))
    if first := sum(outcome is True for outcome in outcomes):
        print(f"files of several pictures (animations, pages): {first}; the first was taken")
    if told:
        print("\n".join(compared(told[0], told[1], way.by == "resize")))
    done = f"{way.suffix} of {way.size}x{way.size} pixels"
    if way.qualities:
        low, high = way.qualities
        done += f", JPEG quality {low}" + (f" to {high}" if high > low else "")
    print(shown(f"{len(outcomes) - len(bad)} images, {done}: {out}"))
