"""Cost of answers with and without TensorFlow at 128 px: the first one, and of a folder.

The first answer is that of `gan-fingerprints attribute` for one PNG, the start of Python included:
processor's seconds and peak memory of the process. A folder of PNGs is compared with inference
alone, by the same network without TensorFlow, on pixels in memory. Networks are not trained: their
answers mean nothing, and cost the same.

    python3 benchmarks/answers.py --out answers.json
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import os
import subprocess
import tempfile
import time
from statistics import median

import numpy as np

from benchmarks import machine
from gan_fingerprints import images, program, typed
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.data import sample_photos
from gan_fingerprints.networks.graphs import light
from gan_fingerprints.program import option

RESOLUTION = 128
KINDS = ("residual", "classifier", "visnet_autoencoder")
RUNTIMES = (light.LIGHT, light.TENSORFLOW)
MAKE = """
import sys; sys.path[0] = {project!r}
from gan_fingerprints import program; program.load_tensorflow()
from gan_fingerprints.networks import files
make = files.constructors()
for kind in {kinds!r}:
    network = make[kind](resolution={resolution}, num_sources=5)
    files.save({folder!r} + "/" + kind, network, {{"command": "benchmark"}}, list("abcde"))
"""
# A small process starts the one that is measured, whose memory would else be at least that of its
# parent, of which it was a copy before it became another program.
ASK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""
PROJECT = Path(__file__).resolve().parents[1]


def make_networks(folder: Path) -> dict[str, Path]:
    """Files of networks at 128 px, by kind, of random weights."""
    how = {"kinds": KINDS, "resolution": RESOLUTION, "folder": str(folder)}
    text = MAKE.format(project=str(PROJECT), **how)
    subprocess.run([sys.executable, "-c", text], check=True)
    return {kind: folder / kind for kind in KINDS}


def first_answer(model: Path, image: Path, runtime: str) -> tuple[float, float]:
    """Processor's seconds and MiB of one answer by a program of its own."""
    command = [sys.executable, "-m", "gan_fingerprints", "attribute", image, "--model", model]
    done = subprocess.run(
        [sys.executable, "-c", ASK, *map(str, command)],
        cwd=PROJECT,
        env={**os.environ, light.RUNTIME: runtime},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, mebibytes = map(float, done.stdout.split())
    return seconds, mebibytes


def first_answers(models: dict[str, Path], image: Path, rounds: int) -> dict:
    """Medians and extremes by kind of network and runtime, measured in turn."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for kind, model in models.items():
        first_answer(model, image, RUNTIMES[0])  # what is read from the disk is then in memory
        for _ in range(rounds):
            for runtime in RUNTIMES:
                one = first_answer(model, image, runtime)
                found.setdefault((kind, runtime), []).append(one)
    return {
        f"{kind}, {runtime}": {
            "processor_seconds": round(median(x for x, _ in of_one), 2),
            "lowest": round(min(x for x, _ in of_one), 2),
            "highest": round(max(x for x, _ in of_one), 2),
            "peak_memory_mib": round(median(x for _, x in of_one), 1),
        }
        for (kind, runtime), of_one in found.items()
    }


def folder_of_inference(model: Path, paths: list[Path], rounds: int) -> dict[str, float]:
    """Images a second of a folder beside those of inference alone."""
    attributor = Attributor.load(model)
    pixels = np.stack([images.read_image(path) for path in paths[:320]])
    outputs = attributor.asked.outputs(RESOLUTION)
    at_once = attributor.asked.batch

    def inference() -> float:
        start = time.perf_counter()
        for i in range(0, len(pixels), at_once):
            outputs(pixels[i : i + at_once])
        return len(pixels) / (time.perf_counter() - start)

    def folder() -> float:
        start = time.perf_counter()
        rows = sum(1 for _ in attributor.attribute(paths))
        return rows / (time.perf_counter() - start)

    inference()  # the first calls are slower
    return machine.paired_ratio(folder, inference, rounds)


def measure(number: int, rounds: int) -> dict:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "photos")
        folder.mkdir()
        sample_photos.write_crops(folder, number, RESOLUTION, 0)
        paths = sorted(folder.iterdir())
        models = make_networks(Path(name))
        results = {"machine": machine.describe(), "images": number}
        results["first_answer"] = first_answers(models, paths[0], rounds)
        os.environ[light.RUNTIME] = light.LIGHT
        results["folder_of_inference"] = {
            kind: folder_of_inference(model, paths, rounds) for kind, model in models.items()
        }
    return results


OPTIONS = {
    "--images": option(typed.positive_int, 1000, "PNGs of 128x128 pixels in the folder"),
    **machine.rounds(),
}


def main() -> None:
    arguments = program.Parser(__doc__.partition("\n")[0], OPTIONS).parse_args()
    machine.report(measure(arguments.images, arguments.rounds), arguments.out)


if __name__ == "__main__":
    program.run(main)
