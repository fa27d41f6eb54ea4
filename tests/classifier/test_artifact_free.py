"""The choice of generated images that look most like real ones, against a NumPy reference."""

import csv
import os
import time

import keras
import numpy as np
import pytest
from PIL import Image

SCRIPT = "classifier/artifact_free.py"
SIDE = 8
NUMBER = 40
KEPT = 4


def colours(path, side=SIDE):
    """CIELAB (D65, 2°) of a small copy, by the formulas of IEC 61966-2-1 and CIE 15."""
    small = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    s = np.asarray(small, np.float64) / 255
    linear = np.where(s > 0.04045, ((s + 0.055) / 1.055) ** 2.4, s / 12.92)
    to_xyz = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169],
              [0.019334, 0.119193, 0.950227]]  # fmt: skip
    t = linear @ np.transpose(to_xyz) / [0.95047, 1, 1.08883]
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)]).ravel()


def nearest_by_hand(path, real):
    """Name of the nearest of other files, and its distance."""
    distances = {
        other.name: np.linalg.norm(colours(path) - colours(other))
        for other in real
        if not os.path.samefile(other, path)
    }
    name = min(distances, key=distances.get)
    return name, distances[name]


@pytest.fixture(scope="module")
def planted(tmp_path_factory, photo_crops):
    """Real photos; generated ones are copies with noise of a strength each; which are the best."""
    root = tmp_path_factory.mktemp("planted")
    real = sorted(photo_crops(root / "photos", NUMBER, 16).iterdir())
    rng = np.random.default_rng(0)
    strengths = rng.permutation([1, 2, 3, 4, *range(14, 14 + NUMBER - KEPT)])
    best = set()
    (root / "in" / "gan").mkdir(parents=True)
    for i, (path, strength) in enumerate(zip(real, strengths, strict=True)):
        pixels = np.asarray(Image.open(path)) + rng.normal(0, strength, (16, 16, 3))
        name = f"{i:02}.{'bmp' if i % 2 else 'png'}"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "in" / "gan" / name)
        if strength <= KEPT:
            best.add(name)
    photo_crops(root / "in" / "faces_real", 30, 16, seed=1)
    return root, best


@pytest.fixture(scope="module")
def chosen(planted, run_script):
    root, _ = planted
    done = run_script(
        SCRIPT, "--in_dir", root / "in", "--real_dir", root / "photos", "--out_dir", root / "out",
        "--side", SIDE,
    )  # fmt: skip
    return done, root / "out", list(csv.DictReader((root / "out" / "distances.csv").open()))


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_the_least_noisy_are_chosen(planted, chosen):
    root, best = planted
    done, out, rows = chosen
    assert names_in(out) == {"distances.csv", "faces_real", "gan"}
    assert names_in(out / "gan") == best
    assert {row["path"] for row in rows if row["kept"] == "1" and row["source"] == "gan"} == {
        f"gan/{name}" for name in best
    }
    for name in best:
        assert (out / "gan" / name).read_bytes() == (root / "in" / "gan" / name).read_bytes()
    assert "gan: 4 of 40 images, at most " in done.stdout


def test_distances_are_those_of_the_formula(planted, chosen):
    root, _ = planted
    _, _, rows = chosen
    assert list(rows[0]) == ["path", "source", "nearest", "distance", "kept"]
    generated = [row for row in rows if row["source"] == "gan"]
    real = sorted((root / "photos").iterdir())
    assert len(generated) == NUMBER
    for row in generated:
        name, distance = nearest_by_hand(root / "in" / row["path"], real)
        assert row["nearest"] == name
        assert float(row["distance"]) == pytest.approx(distance, rel=1e-4)


def test_real_images_are_drawn_at_random(planted, chosen, tmp_path, run_script):
    root, _ = planted
    _, out, rows = chosen
    real = [row for row in rows if row["source"] == "faces_real"]
    assert len(real) == 30
    assert {row["nearest"] + row["distance"] for row in real} == {""}
    kept = names_in(out / "faces_real")
    assert kept == {row["path"].split("/")[1] for row in real if row["kept"] == "1"}
    assert len(kept) == 3
    for seed, same in ((0, True), (1, False)):
        run_script(
            SCRIPT, "--in_dir", root / "in", "--real_dir", root / "photos", "--out_dir",
            tmp_path / str(seed), "--side", SIDE, "--seed", seed,
        )  # fmt: skip
        assert (names_in(tmp_path / str(seed) / "faces_real") == kept) == same
        assert names_in(tmp_path / str(seed) / "gan") == names_in(out / "gan")


def test_no_image_is_its_own_neighbour(planted, tmp_path, run_script):
    """Images of one source, that are links to the real ones; one real image is there twice."""
    real = sorted((planted[0] / "photos").iterdir())
    photos, links = tmp_path / "photos", tmp_path / "links"
    for folder in (photos, links):
        folder.mkdir()
    for i, path in enumerate(real[:10]):
        (photos / f"{i}.png").write_bytes(path.read_bytes())
        (links / f"{i}.png").symlink_to(photos / f"{i}.png")
    (photos / "copy.png").write_bytes(real[4].read_bytes())
    done = run_script(
        SCRIPT, "--in_dir", "links", "--real_dir", "photos", "--out_dir", "out", "--share", 0.5,
        "--side", SIDE, cwd=tmp_path,
    )  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "out" / "distances.csv").open()))
    assert [row["path"] for row in rows] == [f"{i}.png" for i in range(10)]
    for row in rows:
        name, distance = nearest_by_hand(links / row["path"], sorted(photos.iterdir()))
        assert row["source"] == "links"
        assert row["nearest"] == name
        assert float(row["distance"]) == pytest.approx(distance, rel=1e-4, abs=1e-3)
    assert (rows[4]["nearest"], float(rows[4]["distance"])) == ("copy.png", 0)
    assert len(names_in(tmp_path / "out")) == 6
    assert "links: 5 of 10 images" in done.stdout


def test_what_is_no_image_is_left_out(planted, tmp_path, run_script):
    real = sorted((planted[0] / "photos").iterdir())
    for folder in ("in/gan", "photos"):
        (tmp_path / folder).mkdir(parents=True)
        for path in real[:6]:
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
        (tmp_path / folder / "000000.png").write_text("no image")
    done = run_script(
        SCRIPT, "--in_dir", "in", "--real_dir", "photos", "--out_dir", "out", "--share", 1,
        cwd=tmp_path,
    )  # fmt: skip
    assert (done.stdout + done.stderr).count("000000.png: found something else than a PNG") == 2
    rows = list(csv.DictReader((tmp_path / "out" / "distances.csv").open()))
    assert {(row["nearest"], row["distance"]) for row in rows} == {
        (path.name, "0") for path in real[1:6]
    }
    assert names_in(tmp_path / "out" / "gan") == {path.name for path in real[1:6]}


def test_bad_input(planted, tmp_path, run_script):
    root, _ = planted

    def refused(*arguments, in_dir=root / "in", real_dir=root / "photos"):
        done = run_script(
            SCRIPT, "--in_dir", in_dir, "--real_dir", real_dir, "--out_dir", tmp_path / "out",
            *arguments, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "out").exists()
        return done.stderr

    assert "expected a number above 0 and up to 1" in refused("--share", "10")
    assert "found 30 images of faces_real that can be used" in refused("--share", "0.01")
    assert "--inception_weights: not used with --space pixels" in refused(
        "--inception_weights", "x.h5"
    )
    assert "--side: not used with --space inception" in refused("--space=inception", "--side=9")
    assert "x.h5: found nothing" in refused("--space=inception", "--inception_weights=x.h5")
    assert "--in_dir" in refused(in_dir=tmp_path / "none")
    assert "--real_dir" in refused(real_dir=root)
    one = tmp_path / "one"
    one.mkdir()
    (one / "a.png").write_bytes((root / "photos" / "000000.png").read_bytes())
    text = refused("--share", "1", in_dir=one, real_dir=one)
    assert "--real_dir: found no other image than" in text


def test_help_is_quick_and_pixels_need_no_tensorflow(planted, tmp_path, monkeypatch, run_script):
    for name in ("tensorflow", "keras"):
        (tmp_path / "refuse" / name).mkdir(parents=True)
        (tmp_path / "refuse" / name / "__init__.py").write_text("raise SystemExit('loaded')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "refuse"))
    run_script(
        SCRIPT, "--in_dir", planted[0] / "in", "--real_dir", planted[0] / "photos",
        "--out_dir", tmp_path / "out",
    )  # fmt: skip
    for script in (SCRIPT, "classifier/features.py"):
        seconds = []
        for _ in range(3):  # the best of three, as other work may be going on
            start = time.monotonic()
            assert "usage:" in run_script(script, "--help").stdout
            seconds.append(time.monotonic() - start)
        assert min(seconds) < 1, script


@pytest.mark.slow
def test_distances_of_inception(planted, tmp_path, run_script):
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    network.save_weights(tmp_path / "inception.weights.h5")
    real = sorted((planted[0] / "photos").iterdir())[:6]
    for folder in ("gan", "photos"):
        (tmp_path / folder).mkdir()
        for path in real[:3] if folder == "gan" else real[2:]:
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    run_script(
        SCRIPT, "--in_dir", "gan", "--real_dir", "photos", "--out_dir", "out", "--share", 0.4,
        "--space", "inception", "--inception_weights", "inception.weights.h5", cwd=tmp_path,
    )  # fmt: skip
    large = [Image.open(path).resize((299, 299), Image.Resampling.LANCZOS) for path in real]
    pixels = np.stack([np.asarray(image) for image in large]).astype(np.float32)
    features = np.asarray(network(pixels / 127.5 - 1, training=False))
    rows = list(csv.DictReader((tmp_path / "out" / "distances.csv").open()))
    found = [float(row["distance"]) for row in rows]
    distances = np.linalg.norm(features[:2, None] - features[2:], axis=2).min(axis=1)
    assert found[:2] == pytest.approx(distances, rel=0.01)
    assert found[2] < 0.01 * min(distances), "the copy of a real image"
    assert [row["kept"] for row in rows] == ["0", "0", "1"]
