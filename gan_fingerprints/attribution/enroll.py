"""`gan-fingerprints enroll`: adds a source to a network from a few images, without training."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_fingerprints import metrics, program, typed
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.finding import find
from gan_fingerprints.attribution.verdict import VERDICTS
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import enrolment_space, files
from gan_fingerprints.networks.enrolment import Enrolment, Newcomer
from gan_fingerprints.networks.stored import StoredNetwork
from gan_fingerprints.networks.stored_enrolment import FEWEST, MOST
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import SOURCE_NAMES, is_source_name, shown

MOST_LOST = 0.04  # share of the old sources' images
DESCRIPTION = f"""\
Adds a source to a model from {FEWEST} to {MOST} images, without training.

  gan-fingerprints enroll --model network-final.safetensors --name NewGAN --images new_gan/ \\
      --out with_new_gan.safetensors
  gan-fingerprints enroll --model with_new_gan.safetensors --check
  gan-fingerprints enroll --model with_new_gan.safetensors --remove NewGAN --out without.safetensors

Models that were trained with --enrollable 1, as `gan-fingerprints train` does, keep what is needed
of their training and validation images. For others name the two data sets the first time. --check
says how many images of an enrolled source the others would find, and how many images of the old
sources are lost to it."""
OPTIONS = {
    "--model": option(typed.file, REQUIRED, "a network that names sources"),
    "--name": option(typed.name, None, "of the new source"),
    "--images": option(typed.path, None, "images of it, all of the same origin"),
    "--remove": option(typed.name, None, "take an enrolled source away again"),
    "--check": option(typed.given, False, "say what to expect of the enrolled sources"),
    "--out": option(typed.new_file(".safetensors"), None, "the new network file"),
    "--training_data_dir": option(
        typed.folder, None, "data set that the model was trained on, if the model does not keep it"
    ),
    "--validation_data_dir": option(
        typed.folder, None, "another of the same sources, to measure the loss on"
    ),
    "--most_lost": option(
        typed.share, MOST_LOST, "of the old sources' images that may be lost to the new one"
    ),
    "--verify": option(typed.switch, True, "1: compare data sets with their checksums first"),
    "--batch": option(typed.positive_int, 64, "images per step; changes only the speed"),
}


def main(arguments: argparse.Namespace) -> None:
    """Enrolls, removes or checks."""
    check_flags(arguments)
    path = program.existing_file(arguments.model, "--model")
    out = program.new_output(arguments.out, "--out") if arguments.out else None
    sets = open_sets(arguments)
    images = find([arguments.images], "--images").paths if arguments.images else []
    stored = files.read(path, "--model", files.NAMING)[-1]
    loaded = files.attributing(path, "--model", None, arguments.batch)
    known = loaded.source_names or []
    if arguments.name:
        require_name(arguments.name, known, loaded.enrolment)
    kept = learned(arguments, loaded, sets)
    attributor = without_newcomers(loaded, kept, arguments.batch)
    if arguments.name:
        newcomer = read_newcomer(arguments.name, images, attributor)
        kept = kept.with_newcomer(newcomer, arguments.most_lost, attributor.temperature)
    elif arguments.remove:
        kept = without(kept, arguments.remove)
    print(shown(f"model: {path} ({stored.kind}), sources: {', '.join(known)}"))
    print("\n".join(map(shown, describe(kept, attributor.temperature))))
    if out:
        write(out, stored, known, kept)
        print(shown(f"wrote {out}"))


def without_newcomers(loaded: files.Loaded, kept: Enrolment, batch: int) -> Attributor:
    """The network with what is kept for enrolment, as newcomers are measured with it."""
    plain = replace(loaded, enrolment=replace(kept, newcomers=()))
    return Attributor.of(plain, batch, mapped=False)


def write(out: Path, stored: StoredNetwork, known: Sequence[str], kept: Enrolment) -> None:
    """Writes a network file with other newcomers; known: the sources that it was trained on."""
    files.write(out, replace(stored, source_names=list(known), enrolment=kept))


def check_flags(arguments: argparse.Namespace) -> None:
    """UserError unless one thing is asked for, with all that it needs."""
    asked = [x for x in ("name", "remove", "check") if getattr(arguments, x)]
    if len(asked) != 1:
        raise UserError(
            f"--name, --remove and --check: found {' and '.join(asked) or 'none'}, expected one"
        )
    needed = {"name": ("images", "out"), "remove": ("out",), "check": ()}[asked[0]]
    for flag in needed:
        if getattr(arguments, flag) is None:
            raise UserError(f"--{flag} is missing: --{asked[0]} needs it; see --help")
    if arguments.images and not arguments.name:
        raise UserError("--name is missing: --images needs it; see --help")
    if arguments.validation_data_dir and not arguments.training_data_dir:
        raise UserError("--training_data_dir is missing: --validation_data_dir needs it")


def open_sets(arguments: argparse.Namespace) -> dict[str, DataSet]:
    """The data sets that were named, by their flags."""
    flags = [x for x in ("training_data_dir", "validation_data_dir") if getattr(arguments, x)]
    return {
        flag: DataSet.open(
            getattr(arguments, flag), f"--{flag}", needs_labels=True, verify=arguments.verify
        )
        for flag in flags
    }


def require_name(name: str, known: Sequence[str], enrolment: Enrolment | None) -> None:
    """UserError unless a new source may be called so."""
    taken = [*known, *(x.name for x in enrolment.newcomers)] if enrolment else known
    if name in taken:
        raise UserError(f"--name {name}: the model has such a source; use another, or --remove it")
    if name in VERDICTS or not is_source_name(name):
        raise UserError(f"--name {name}: expected {SOURCE_NAMES}, no verdict's")


def learned(
    arguments: argparse.Namespace, loaded: files.Loaded, sets: dict[str, DataSet]
) -> Enrolment:
    """What the file keeps, or what is learned of the data sets; newcomers need the former."""
    old = loaded.enrolment
    if old and (old.newcomers or not sets):
        if sets:
            raise UserError(
                "--training_data_dir: the model keeps what enrolled sources were measured by; "
                "leave the data sets out"
            )
        return old
    if not sets:
        raise UserError(
            f"--training_data_dir is missing: {arguments.model} does not keep what it takes of "
            "its training images; name the data set once"
        )
    for flag, data in sets.items():
        if data.source_names != loaded.source_names:
            raise UserError(
                f"--{flag} {data.folder}: its sources are {', '.join(data.source_names or [])}; "
                f"expected the model's: {', '.join(loaded.source_names or [])}"
            )
        side = loaded.arguments["resolution"]
        if data.resolution != side:
            raise UserError(
                f"--{flag} {data.folder}: {data.resolution} pixels, expected the model's {side}"
            )
    program.load_tensorflow()
    network = files.load(arguments.model, files.constructors(), "--model").network
    try:
        return enrolment_space.learn(network, *sets.values())
    except ValueError as error:
        raise UserError(f"--training_data_dir {arguments.training_data_dir}: {error}") from None


def read_newcomer(
    name: str, paths: Sequence[Path], attributor: Attributor, say: Callable[[str], object] = print
) -> Newcomer:
    """A new source from the images that can be read; what is said of the others, is printed."""
    digests: dict[str, np.ndarray] = {}
    for path in paths:
        picture = answering.read_hashed(path, attributor.seeing)
        if picture.pixels is None or picture.sha256 is None:
            say(shown(f"left out: {path}: {picture.error}"))
        elif picture.sha256 in digests:
            say(shown(f"left out: {path}: the same file as another one"))
        else:
            digests[picture.sha256] = picture.pixels
    if not FEWEST <= len(digests) <= MOST:
        raise UserError(f"--images: found {len(digests)} images, expected {FEWEST} to {MOST:,}")
    logits, places = attributor.placed(digests.values())
    return Newcomer(name, tuple(digests), places, logits)


def without(enrolment: Enrolment, name: str) -> Enrolment:
    """UserError where there is no such enrolled source."""
    kept = tuple(x for x in enrolment.newcomers if x.name != name)
    if len(kept) == len(enrolment.newcomers):
        found = ", ".join(x.name for x in enrolment.newcomers) or "none"
        raise UserError(f"--remove {name}: the enrolled sources are: {found}")
    return replace(enrolment, newcomers=kept)


def describe(enrolment: Enrolment, temperature: float) -> list[str]:
    """A line for each enrolled source: what is to be expected of it; and one on the old ones."""
    lines = [_recall(enrolment, one, temperature) for one in enrolment.newcomers]
    right = enrolment.held_logits.argmax(axis=1) == enrolment.held_labels
    if not len(right):
        return [*lines, "loss on the old sources: unknown, as no validation images were kept"]
    before, number = float(right.mean()), len(right)
    for one in enrolment.newcomers:
        lost = enrolment.alone(one).lost(temperature)
        lines.append(f"{one.name}: takes {100 * lost:.1f} of 100 images of the old sources")
    after = before - (enrolment.lost(temperature) if enrolment.newcomers else 0)
    return [*lines, f"old sources: {before:.1%} of {number} held images are right, "
            f"{after:.1%} with the enrolled ones"]  # fmt: skip


def _recall(enrolment: Enrolment, one: Newcomer, temperature: float) -> str:
    named = enrolment.recalled(one, temperature)
    low, high = metrics.wilson_interval(float(named.sum()), len(named))
    return (
        f"{one.name}: enrolled from {one.images} images; leaving one out, the others name "
        f"{named.mean():.1%} (95 % interval {low:.1%} to {high:.1%})"
    )
