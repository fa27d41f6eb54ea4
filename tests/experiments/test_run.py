"""The study through its command line: tiny, stopped in the middle, continued, reported."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import PROJECT

SCALE = """
resolution: 32
jobs: 2
photos: {training: 300, held_out: 100}
images: {training: 200, validation: 40, testing: 60}
seeds: [0]
training_sets: {photos: 200, differences: [0, 50]}
low_frequency: [8]
high_frequency: [16]
patches: [8]
artifact_free: {images: 50, share: 0.2}
ProGAN: >-
  --preset small --resolution 32 --fmap_base 64 --fmap_max 8 --total_kimg 1
  --lod_training_kimg 0.3 --lod_transition_kimg 0.3
SNGAN: SNGAN/configs/fast_32.yml
CramerGAN: --output_size 16
MMDGAN: --output_size 16
classifier: >-
  --fmap_base 64 --fmap_max 16 --mirror 0 --learning_rate 0.003 --total_kimg 2 --minibatch 8
  --snapshots 0 --accuracy_images 100
residual: --width 2 --total_kimg 1 --accuracy_images 100
visnet: >-
  --fmap_base 64 --fmap_max 16 --minibatch 8 --total_kimg 0.5 --snapshots 0
  --accuracy_images 100
immunize: --total_kimg 0.5
baselines: --training_images 400
"""


def command(out, table, scale):
    return [sys.executable, PROJECT / "experiments/run.py", table, "--scale", scale, "--out", out]


@pytest.fixture(scope="module")
def scale(tmp_path_factory):
    path = tmp_path_factory.mktemp("scale") / "tiny.yaml"
    path.write_text(SCALE)
    return path


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_and_reports(scale, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(command(out, "seeds", scale), stderr=subprocess.DEVNULL)
    log = out / "logs" / "gans" / "ProGAN_seed_v0.log"
    while not log.is_file():
        time.sleep(0.2)
        assert process.poll() is None
    time.sleep(8)  # in the middle of the training, or just before it begins
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=90) != 0
    done = subprocess.run(command(out, "seeds", scale), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    results = json.loads((out / "seeds" / "results.json").read_text())
    rows = {row["method"]: row for row in results["rows"]}
    assert list(rows) == [
        "knn", "eigenface", "prnu", "cooccurrence", "classifier", "residual", "visnet",
    ]  # fmt: skip
    assert {row["images"] for row in rows.values()} == {120}
    assert {row["chance"] for row in rows.values()} == {0.5}
    assert rows["classifier"]["accuracy"] > 0.7  # two thousand images of a coarse GAN
    reused = {step["name"] for step in results["steps"] if step["reused"]}
    assert {"data/photos", "images/real"} <= reused
    assert "models/seeds" not in reused
    assert str(tmp_path) not in (out / "seeds" / "results.json").read_text()
    page = (out / "report.html").read_text()
    assert not re.search(r"(src|href)=[\"']?https?:", page)
    assert "seeds_fingerprint" in json.dumps(results["pictures"])

    started = time.monotonic()
    again = subprocess.run(command(out, "seeds", scale), capture_output=True, text=True)
    assert again.returncode == 0
    assert time.monotonic() - started < 60  # nothing is trained again
    assert json.loads((out / "seeds" / "results.json").read_text())["rows"] == results["rows"]


def run(*arguments):
    return subprocess.run(
        [sys.executable, PROJECT / "experiments/run.py", *arguments],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip


def test_a_dry_run_names_every_command_and_makes_nothing(tmp_path):
    done = run("seeds", "--scale", "mini", "--out", tmp_path / "out", "--dry_run")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("python3 -m gan_fingerprints sample_photos $OUT/data/photos")
    assert sum("--app train" in line for line in lines) == 4  # two ProGANs, classifier, visNet
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seeds", "--scale", "small"], "--data is missing"),
        (["seeds", "--scale", "huge"], "--scale huge: found nothing, expected fast, mini, paper"),
        (["seeds", "--scale", "mini", "--data", "nowhere"], "--data nowhere"),
        (
            ["seeds", "--scale", "mini", "--data", str(PROJECT / "docs/images")],
            "images, expected 3000 or more for the scale mini",
        ),
        (["seeds", "--scale", "mini", "--data", str(PROJECT / "ProGAN")], "no images, expected"),
        (["sedes", "--scale", "mini"], "found 'sedes', expected "),
        (["seeds", "--scale", "mini", "--inception_weights", "w.h5"], "--inception_weights w.h5"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file.png", "file.png/below", "/proc/nothing"])
def test_bad_output(tmp_path, out):
    (tmp_path / "file.png").write_bytes(b"")
    done = run("seeds", "--scale", "mini", "--out", tmp_path / out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --out {tmp_path / out}: ")
    assert done.stderr.count("\n") == 1


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run("seeds", "--scale", "mini", "--out", tmp_path)
    assert done.returncode == 2
    assert "holds files that are not of a study" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
