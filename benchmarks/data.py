"""Speed of preparing data and of testing a folder, and memory of training on it, at 128 px.

Preparation is compared with Pillow alone decoding the same PNGs on all cores, and with that and
writing the pixels into one file, as preparation must; testing with pure inference of the same
network. The images are crops of photographs that come with the dependencies.

    python3 benchmarks/data.py --out data.json

Time is that of a clock, and for preparation also that of processors, which other programs on the
machine change less: of all that it starts, beside that of decoding alone.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import ctypes
import os
import resource
import shutil
import subprocess
import tempfile
import time
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks import machine
from gan_fingerprints import images, program, typed
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.data import preparation, sample_photos
from gan_fingerprints.data.writing import Writer
from gan_fingerprints.program import option

RESOLUTION = 128
CALL = """
import sys; sys.path[0] = {project!r}
import time
from pathlib import Path
from benchmarks import data
from gan_fingerprints import images
sources = images.list_sources({sources!r}, "sources")
loading = time.process_time()
rate, *spent = data.{call}(sources, Path({folder!r}))
print(rate, loading, *spent)
"""
PR_SET_CHILD_SUBREAPER = 36  # of Linux's prctl.h
TRAIN_STEPS = """
import sys; sys.path[0] = {project!r}
from gan_fingerprints import program; program.load_tensorflow()
import resource, tensorflow as tf
from benchmarks.classifier import steps
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
(train, _), _ = steps("float32")
data = DataSet.open({folder!r}, "--folder")
stream = iter(pipeline.minibatches(data, 32, seed=0, start=0, mirror=True))
for _ in range(30):
    pixels, labels = next(stream)
    train()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def make_sources(root: Path, number: int) -> dict[str, list[Path]]:
    """Two sources of PNGs, `number` in all; every photo is there under four names."""
    photos = root / "photos"
    photos.mkdir()
    sample_photos.write_crops(photos, number // 4, RESOLUTION, 0)
    for i, path in enumerate(sorted(photos.iterdir())):
        folder = root / "sources" / f"source_{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        for copy in range(4):
            os.link(path, folder / f"{copy}_{path.name}")
    return images.list_sources(root / "sources", "sources")


class Rates(NamedTuple):
    """Images per second of a clock, and of a processor."""

    clock: float
    processor: float


def decode(job: tuple[int, list[Path]], into: Path | None = None) -> float:
    """Decodes images; returns the processor's seconds.

    job: the number of the first image, and the images.
    into: an existing file that their pixels are written to.
    """
    start = time.process_time()
    place, paths = job
    pixels = np.empty((len(paths), RESOLUTION, RESOLUTION, 3), np.uint8) if into else None
    for i, path in enumerate(paths):
        with Image.open(path) as image:
            decoded = np.asarray(image.convert("RGB"))
        if pixels is not None:
            pixels[i] = decoded
    if into and pixels is not None:
        with open(into, "r+b") as file:
            file.seek(place * pixels[0].size)
            file.write(pixels.data)
    return time.process_time() - start


def pillow(
    sources: dict[str, list[Path]], folder: Path, writes: bool = False
) -> tuple[float, float]:
    """Pillow alone, on all cores: images per second, and the processor's seconds in all.

    Starting the processes does not count.
    """
    paths = [path for files in sources.values() for path in files]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    into = folder / "pixels" if writes else None
    if into:
        into.touch()
    chunks = [(i, paths[i : i + 32]) for i in range(0, len(paths), 32)]
    with get_context("spawn").Pool() as pool:
        pool.map(partial(decode, into=into), chunks[:2])
        start = time.perf_counter()
        spent = sum(pool.imap_unordered(partial(decode, into=into), chunks))
        return len(paths) / (time.perf_counter() - start), spent


def pillow_writing(sources: dict[str, list[Path]], folder: Path) -> tuple[float, float]:
    """As `pillow`, the pixels written, too."""
    return pillow(sources, folder, writes=True)


def rates_of(function: str, sources: Path, number: int, folder: Path) -> Rates:
    """Those of one of the functions here with `number` images, in a process of its own.

    They count from when the program has been loaded. What the function does not count itself is
    counted here: all processes that it started.
    """
    project = str(Path(__file__).resolve().parents[1])
    text = CALL.format(project=project, sources=str(sources), folder=str(folder), call=function)
    before = _spent()
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    _wait_for_all()
    rate, loading, *counted = map(float, done.stdout.split())
    return Rates(rate, number / (counted[0] if counted else _spent() - before - loading))


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _wait_for_all() -> None:
    """For the process that workers were forked from, too, which outlives what started it."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


def prepare(sources: dict[str, list[Path]], folder: Path) -> tuple[float]:
    """Images per second from PNG files to a finished data set, the audit's facts gathered.

    Includes starting the processes, but not the audit's classifier, whose time does not grow
    with the data set.
    """
    jobs = preparation.list_jobs(sources.values(), 100.0, True)
    reader = preparation.Reader(RESOLUTION, jobs[0].path, True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    start = time.perf_counter()
    with Writer(folder, "prepared", RESOLUTION, every_level=False) as writer:
        writer.add_all(reader, jobs)
        labels = np.eye(2, dtype=np.float32)[[job.label for job in jobs]]
        writer.finish(labels, list(sources), "benchmark", {})
    return (len(jobs) / (time.perf_counter() - start),)


def testing_of_inference(paths: list[Path], rounds: int) -> dict[str, float]:
    """Images per second of testing PNG files beside the same network on pixels in memory."""
    program.load_tensorflow()
    from classifier.networks import Classifier

    attributor = Attributor(Classifier(RESOLUTION, 5), list("abcde"), RESOLUTION)
    pixels = np.stack([images.read_image(path) for path in paths[:640]])
    attributor.attribute_arrays(pixels[:64])  # the first call is slower

    def rate(images, attribute):
        return lambda: len(images) / machine.seconds_per_call(lambda: list(attribute(images)), 1)

    testing, inference = attributor.attribute, attributor.attribute_arrays
    return machine.paired_ratio(rate(paths, testing), rate(pixels, inference), rounds)


def training_memory_mib(folder: Path) -> float:
    """Peak memory of a process that trains the paper's classifier on a data set."""
    project = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", TRAIN_STEPS.format(project=project, folder=str(folder))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return round(float(done.stdout.splitlines()[-1]), 1)


def measure(number: int, rounds: int) -> dict:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        sources = make_sources(root, number)
        paths = [path for files in sources.values() for path in files]
        results = {"machine": machine.describe(), "images": number}
        folder = root / "prepared"
        calls = ("pillow", "pillow_writing", "prepare")  # the last one leaves the data set
        measured = [
            {one: rates_of(one, root / "sources", len(paths), folder) for one in calls}
            for _ in range(rounds)
        ]
        for other in calls[:2]:
            pairs = [(rates["prepare"], rates[other]) for rates in measured]
            results[f"preparation_of_{other}"] = {
                kind: machine.ratios_of([(getattr(x, kind), getattr(y, kind)) for x, y in pairs])
                for kind in Rates._fields
            }
        few = {source: files[: number // 20] for source, files in sources.items()}
        large = training_memory_mib(folder)
        prepare(few, folder)
        small = training_memory_mib(folder)
        results["training_peak_memory_mib"] = {
            f"{number} images": large,
            f"{2 * (number // 20)} images": small,
        }
        results["testing_of_inference"] = testing_of_inference(paths[:5000], max(1, rounds // 2))
    return results


OPTIONS = {
    "--images": option(typed.positive_int, 24000, "PNGs of 128x128 pixels to prepare and test"),
    **machine.rounds(),
}


def main() -> None:
    # Else processes whose parent has ended would be waited for, and counted, by another.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    arguments = program.Parser(__doc__.partition("\n")[0], OPTIONS).parse_args()
    machine.report(measure(arguments.images, arguments.rounds), arguments.out)


if __name__ == "__main__":
    program.run(main)
