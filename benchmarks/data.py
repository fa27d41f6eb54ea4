"""Speed of preparing data and of testing a folder, and memory of training on it, at 128 px.

Preparation is compared with Pillow alone decoding the same PNGs on all cores, testing with pure
inference of the same network. The images are crops of photographs that come with the dependencies.

    python3 benchmarks/data.py --out data.json
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import os
import shutil
import subprocess
import tempfile
import time
from multiprocessing import get_context

import numpy as np
from PIL import Image

from benchmarks import machine
from gan_fingerprints import images, program, typed
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.data import preparation, sample_photos
from gan_fingerprints.data.writing import Writer
from gan_fingerprints.program import option

RESOLUTION = 128
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


def decode(path: Path) -> int:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).shape[0]


def pillow_rate(paths: list[Path]) -> float:
    """Images per second of Pillow alone, on all cores; starting the processes does not count."""
    with get_context("spawn").Pool() as pool:
        pool.map(decode, paths[:64])
        start = time.perf_counter()
        for _ in pool.imap_unordered(decode, paths, chunksize=32):
            pass
        return len(paths) / (time.perf_counter() - start)


def preparation_rate(sources: dict[str, list[Path]], root: Path) -> float:
    """Images per second from PNG files to a finished data set, the audit's facts gathered.

    Includes starting the processes, but not the audit's classifier, whose time does not grow
    with the data set.
    """
    jobs = preparation.list_jobs(sources.values(), 100.0, True)
    reader = preparation.Reader(RESOLUTION, jobs[0].path, True)
    folder = root / "prepared"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    start = time.perf_counter()
    with Writer(folder, "prepared", RESOLUTION, every_level=False) as writer:
        writer.add_all(reader, jobs)
        labels = np.eye(2, dtype=np.float32)[[job.label for job in jobs]]
        writer.finish(labels, list(sources), "benchmark", {})
    return len(jobs) / (time.perf_counter() - start)


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
        results["preparation_of_pillow"] = machine.paired_ratio(
            lambda: preparation_rate(sources, root), lambda: pillow_rate(paths), rounds
        )
        few = {source: files[: number // 20] for source, files in sources.items()}
        large = training_memory_mib(root / "prepared")
        preparation_rate(few, root)
        small = training_memory_mib(root / "prepared")
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
    arguments = program.Parser(__doc__.partition("\n")[0], OPTIONS).parse_args()
    machine.report(measure(arguments.images, arguments.rounds), arguments.out)


if __name__ == "__main__":
    program.run(main)
