"""Attacks images: noise, blur, cropping, compression, relighting, or a combination of them."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import csv
import json
from functools import partial
from typing import NamedTuple

from tqdm import tqdm

from gan_fingerprints import images, perturbations, program, typed, workers
from gan_fingerprints.images import ImageError
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import REQUIRED, option
from gan_fingerprints.shown import cell, shown

DESCRIPTION = """\
Attacks images as somebody might who wants to hide where they are from.

  python3 perturb.py --attack compression --in_dir sources/test --out_dir sources/test_compressed

The input is a folder of images, or a folder of subfolders, which the output keeps. Parameters are
drawn for each image from --seed and its path below --in_dir; perturbations.csv lists them."""
TABLE = "perturbations.csv"
OPTIONS = {
    "--attack": option(
        typed.one_of(*perturbations.NAMES),
        REQUIRED,
        "what to do to the images; combination: each of the others with probability 1/2",
    ),
    "--in_dir": option(typed.folder, REQUIRED, "images, or subfolders"),
    "--out_dir": option(typed.folder, REQUIRED, "new folder of PNGs"),
    "--seed": option(typed.seed, 0, "with each image's path it decides the parameters"),
    "--strength": option(
        typed.non_negative.of("FACTOR"), 1.0, "of the effect: 1 as published, 0 changes nothing"
    ),
    "--noise_reading": option(
        typed.one_of("sigma", "variance"), "sigma", "what of the noise is drawn from 5 to 20"
    ),
    "--skip_bad_images": option(
        typed.given, False, "leave out and list images that cannot be read, instead of stopping"
    ),
}


class Job(NamedTuple):
    """An image to attack, and its path in the output, which is also its key."""

    path: Path
    name: str


def find_jobs(in_dir: str) -> list[Job]:
    """The images of a folder, or of its subfolders. Raises UserError if there are none."""
    folder = Path(in_dir)
    if folder.is_dir() and images.find_images(folder):
        named = [(path, path.name) for path in images.find_images(folder)]
    else:
        sources = images.list_sources(in_dir, "--in_dir")
        named = [(path, f"{name}/{path.name}") for name, paths in sources.items() for path in paths]
    jobs: dict[str, Job] = {}
    for path, name in named:
        output = str(Path(name).with_suffix(".png"))
        if output in jobs:
            raise program.UserError(
                f"--in_dir {in_dir}: found {jobs[output].path.name} and {path.name}, which would "
                f"both become {output}; rename one of them"
            )
        jobs[output] = Job(path, output)
    return list(jobs.values())


def attack_one(
    attack: Perturbation, folder: Path, skip_bad: bool, job: Job
) -> dict[str, perturbations.Parameters] | ImageError:
    """Writes one attacked image; returns its parameters, or why it cannot be read."""
    try:
        image = images.read_image(job.path)
    except ImageError as error:
        if not skip_bad:
            raise
        return error
    attacked, drawn = attack(image, job.name)
    images.write_png(folder / job.name, attacked)
    return drawn


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    jobs = find_jobs(arguments.in_dir)
    out_dir = program.new_output(arguments.out_dir, "--out_dir")
    attack = Perturbation(
        arguments.attack, arguments.seed, arguments.strength, arguments.noise_reading
    )
    with program.whole_folder(out_dir) as folder:
        # Before the workers start, of which several would make the same one.
        for subfolder in {Path(job.name).parent for job in jobs}:
            (folder / subfolder).mkdir(exist_ok=True)
        one = partial(attack_one, attack, folder, arguments.skip_bad_images)
        done = workers.parallel(one, jobs)
        outcomes = list(tqdm(done, total=len(jobs), unit="image", dynamic_ncols=True))
        with open(folder / TABLE, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["file", "attack", "parameters"])
            for job, outcome in zip(jobs, outcomes, strict=True):
                if not isinstance(outcome, ImageError):
                    for name, parameters in outcome.items() or {"none": {}}.items():
                        table.writerow([cell(job.name), name, json.dumps(parameters)])
    bad = [outcome for outcome in outcomes if isinstance(outcome, ImageError)]
    for error in bad:
        print(shown(f"skipped: {error}"))
    print(shown(f"{len(jobs) - len(bad)} images, attack {arguments.attack}: {out_dir}"))


if __name__ == "__main__":
    program.run(main)
