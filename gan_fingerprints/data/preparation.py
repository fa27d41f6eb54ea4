"""The data preparation of the classifiers: one folder of images per source → TFRecords, labels."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.data import groups, shared
from gan_fingerprints.data.audit import report
from gan_fingerprints.data.audit.copies import known
from gan_fingerprints.data.crops import Crops
from gan_fingerprints.data.packed import COLUMN, list_places
from gan_fingerprints.data.parquet import Unpacked
from gan_fingerprints.data.places import Member, Place, content_of
from gan_fingerprints.data.preparing import Job, Prepared, Reader, Sampled, remarks
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.sources import SOURCES, folder_of, required
from gan_fingerprints.data.unfinished import AT_SCALE, output
from gan_fingerprints.data.writing import Writer, default_name, shuffled_order, versions
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown, shown_lines

DESCRIPTION = """\
Makes a data set for training or validating a classifier from one folder of images per source.

  python3 data_preparation.py --in_dir ../GAN_classifier_datasets/train/ --out_dir datasets/train/

The names of the subfolders, sorted, are the sources in label order. The data audit then says
which trivial property of the files tells the sources apart, and which images are copies.

A source's images may also be in tars (WebDataset) or Parquet files in its subfolder.

Large images: resizing takes fingerprints away. --resolution 128 --crops 4 takes four crops of
128×128 of each image instead, in its own pixels; smaller images are errors.

Groups: images of one latent, photograph or person are no independent evidence. --group_by 'z(\\d+)'
keeps in the data set which image shows what (of the match in the file's name the first captured
text, or all of it), so that intervals are stated by group, the audit tests by group, and data sets
that share a group are refused by --against. `gan-fingerprints split` makes such parts. Of crops,
the file is the group unless --group_by says otherwise."""


OPTIONS = {
    **SOURCES,
    "--out_dir": option(typed.folder, REQUIRED, "new folder for the data set"),
    "--resolution": option(
        typed.power_of_two,
        None,
        "side to resize to, or of --crops; else all must be equal squares, a power of two",
    ),
    "--crops": option(
        typed.positive_int, None, "take so many crops of larger images instead of resizing them"
    ),
    "--seed": option(typed.seed, 0, "which crops"),
    "--fit": option(
        typed.one_of("squeeze", "crop"),
        "squeeze",
        "how --resolution makes squares of other shapes: squeeze the whole image, as in the study, "
        "or crop to the square in its middle",
    ),
    "--group_by": option(
        groups.pattern,
        None,
        "what in a file's name tells which latent, photograph or person it shows, e.g. 'z(\\d+)'",
    ),
    "--shuffle": option(typed.switch, True, "mix the sources, always in the same order"),
    "--export_labels": option(typed.switch, True, "write the labels"),
    "--percentage_samples": option(typed.percentage, 100.0, "use the first so many of each source"),
    "--skip_bad_images": option(
        typed.given, False, "leave out and list images that cannot be used, instead of stopping"
    ),
    "--audit": option(typed.switch, True, "look for trivial differences between the sources"),
    "--against": option(
        typed.folder,
        None,
        "prepared data set to look for copies in, e.g. the validation split: having images "
        "or groups in common with it is an error",
    ),
    **COLUMN,
    **AT_SCALE,
}
MADE_BY = (
    "resolution", "crops", "seed", "fit", "shuffle", "export_labels", "percentage_samples",
    "skip_bad_images", "audit", "column",
)  # fmt: skip
"""Options that the bytes of a data set depend on, beside --group_by and --against."""


SAMPLE = 1000  # images per source whose facts are gathered: seconds, however large the data set


def list_jobs(sources: Iterable[Sequence[Place]], percentage: float, shuffle: bool) -> list[Job]:
    """The first `percentage` of the images of each source (at least one), in written order."""
    jobs = []
    for label, paths in enumerate(sources):
        count = max(1, int(len(paths) * percentage / 100))
        # Facts of a thousand images say as much as those of all, which would take minutes.
        sampled = set(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int).tolist())
        named = [path if isinstance(path, Member) else str(path) for path in paths[:count]]
        jobs += [Job(label, path, i in sampled) for i, path in enumerate(named)]
    return [jobs[i] for i in shuffled_order(len(jobs))] if shuffle else jobs


def common_size(paths: Sequence[str | Member], skip_bad: bool) -> tuple[int, str]:
    """The side of the first usable image, and which one that is. Raises ImageError if none is."""
    for path in paths:
        try:
            height, width = images.read_changed(str(path), np.shape, content_of(path))[:2]
            if height == width >= 4 and height & (height - 1) == 0:
                return height, str(path)
            raise ImageError(
                f"{path}: found {width}x{height} pixels, expected a square whose side is a power "
                "of two from 4 up; give --resolution to resize all images"
            )
        except ImageError as error:
            if not skip_bad:
                raise
            last = error
    raise last


def open_other_split(
    arguments: argparse.Namespace, resolution: int, named: Sequence[str] | None
) -> DataSet | None:
    """The data set --against, or UserError when its images cannot be compared, or are known here.

    named: the groups of the images here, if they have any.
    """
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
    groups.refuse_shared(named, other.group_names, f"--against {other.folder}")
    return other


def write(
    writer: Writer, names: Sequence[str], jobs: Sequence[Job], reader: Reader,
    arguments: argparse.Namespace, named: Sequence[str] | None,
) -> list[Prepared | ImageError]:  # fmt: skip
    """Writes records, labels and manifest; returns what became of each image.

    named: the group of each job, if it has a name.
    """
    from tqdm import tqdm  # here, as the workers import this module but not that

    crops = reader.crops
    with tqdm(total=len(jobs), unit="image", dynamic_ncols=True) as bar:
        outcomes = writer.add_all(
            reader, jobs, each=crops.per_image if crops else 1,
            skip_bad=arguments.skip_bad_images, workers=arguments.workers, progress=bar.update,
        )  # fmt: skip
    usable = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Prepared)]
    numbers = [len(x.corners) for x in outcomes if isinstance(x, Prepared)]
    labels = np.repeat([jobs[i].label for i in usable], numbers)
    for label in set(range(len(names))).difference(labels.tolist()):
        raise UserError(
            f"--in_dir {arguments.in_dir}: found no usable image in {names[label]}, expected some"
        )
    settings = {
        "shuffle": arguments.shuffle,
        "percentage_samples": arguments.percentage_samples,
        "skipped": len(jobs) - len(usable),
        "crops": crops._asdict() if crops else None,
        **({"fit": arguments.fit} if arguments.fit == "crop" else {}),
        "groups": _groups([named[i] for i in usable] if named else None, numbers, arguments),
    }
    one_hot = np.eye(len(names), dtype=np.float32)[labels] if arguments.export_labels else None
    writer.finish(one_hot, names, arguments.command, settings)
    return outcomes


def _groups(
    named: Sequence[str] | None, crops: Sequence[int], arguments: argparse.Namespace
) -> dict[str, Any] | None:
    """The manifest's entry: groups by name, or else files of which there are crops, if any."""
    if named:
        numbers, names = groups.numbers_of(named)
        return groups.packed(np.repeat(numbers, crops), names, arguments.group_by.pattern)
    if arguments.crops:
        return groups.packed(np.repeat(np.arange(len(crops)), crops), None, None)
    return None


def examine(
    names: Sequence[str], jobs: Sequence[Job], outcomes: Sequence[Prepared | ImageError],
    digests: Sequence[bytes], other: DataSet | None, named: Sequence[str] | None,
) -> dict[str, Any]:  # fmt: skip
    """The data audit, see `report.examine`; the digests are those of the records."""
    sampled: dict[str, list[tuple[Sampled, str]]] = defaultdict(list)
    found, rest = [], iter(digests)
    for i, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True)):
        if isinstance(outcome, Prepared):
            file = f"{names[job.label]}/{Path(str(job.path)).name}"
            if outcome.sampled:
                group = named[i] if named else file
                sampled[names[job.label]].append((outcome.sampled, group))
            found += _images_of(file, outcome, rest)
    found.sort(key=lambda image: image[0])
    of_sources = dict(sorted(sampled.items()))
    shapes = [shape for _, _, shape in found if shape is not None]
    gathered = report.Gathered(
        facts={source: [one.facts for one, _ in some] for source, some in of_sources.items()},
        digests={file: digest for file, digest, _ in found},
        looks={source: [one.look for one, _ in some] for source, some in of_sources.items()},
        groups={source: [group for _, group in some] for source, some in of_sources.items()},
        shapes=np.stack(shapes) if shapes else None,
    )
    findings = report.examine(gathered, known(other) if other else None)
    if other and (other.group_names is None) != (named is None):
        which = "that data set" if named else "this data set"
        findings["warnings"].append(
            f"groups are not compared with {other.folder}: {which} has none with names; prepare "
            "both with --group_by"
        )
    return findings


def _images_of(
    file: str, outcome: Prepared, digests: Iterator[bytes]
) -> list[tuple[str, bytes, np.ndarray | None]]:
    """Name, digest, which is next, and shape of what was taken of a file."""
    whole = outcome.corners == [(0, 0)]
    names = [file if whole else f"{file} at {x},{y}" for x, y in outcome.corners]
    shapes = [None] * len(names) if outcome.shapes is None else list(outcome.shapes)
    return list(zip(names, islice(digests, len(names)), shapes, strict=True))


def crops_of(arguments: argparse.Namespace) -> Crops | None:
    """What --crops asks for. UserError without --resolution."""
    if arguments.crops is None:
        return None
    if arguments.resolution is None:
        raise UserError(
            f"--crops {arguments.crops}: found no --resolution, expected the side of the crops, "
            "e.g. --resolution 128"
        )
    return Crops(arguments.crops, arguments.seed)


def groups_of(jobs: Sequence[Job], arguments: argparse.Namespace) -> list[str] | None:
    """The group of each image by --group_by, if that is given. UserError: some have none."""
    if arguments.group_by is None:
        return None
    named = groups.groups_of([job.path for job in jobs], arguments.group_by, "--group_by")
    groups.packed(*groups.numbers_of(named), arguments.group_by.pattern)  # fails before the work
    return named


def counted(
    outcomes: Sequence[Prepared | ImageError], arguments: argparse.Namespace,
    named: Sequence[str] | None,
) -> str:  # fmt: skip
    """How many images, crops and groups there are, in words."""
    usable = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Prepared)]
    words = f"{len(usable)} images"
    if arguments.crops:
        numbers = [len(x.corners) for x in outcomes if isinstance(x, Prepared)]
        fewer = sum(number < arguments.crops for number in numbers)
        words = f"{sum(numbers)} crops of {words}" + (
            f" ({fewer} had no room for all)" if fewer else ""
        )
    if named:
        words += f" in {len({named[i] for i in usable})} groups"
    return words


def settings(arguments: argparse.Namespace, other: DataSet | None) -> dict[str, Any]:
    """What the data set depends on, beside its images."""
    by = arguments.group_by
    return {
        **{name: getattr(arguments, name) for name in MADE_BY},
        "group_by": by.pattern if by else None,
        "against": other.checksum if other else None,
        "versions": versions(),
    }


def main(command: str) -> None:
    """The whole command line program; `command` is the script's name for the manifest."""
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    arguments.command = command
    prepare(arguments)


def prepare(arguments: argparse.Namespace) -> None:
    """Makes the data set that the arguments describe; `arguments.command` is for the manifest."""
    crops_of(arguments)
    arguments.in_dir = folder_of(arguments)
    out_dir = program.new_output(arguments.out_dir, "--out_dir")
    with Unpacked(out_dir, arguments.column) as unpacked:
        images_of = partial(list_places, unpacked=unpacked)
        sources = images.list_sources(arguments.in_dir, "--in_dir", images_of)
        prepare_sources(required(sources, arguments.in_dir), out_dir, arguments)


def prepare_sources(
    sources: Mapping[str, Sequence[Place]], out_dir: Path, arguments: argparse.Namespace
) -> None:
    """Makes the data set of images of some sources."""
    crops = crops_of(arguments)
    names = list(sources)
    name = default_name(out_dir)
    jobs = list_jobs(sources.values(), arguments.percentage_samples, arguments.shuffle)
    named = groups_of(jobs, arguments)
    resolution, like = arguments.resolution, None
    if resolution is None:
        resolution, like = common_size([job.path for job in jobs], arguments.skip_bad_images)
    other = open_other_split(arguments, resolution, named)
    squares = arguments.fit == "crop"
    reader = Reader(resolution, like, arguments.audit, crops, other is not None, squares)
    paths, made = [job.path for job in jobs], settings(arguments, other)
    with output(out_dir, "--out_dir", arguments.shards, made, paths) as (folder, kept):
        with Writer(folder, name, resolution, every_level=False, kept=kept) as writer:
            outcomes = write(writer, names, jobs, reader, arguments, named)
        if arguments.audit:
            findings = examine(names, jobs, outcomes, writer.digests, other, named)
            program.write_json(folder / f"{name}-audit.json", findings)
            print(shown_lines(report.text(findings)))
            where = f"--against {arguments.against}"
            shared.refuse_in_preparation(findings.get("also_there", {}), where)
    for outcome in outcomes:
        if isinstance(outcome, ImageError):
            print(shown(f"skipped: {outcome}"))
    for remark in remarks(outcomes):
        print(remark)
    what = counted(outcomes, arguments, named)
    print(shown(f"{what} of {len(names)} sources, {resolution}x{resolution}: {out_dir}"))
