"""The data preparation of the classifiers: one folder of images per source → TFRecords, labels."""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints import images, limits, program, typed
from gan_fingerprints.data.audit import report
from gan_fingerprints.data.audit.copies import digest_of, digests_of
from gan_fingerprints.data.audit.facts import ImageFacts, facts_of
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer, default_name, shuffled_order
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import SOURCE_NAMES, is_source_name, shown, shown_lines

DESCRIPTION = """\
Makes a data set for training or validating a classifier from one folder of images per source.

  python3 data_preparation.py --in_dir ../GAN_classifier_datasets/train/ --out_dir datasets/train/

The names of the subfolders, sorted, are the sources in label order. The data audit then says
which trivial property of the files tells the sources apart, and which images are copies."""


OPTIONS = {
    "--in_dir": option(typed.folder, REQUIRED, "folder of subfolders of images, one per source"),
    "--out_dir": option(typed.folder, REQUIRED, "new folder for the data set"),
    "--resolution": option(
        typed.power_of_two,
        None,
        "side to resize to; else all must be equal squares, a power of two",
    ),
    "--shuffle": option(typed.switch, True, "mix the sources, always in the same order"),
    "--export_labels": option(typed.switch, True, "write the labels"),
    "--percentage_samples": option(typed.percentage, 100.0, "use the first so many of each source"),
    "--skip_bad_images": option(
        typed.given, False, "leave out and list images that cannot be used, instead of stopping"
    ),
    "--audit": option(typed.switch, True, "look for trivial differences between the sources"),
    "--against": option(
        typed.folder, None, "prepared data set to look for copies in, e.g. the training split"
    ),
}


SAMPLE = 1000  # images per source whose facts are gathered: seconds, however large the data set


class Job(NamedTuple):
    """An image to prepare, the label of its source, and whether the audit gathers its facts."""

    label: int
    path: str  # reaches the worker faster than a Path
    sampled: bool


Audited = tuple[bytes, ImageFacts | None]
"""The digest of a prepared image, and facts of the sampled ones."""


@dataclass(frozen=True)
class Reader:
    """Reads one image in a worker process; `like` is one that all must be as large as, if any."""

    resolution: int
    like: str | None
    audited: bool

    def __call__(self, job: Job) -> tuple[np.ndarray, Audited | None]:
        """The image as uint8 [R, R, 3], and what the audit needs of it. Raises ImageError."""
        return images.within_limits(job.path, self._read, job)

    def _read(self, job: Job) -> tuple[np.ndarray, Audited | None]:
        try:
            with open(job.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                limits.announce(0, apart=size > limits.MANY_BYTES)
                content = file.read()
        except OSError as error:
            raise ImageError(f"{job.path}: {error.strerror}; replace or remove it") from None
        # The audit looks at the file as it came: resizing would hide what gives it away.
        native = images.open_image(job.path, content)
        if self.like and native.size != (self.resolution, self.resolution):
            raise ImageError(
                f"{job.path}: found {native.width}x{native.height} pixels, expected "
                f"{self.resolution}x{self.resolution} as {self.like}; give --resolution to "
                "resize all images"
            )
        prepared = np.asarray(images.resize_image(native, self.resolution))
        if not self.audited:
            return prepared, None
        facts = facts_of(content, np.asarray(native), prepared) if job.sampled else None
        return prepared, (digest_of(prepared), facts)


def find_sources(in_dir: str) -> dict[str, list[Path]]:
    """Source name → its images. Raises UserError unless there are two sources or more."""
    sources = images.list_sources(in_dir, "--in_dir")
    if len(sources) < 2:
        raise UserError(
            f"--in_dir {in_dir}: found one subfolder, {next(iter(sources))}, expected two or more; "
            "name the folder that holds one subfolder per source"
        )
    for name in sources:
        if not is_source_name(name):
            raise UserError(
                f"--in_dir {in_dir}: found a subfolder named {name}, which cannot be a source's "
                f"name, expected {SOURCE_NAMES}; rename it"
            )
    return sources


def list_jobs(sources: Iterable[Sequence[Path]], percentage: float, shuffle: bool) -> list[Job]:
    """The first `percentage` of the images of each source (at least one), in written order."""
    jobs = []
    for label, paths in enumerate(sources):
        count = max(1, int(len(paths) * percentage / 100))
        # Facts of a thousand images say as much as those of all, which would take minutes.
        sampled = set(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int).tolist())
        jobs += [Job(label, str(path), i in sampled) for i, path in enumerate(paths[:count])]
    return [jobs[i] for i in shuffled_order(len(jobs))] if shuffle else jobs


def common_size(paths: Sequence[str], skip_bad: bool) -> tuple[int, str]:
    """The side of the first usable image, and which one that is. Raises ImageError if none is."""
    for path in paths:
        try:
            height, width = images.read_changed(path, np.shape)[:2]
            if height == width >= 4 and height & (height - 1) == 0:
                return height, path
            raise ImageError(
                f"{path}: found {width}x{height} pixels, expected a square whose side is a power "
                "of two from 4 up; give --resolution to resize all images"
            )
        except ImageError as error:
            if not skip_bad:
                raise
            last = error
    raise last


def open_other_split(arguments: argparse.Namespace, resolution: int) -> DataSet | None:
    """The data set --against, or UserError when its images cannot be compared."""
    if arguments.against is None:
        return None
    if not arguments.audit:
        raise UserError("--against: found --audit 0, expected the audit, which compares the images")
    other = DataSet.open(arguments.against, "--against")
    if other.resolution != resolution:
        raise UserError(
            f"--against {arguments.against}: found {other.resolution} pixels, expected "
            f"{resolution} as in this data set: images of different sizes cannot be compared"
        )
    return other


def write(
    writer: Writer, names: Sequence[str], jobs: Sequence[Job], reader: Reader,
    arguments: argparse.Namespace,
) -> list[Audited | ImageError | None]:  # fmt: skip
    """Writes records, labels and manifest; returns what became of each image."""
    from tqdm import tqdm  # here, as the workers import this module but not that

    with tqdm(total=len(jobs), unit="image", dynamic_ncols=True) as bar:
        outcomes = writer.add_all(
            reader, jobs, skip_bad=arguments.skip_bad_images, progress=bar.update
        )
    pairs = zip(jobs, outcomes, strict=True)
    usable = [job.label for job, outcome in pairs if not isinstance(outcome, ImageError)]
    for label in set(range(len(names))).difference(usable):
        raise UserError(
            f"--in_dir {arguments.in_dir}: found no usable image in {names[label]}, expected some"
        )
    labels = np.eye(len(names), dtype=np.float32)[usable]
    settings = {
        "shuffle": arguments.shuffle,
        "percentage_samples": arguments.percentage_samples,
        "skipped": len(jobs) - len(usable),
    }
    writer.finish(labels if arguments.export_labels else None, names, arguments.command, settings)
    return outcomes


def examine(
    names: Sequence[str], jobs: Sequence[Job], outcomes: Sequence[Audited | ImageError | None],
    other: DataSet | None,
) -> dict[str, Any]:  # fmt: skip
    """The data audit, see `report.examine`."""
    digests: dict[str, bytes] = {}
    facts: dict[str, list[ImageFacts]] = defaultdict(list)
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, tuple):
            source, (digest, of_image) = names[job.label], outcome
            digests[f"{source}/{Path(job.path).name}"] = digest
            if of_image:
                facts[source].append(of_image)
    against = (str(other.folder), digests_of(other)) if other else None
    return report.examine(dict(sorted(facts.items())), dict(sorted(digests.items())), against)


def main(command: str) -> None:
    """The whole command line program; `command` is the script's name for the manifest."""
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    arguments.command = command
    sources = find_sources(arguments.in_dir)
    names = list(sources)
    out_dir = program.new_output(arguments.out_dir, "--out_dir")
    name = default_name(out_dir)
    jobs = list_jobs(sources.values(), arguments.percentage_samples, arguments.shuffle)
    resolution, like = arguments.resolution, None
    if resolution is None:
        resolution, like = common_size([job.path for job in jobs], arguments.skip_bad_images)
    other = open_other_split(arguments, resolution)
    reader = Reader(resolution, like, arguments.audit)
    with program.whole_folder(out_dir) as folder:
        with Writer(folder, name, resolution, every_level=False) as writer:
            outcomes = write(writer, names, jobs, reader, arguments)
        if arguments.audit:
            findings = examine(names, jobs, outcomes, other)
            program.write_json(folder / f"{name}-audit.json", findings)
            print(shown_lines(report.text(findings)))
    bad = [outcome for outcome in outcomes if isinstance(outcome, ImageError)]
    for error in bad:
        print(shown(f"skipped: {error}"))
    number = len(jobs) - len(bad)
    print(shown(f"{number} images of {len(names)} sources, {resolution}x{resolution}: {out_dir}"))
