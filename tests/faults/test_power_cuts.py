"""The power fails: what is there under its final name is whole, and the run goes on."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gan_fingerprints import disk as disks_of_the_library
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer
from gan_fingerprints.program import whole_file, whole_folder
from tests.conftest import PROJECT
from tests.faults.disks import disk

NAMES = ["real", "gan"]
TINY = (
    "--fmap_base 64 --fmap_max 8 --minibatch 8 --total_kimg 0.4 --tick_kimg 0.08 --snapshots 2 "
    "--accuracy_ticks 2 --training_seed 3 --checkpoint_minutes 0"
)


def write_data(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (32, 16, 16, 3), np.uint8)
    labels = np.eye(2, dtype=np.float32)[np.arange(32) % 2]
    with (
        whole_folder(folder) as partial,
        Writer(partial, folder.name, 16, every_level=False) as writer,
    ):
        writer.add_all(lambda picture: (picture, None), pictures, workers=1)
        writer.finish(labels, NAMES, "a command", {})


def test_every_file_that_was_written_is_there(tmp_path, times, counted):
    cuts, survived = times(20, 2), 0
    with disk(tmp_path) as own:
        for cut in range(cuts):
            content = bytes([cut]) * 5000
            for i in range(10):
                with whole_file(own.place / "results" / f"{cut}.{i}.json") as partial:
                    partial.write_bytes(content)
            with own.cut() as after:
                files = [after / "results" / f"{cut}.{i}.json" for i in range(10)]
                survived += all(file.is_file() and file.read_bytes() == content for file in files)
    counted(cuts, survived)


def test_a_data_set_is_whole_or_not_there(tmp_path, counted):
    with disk(tmp_path) as own:
        write_data(own.place / "data", 0)
        with own.cut() as after:
            assert DataSet.open(after / "data", "").count == 32
    counted(1, 1)


def sound(run: Path) -> str:
    """What is wrong with the files of a run, in a word; nothing where all is well."""
    files = [path for path in run.rglob("*") if path.is_file()]
    whole = (path for path in files if not disks_of_the_library.in_partial(path))
    empty = [path.name for path in whole if not path.stat().st_size]
    # What grows line by line is not promised; see docs/reliability.md.
    growing = {name for name in empty if "events.out" in name} | {"log.txt"}
    if wrong := set(empty) - {".lock"} - growing:
        return f"empty: {', '.join(sorted(wrong))}"
    finished = run / "finished.json"
    if finished.exists():
        for name, digest in json.loads(finished.read_text())["sha256"].items():
            if disks_of_the_library.digest(run / name) != digest:
                return f"finished, but {name} is not what it says"
    return ""


@pytest.mark.slow
def test_a_training_run_whose_power_fails(tmp_path, times, counted):
    """At random moments of a run, and at its end; then what is left is continued to the end."""
    rng = np.random.default_rng(0)
    tried = survived = 0
    with disk(tmp_path, 128) as own:
        for split, seed in (("training", 0), ("validation", 1)):
            write_data(own.place / split, seed)
        folders = [f"--{name}_data_dir {own.place / name}" for name in ("training", "validation")]

        def train(run: Path, *more: str) -> subprocess.Popen:
            words = [*" ".join(folders).split(), "--out_model_dir", str(run), *TINY.split(), *more]
            program = [sys.executable, str(PROJECT / "classifier/run.py"), "--app", "train"]
            return subprocess.Popen(
                [*program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )

        assert train(tmp_path / "undisturbed").wait() == 0
        final = (tmp_path / "undisturbed" / "network-final.safetensors").read_bytes()
        for number in range(times(4, 1)):
            process = train(own.place / f"run{number}")
            while process.poll() is None:
                time.sleep(rng.uniform(0.2, 1.5))
                process.send_signal(signal.SIGSTOP)
                with own.cut() as after:
                    process.send_signal(signal.SIGCONT)
                    if not (after / f"run{number}").exists():
                        continue
                    tried += 1
                    wrong = sound(after / f"run{number}")
                    shutil.copytree(after / f"run{number}", tmp_path / f"{number}.{tried:03d}")
                assert not wrong
                survived += 1
            assert process.returncode == 0
            with own.cut() as after:  # at once after the end
                tried, survived = tried + 1, survived + 1
                assert not sound(after / f"run{number}")
                network = after / f"run{number}" / "network-final.safetensors"
                assert network.read_bytes() == final
            left = sorted(tmp_path.glob(f"{number}.*"))
            for run in (left[0], left[-1]):
                process = train(run, "--resume")
                assert process.wait() == 0, process.stderr.read()
                assert (run / "network-final.safetensors").read_bytes() == final
    counted(tried, survived)
