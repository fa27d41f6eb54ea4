"""`gan-fingerprints enroll` on grains of noise: what it writes, what it then says and refuses."""

import hashlib
import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from classifier.cooccurrence import Cooccurrence
from gan_fingerprints import Attributor
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.enroll import read_newcomer
from gan_fingerprints.attribution.seeing import Whole
from gan_fingerprints.networks import files
from tests.classifier import test_cooccurrence as grains


def test_each_file_is_read_once_and_twins_are_left_out(tmp_path, monkeypatch, capsys):
    """Files that are another one each time they are read: what is hashed is what is kept."""
    folder = write_images(tmp_path / "new", new_source(7, 1))
    folder.joinpath("006.png").write_bytes(folder.joinpath("000.png").read_bytes())
    others = write_images(tmp_path / "others", 255 - new_source(7, 1))
    reads, kept = Counter(), []

    def content_of(path):
        reads[path.name] += 1
        return (path if reads[path.name] == 1 else others / path.name).read_bytes()

    def placed(pixels):
        kept.extend(pixels)
        return np.zeros((len(kept), 3)), np.zeros((len(kept), 2))

    monkeypatch.setattr(answering, "content_of", content_of)
    attributor = SimpleNamespace(seeing=Whole(32), placed=placed)
    newcomer = read_newcomer("new", sorted(folder.iterdir()), attributor)
    paths = sorted(folder.iterdir())[:6]
    assert set(reads.values()) == {1}
    assert list(newcomer.sha256) == [hashlib.sha256(x.read_bytes()).hexdigest() for x in paths]
    np.testing.assert_array_equal(np.concatenate(kept), new_source(7, 1)[:6])
    twin = folder / "006.png"
    assert capsys.readouterr().out == f"left out: {twin}: the same file as another one\n"


def new_source(number, seed):
    """A grain that the model was not trained on: noise along diagonals, uint8 [N, 32, 32, 3]."""
    x = np.random.default_rng(seed).normal(0, 6, (number, 32, 32, 3))
    x += np.roll(x, (1, 1), axis=(1, 2))
    return np.clip(np.rint(x + 128), 0, 255).astype(np.uint8)


def write_images(folder, pixels):
    folder.mkdir(parents=True)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, run_script):
    """A fitted network of three grains, and its data sets."""
    root = tmp_path_factory.mktemp("enroll")
    splits = {"validation": grains.grainy(1, 60), "training": grains.grainy(0, 150)}
    for split, images in splits.items():
        for label, name in enumerate("abc"):
            write_images(root / split / name, images.pixels[images.labels == label])
        data = root / f"{split}_data"
        run_script("classifier/data_preparation.py", "--in_dir", root / split, "--out_dir", data)
    method = Cooccurrence()
    method.fit(splits["training"], splits["validation"])
    method.save(root / "m.safetensors", grains.HEADER)
    write_images(root / "new", new_source(20, 5))
    return root


@pytest.fixture(scope="module")
def enroll(run_script):
    def run(*arguments, check=True):
        done = run_script("gan_fingerprints", "enroll", *arguments, check=False)
        assert done.returncode == (0 if check else 2), done.stderr
        return done.stdout if check else done.stderr

    return run


@pytest.fixture(scope="module")
def enrolled(model, enroll):
    out = model / "with.safetensors"
    said = enroll(
        "--model", model / "m.safetensors", "--name", "new", "--images", model / "new",
        "--training_data_dir", model / "training_data", "--validation_data_dir",
        model / "validation_data", "--out", out,
    )  # fmt: skip
    return out, said


@pytest.mark.slow
def test_a_source_is_enrolled_named_and_taken_away_again(model, enroll, enrolled):
    out, said = enrolled
    assert re.search(
        r"new: enrolled from 20 images; leaving one out, the others name [\d.]+%", said
    )
    assert re.search(r"new: takes [0-4]\.\d of 100 images of the old sources", said)
    kept = files.read(out, "--model")[-1].enrolment
    digests = [hashlib.sha256(x.read_bytes()).hexdigest() for x in (model / "new").iterdir()]
    assert sorted(kept.newcomers[0].sha256) == sorted(digests)
    assert len(kept.held_labels) == 60

    # Noise on single pixels does not survive the changes that stability asks about.
    attributor = Attributor.load(out, batch=8, stability=False)
    assert attributor.source_names == ["a", "b", "c", "new"]
    rows = list(attributor.attribute(new_source(30, 6)))
    named = [row for row in rows if row.predicted == "new"]
    assert len(named) > 20
    assert "it was enrolled, without training, from 20 images" in named[0].reason
    old = grains.grainy(2, 60)
    alone = Attributor.load(model / "m.safetensors", batch=8, stability=False)
    before = list(alone.attribute(old.pixels))
    after = list(attributor.attribute(old.pixels))
    right = [sum(row.most_probable == "abc"[y] for row, y in zip(rows, old.labels, strict=True))
             for rows in (before, after)]  # fmt: skip
    assert right[1] >= right[0] - 6
    for one, other in zip(before, after, strict=True):  # the rest is shared as before
        rest = 1 - other.probabilities["new"]
        shares = [other.probabilities[name] / rest for name in "abc"]
        expected = [one.probabilities[name] for name in "abc"]
        np.testing.assert_allclose(shares, expected, atol=1e-3)

    assert "new: enrolled from 20" in enroll("--model", out, "--check")
    without = model / "without.safetensors"
    enroll("--model", out, "--remove", "new", "--out", without)
    assert files.read(without, "--model")[-1].enrolment.newcomers == ()
    # What was kept of the training images is enough for the next one.
    again = model / "again.safetensors"
    enroll("--model", without, "--name", "x", "--images", model / "new", "--out", again)
    assert Attributor.load(again, batch=8).source_names == ["a", "b", "c", "x"]


@pytest.mark.slow
def test_what_is_refused(model, enroll, tmp_path):
    def refused(*arguments):
        return enroll("--model", model / "m.safetensors", *arguments, check=False)

    new, out = ("--images", model / "new"), ("--out", tmp_path / "x.safetensors")
    assert "found none, expected one" in refused()
    assert "--out is missing: --name needs it" in refused("--name", "new", *new)
    assert "--training_data_dir is missing" in refused("--name", "new", *new, *out)
    assert "--name a: the model has such a source" in refused("--name", "a", *new, *out)
    assert "no verdict's" in refused("--name", "unknown", *new, *out)
    few = write_images(tmp_path / "few", new_source(4, 1))
    sets = ("--training_data_dir", model / "training_data")
    said = refused("--name", "new", "--images", few, *sets, *out)
    assert "--images: found 4 images, expected 5 to 1,000" in said
    assert not (tmp_path / "x.safetensors").exists()
