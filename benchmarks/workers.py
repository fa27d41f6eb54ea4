"""Speed of training on two workers of one core each, as a multiple of one worker of one core.

The classifier and ProGAN at 64 px, on images of noise, by the programs themselves. The time is
that of the log, without the first report, which has the tracing of the networks.

    python3 benchmarks/workers.py --out workers.json
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import json
import os
import re
import socket
import subprocess
import tempfile

import numpy as np
from PIL import Image

from benchmarks import machine
from gan_fingerprints import program
from gan_fingerprints.cluster import VARIABLE
from gan_fingerprints.workers import cores

PROJECT = Path(__file__).resolve().parents[1]
SIDE = 64
LENGTHS = ["--total_kimg", "0.96", "--tick_kimg", "0.32", "--minibatch", "32"]
PROGRAMS = {
    "classifier": ["classifier/run.py", "--snapshots", "0", "--accuracy_images", "30"],
    "ProGAN": ["ProGAN/run.py", "--fmap_base", "1024", "--fmap_max", "128",
               "--lod_initial_resolution", str(SIDE), "--minibatch_repeats", "1"],
}  # fmt: skip


def make_data(root: Path) -> dict[str, list[str]]:
    """Data sets in a folder: program → the flags that name its own."""
    rng = np.random.default_rng(0)
    for name in ("training/a", "training/b", "validation/a", "validation/b"):
        (root / name).mkdir(parents=True)
        for i in range(60):
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    for name in ("training", "validation"):
        run("classifier/data_preparation.py", "--in_dir", str(root / name), "--out_dir",
            str(root / f"{name}_data"), "--audit", "0")  # fmt: skip
    faces = str(root / "faces")
    run("ProGAN/dataset_tool.py", "create_from_images", faces, str(root / "training/a"))
    sets = [f"--{name}_data_dir={root / name}_data" for name in ("training", "validation")]
    return {"classifier": sets, "ProGAN": ["--training_data_dir", faces]}


def run(*words: str) -> None:
    """Runs a program of the project and waits for it."""
    command = [sys.executable, str(PROJECT / words[0]), *words[1:]]
    subprocess.run(command, check=True, capture_output=True)


def seconds_per_kimg(words: list[str], model: Path, number: int) -> float:
    """Of a training on `number` workers, each of which has a core of its own."""
    places = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    workers = [f"127.0.0.1:{place.getsockname()[1]}" for place in places]
    for place in places:
        place.close()
    command = [sys.executable, str(PROJECT / words[0]), "--app", "train", *words[1:], *LENGTHS]
    started = []
    for index, core in enumerate(sorted(os.sched_getaffinity(0))[:number]):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": workers}, "task": task})
        pinned = ["taskset", "-c", str(core), *command, "--out_model_dir", str(model)]
        environment = {**os.environ, VARIABLE: config}
        output = subprocess.DEVNULL
        started.append(
            subprocess.Popen(pinned, env=environment, stdout=output, stderr=subprocess.PIPE)
        )
    try:
        for process in started:
            _, said = process.communicate()
            if process.returncode:
                raise RuntimeError(said.decode()[-2000:])
    finally:
        for process in started:
            process.kill()  # without effect on those that have ended
    log = (model / "log.txt").read_text()
    if number > 1 and f"weights on {number} workers: the same" not in log:
        raise RuntimeError(log)
    return float(np.mean([float(x) for x in re.findall(r"sec/kimg ([\d.]+)", log)[1:]]))


def measure(rounds: int) -> dict:
    results: dict = {"machine": machine.describe()}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = make_data(root)
        for name, words in PROGRAMS.items():
            pairs = [
                [
                    seconds_per_kimg([*words, *data[name]], root / f"{name}-{i}-{number}", number)
                    for number in (1, 2)
                ]
                for i in range(rounds)
            ]
            results[name] = {
                "seconds_per_kimg_of_one_and_two": pairs,
                "two_of_one": [one / two for one, two in pairs],
            }
    return results


def main() -> None:
    arguments = program.Parser(__doc__.partition("\n")[0], machine.rounds()).parse_args()
    if cores() < 2:
        raise program.UserError("benchmarks/workers.py: found 1 core, expected 2 or more")
    machine.report(measure(arguments.rounds), arguments.out)


if __name__ == "__main__":
    program.run(main)
