"""Attacks on folders of images through the command line."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.perturbations import Perturbation

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
