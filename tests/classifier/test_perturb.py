"""Attacks on folders of images through the command line."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.perturbations import Perturbation
from tests.classifier.conftest import training_arguments

SCRIPT = "classifier/perturb.py"


@pytest.fixture(scope="module")
def sources(photo_crops, tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    for i, name in enumerate(("real", "gan")):
        photo_crops(root / name, 70, 16, seed=i)
    return root


def read(path):
    return np.asarray(Image.open(path))


def test_folder_of_sources(run_script, sources, tmp_path):
    out = tmp_path / "out"
    done = run_script(
        SCRIPT, "--attack", "combination", "--in_dir", sources, "--out_dir", out, "--seed", 3
    )
    assert "140 images, attack combination" in done.stdout
    attack = Perturbation("combination", seed=3)
    rows = list(csv.DictReader((out / "perturbations.csv").open()))
    changed = 0
    for source in sources.iterdir():
        for path in sorted(source.iterdir()):
            name = f"{source.name}/{path.name}"
            expected, drawn = attack(read(path), name)
            np.testing.assert_array_equal(read(out / name), expected)
            listed = {
                row["attack"]: json.loads(row["parameters"]) for row in rows if row["file"] == name
            }
            assert listed == json.loads(json.dumps(drawn or {"none": {}}))
            changed += not np.array_equal(expected, read(path))
    assert changed > 100


def test_one_file_more_changes_no_other(run_script, sources, tmp_path, photo_crops):
    few = tmp_path / "few"
    photo_crops(few, 3, 16, seed=9)
    run_script(SCRIPT, "--attack", "noise", "--in_dir", few, "--out_dir", tmp_path / "a")
    photo_crops(few / "more", 1, 16, seed=10)
    (few / "more").rename(tmp_path / "more")
    next((tmp_path / "more").iterdir()).rename(few / "000000a.png")
    run_script(SCRIPT, "--attack", "noise", "--in_dir", few, "--out_dir", tmp_path / "b")
    for path in (tmp_path / "a").glob("*.png"):
        np.testing.assert_array_equal(read(path), read(tmp_path / "b" / path.name))
    assert len(list((tmp_path / "b").glob("*.png"))) == 4


def test_bad_input(run_script, sources, tmp_path):
    def refused(*arguments):
        done = run_script(SCRIPT, *arguments, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr

    there = ("--in_dir", sources / "real", "--out_dir", tmp_path / "out")
    assert "sharpening" in refused("--attack", "sharpening", *there)
    assert "found nothing" in refused(
        "--attack", "noise", "--in_dir", tmp_path / "none", "--out_dir", tmp_path / "out"
    )
    assert "--strength" in refused("--attack", "noise", *there, "--strength", "-1")
    assert "did you mean" in refused("--attack", "noise", *there, "--sed", "1")
    twice = tmp_path / "twice"
    twice.mkdir()
    for name in ("a.png", "a.bmp"):
        Image.new("RGB", (8, 8)).save(twice / name)
    text = refused("--attack", "noise", "--in_dir", twice, "--out_dir", tmp_path / "out")
    assert "a.bmp and a.png, which would both become a.png" in text
    (twice / "a.bmp").write_bytes(b"nonsense")
    (twice / "a.bmp").rename(twice / "b.bmp")
    assert "b.bmp" in refused("--attack", "noise", "--in_dir", twice, "--out_dir", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = run_script(
        SCRIPT, "--attack", "noise", "--in_dir", twice, "--out_dir", tmp_path / "out",
        "--skip_bad_images",
    )  # fmt: skip
    assert "skipped:" in done.stdout
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "a.png",
        "perturbations.csv",
    ]


def probabilities(run_script, model, tested, out, *more):
    run_script(
        "classifier/run.py", "--app", "test", "--model_path", model / "network-final.safetensors",
        "--testing_data_path", tested, "--out_csv", out, "--out_confusion", out.with_suffix(".png"),
        *more,
    )  # fmt: skip
    return {
        tuple(row["path"].split("/")[-2:]): float(row["real"]) for row in csv.DictReader(out.open())
    }


@pytest.mark.slow
def test_testing_under_an_attack_is_testing_attacked_files(model, folders, tmp_path, run_script):
    attack, tested = ("--attack", "combination"), folders / "test"
    run_script(SCRIPT, *attack, "--in_dir", tested, "--out_dir", tmp_path / "hit", "--seed", 5)
    files = probabilities(run_script, model, tmp_path / "hit", tmp_path / "files.csv")
    attack += ("--attack_seed", 5)
    flags = probabilities(run_script, model, tested, tmp_path / "flags.csv", *attack)
    untouched = probabilities(run_script, model, tested, tmp_path / "untouched.csv")
    assert files == flags
    assert np.mean([abs(flags[name] - untouched[name]) > 0.01 for name in flags]) > 0.1


def accuracy_of(done) -> float:
    return float(re.search(r"Accuracy: \d+/\d+ = ([\d.]+)%", done.stdout)[1])


@pytest.mark.slow
def test_training_on_attacked_images_immunizes(model, prepared, folders, tmp_path, run_script):
    attack = ("--attack", "cropping")
    immune = tmp_path / "immune"
    start = ("--init_from", model / "network-final.safetensors")
    run_script("classifier/run.py", *training_arguments(
        prepared, immune, "--total_kimg", 10, *attack, *start))  # fmt: skip
    before, after = (
        accuracy_of(run_script(
            "classifier/run.py", "--app", "test", "--model_path",
            folder / "network-final.safetensors", "--testing_data_path", folders / "test",
            "--out_confusion", tmp_path / f"{folder.name}.png", *attack, "--attack_seed", 1,
        ))
        for folder in (model, immune)
    )  # fmt: skip
    assert after > before + 10
