"""Image fingerprints, their distances and their map through the command line."""

import json
import os

import keras
import numpy as np
import pytest
from PIL import Image

from classifier import feature_spaces
from classifier.networks import Classifier
from gan_fingerprints.networks import files
from tests.classifier.test_feature_spaces import points_of
from tests.marks import marked
from tests.published import relative_error

SCRIPT = "classifier/features.py"
NUMBERS = {"gan_a": 30, "gan_b": 34, "real": 31}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    keras.utils.set_random_seed(0)
    network = Classifier(16, 3, fmap_base=128, fmap_max=32)
    path = tmp_path_factory.mktemp("models") / "network-final.safetensors"
    files.save(path, network, {}, ["gan_a", "gan_b", "real"])
    return network, path


@pytest.fixture(scope="module")
def sources(tmp_path_factory, photo_crops):
    """Photos with a pattern each, of 16 and 20 pixels; one file is no image."""
    root = tmp_path_factory.mktemp("sources")
    patterns = {"gan_a": "marked_a", "gan_b": "marked_b", "real": "real"}
    for i, (name, number) in enumerate(NUMBERS.items()):
        size = 20 if name == "real" else 16
        for path in photo_crops(root / name, number, size, seed=i).iterdir():
            pixels = marked(np.asarray(Image.open(path)), patterns[name], 30)
            Image.fromarray(pixels).save(path)
    (root / "gan_b" / "000003.png").write_text("no image")
    return root


@pytest.fixture(scope="module")
def result(network, sources, tmp_path_factory, run_script):
    """What the program printed, and its files."""
    out = tmp_path_factory.mktemp("out")
    done = run_script(
        SCRIPT, "--model_path", network[1], "--testing_data_path", sources, "--out_features",
        out / "features.npz", "--out_json", out / "ratio.json", "--out_map", out / "map.pdf",
        "--map_images", 12,
    )  # fmt: skip
    return done, out


@pytest.fixture(scope="module")
def expected(network, sources):
    """Source → the network's fingerprints of its images, computed directly."""
    found = {}
    for name in NUMBERS:
        paths = [path for path in sorted((sources / name).iterdir()) if path.stat().st_size > 99]
        small = [Image.open(path).resize((16, 16), Image.Resampling.LANCZOS) for path in paths]
        pixels = np.stack([np.asarray(image) for image in small]).astype(np.float32)
        found[name] = np.asarray(network[0].fingerprints(pixels / 127.5 - 1))
    return found


def test_fingerprints_are_those_of_the_network(result, expected, sources):
    done, out = result
    with np.load(out / "features.npz", allow_pickle=False) as file:
        features, paths, names = file["features"], file["paths"], file["sources"]
    assert features.dtype == np.float32
    assert features.shape == (94, 32)
    assert relative_error(features, np.concatenate(list(expected.values()))) < 1e-5
    assert names.tolist() == ["gan_a"] * 30 + ["gan_b"] * 33 + ["real"] * 31
    assert paths.tolist() == [
        str(path) for path in sorted(sources.glob("*/*")) if path.stat().st_size > 99
    ]
    skipped = [line for line in done.stderr.splitlines() if "skipped:" in line]
    skipped += [line for line in done.stdout.splitlines() if line.startswith("skipped:")]
    assert len(skipped) == 1
    assert "gan_b/000003.png: found something else than a PNG" in skipped[0]


def test_ratio_is_that_of_the_fingerprints(result, expected, network):
    done, out = result
    found = json.loads((out / "ratio.json").read_text())
    ratio = feature_spaces.fd_ratio(expected)
    for name in ("ratio", "between", "within"):
        assert found[name] == pytest.approx(getattr(ratio, name), rel=1e-4)
    assert found["images"] == ratio.images == 15
    assert (found["space"], found["model"]) == ("fingerprint", str(network[1]))
    assert (found["dimensions"], found["seed"]) == (32, 0)
    pairs = {tuple(pair["sources"]): pair["distance"] for pair in found["pairs"]}
    assert pairs == pytest.approx(ratio.distances, rel=1e-4)
    assert f"= {found['ratio']:.4g} (15 images in each set)" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith(" 2 gan_b"))
    cells = [float(cell) for cell in row.split()[2:]]
    distances = [pairs["gan_a", "gan_b"], pairs["gan_b", "gan_b"], pairs["gan_b", "real"]]
    assert cells == pytest.approx(distances, rel=1e-3)


def test_map_shows_so_many_of_each_source(result):
    assert sorted(points_of(result[1] / "map.pdf").values()) == [12, 12, 12]


def test_links_in_another_order_give_the_same_file(
    result, network, sources, tmp_path, run_script
):  # fmt: skip
    for name in reversed(NUMBERS):
        (tmp_path / "links" / name).mkdir(parents=True)
        for path in sorted((sources / name).iterdir(), reverse=True):
            os.symlink(path, tmp_path / "links" / name / path.name)
    run_script(
        SCRIPT, "--model_path", network[1], "--testing_data_path", "links", "--out_json", "x.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "x.json").read_text() == (result[1] / "ratio.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links", "x.json"]


def test_so_many_images_drawn_with_a_seed(network, sources, expected, tmp_path, run_script):
    run_script(
        SCRIPT, "--model_path", network[1], "--testing_data_path", sources, "--images", 10,
        "--seed", 4, "--out_features", tmp_path / "x.npz", "--out_json", tmp_path / "x.json",
    )  # fmt: skip
    with np.load(tmp_path / "x.npz") as file:
        names, features = file["sources"], file["features"]
        numbers = [int(path[-10:-4]) for path in file["paths"] if "/real/" in path]
    assert len(numbers) == 10
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 15, "drawn from all, not the first"
    chosen = {name: features[names == name] for name in NUMBERS}
    assert relative_error(chosen["real"], expected["real"][numbers]) < 1e-5
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["ratio"] == pytest.approx(feature_spaces.fd_ratio(chosen, 4).ratio, rel=1e-6)
    assert found["images"] == 5


def test_bad_input(network, sources, tmp_path, run_script):
    def refused(*arguments, folder=sources):
        done = run_script(SCRIPT, "--testing_data_path", folder, *arguments, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr

    there = ("--model_path", network[1])
    assert "--model_path is missing: --space fingerprint needs it" in refused()
    assert "found nothing, expected a file" in refused("--model_path", tmp_path / "none")
    assert "--model_path: not used with --space inception" in refused(*there, "--space=inception")
    assert "--inception_weights: not used" in refused(*there, "--inception_weights", "x.h5")
    said = refused(*there, "--out_map", tmp_path / "x.jpg")
    assert "x.jpg', expected a name that ends in .png or .pdf" in said
    assert "did you mean --out_json?" in refused(*there, "--out_jsn", "x")
    assert "one subfolder of images per source" in refused(*there, folder=sources / "real")
    few = tmp_path / "few"
    (few / "real").mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (16, 16)).save(few / "real" / f"{i}.png")
    assert "found one subfolder, expected two sources" in refused(*there, folder=few)
    (few / "gan").symlink_to(sources / "gan_a")
    assert "found 3 images of real, expected 4 or more" in refused(*there, folder=few)


def test_unreadable_images_may_leave_too_few(network, sources, tmp_path, run_script):
    (tmp_path / "in" / "real").mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (16, 16)).save(tmp_path / "in" / "real" / f"{i}.png")
    (tmp_path / "in" / "real" / "2.png").write_text("no image")
    (tmp_path / "in" / "gan").symlink_to(sources / "gan_a")
    done = run_script(
        SCRIPT, "--model_path", network[1], "--testing_data_path", tmp_path / "in",
        "--out_json", tmp_path / "x.json", "--out_features", tmp_path / "x.npz", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "found 3 images that can be read of real, expected 4 or more" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_weights_that_cannot_be_fetched(sources, tmp_path, monkeypatch, run_script):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    done = run_script(
        SCRIPT, "--space", "inception", "--testing_data_path", sources, "--out_json",
        tmp_path / "x.json", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: --inception_weights is missing, and Keras cannot fetch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.json").exists()


@pytest.mark.slow
def test_features_of_inception(sources, tmp_path, run_script):
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    network.save_weights(tmp_path / "inception.weights.h5")
    run_script(
        SCRIPT, "--space", "inception", "--inception_weights", tmp_path / "inception.weights.h5",
        "--testing_data_path", sources, "--images", 4, "--out_features", tmp_path / "x.npz",
    )  # fmt: skip
    with np.load(tmp_path / "x.npz") as file:
        features, paths = file["features"], file["paths"]
    assert features.shape[1] == 2048
    large = [Image.open(path).resize((299, 299), Image.Resampling.LANCZOS) for path in paths[-3:]]
    pixels = np.stack([np.asarray(image) for image in large]).astype(np.float32)
    assert relative_error(features[-3:], network(pixels / 127.5 - 1, training=False)) < 1e-4
    assert np.abs(features[-1] - features[-2]).max() > 1e-3 * np.abs(features).max()
