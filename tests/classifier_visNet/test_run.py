"""visNet through its real command lines: train, continue, test, refuse."""

import csv
import json
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from classifier_visNet.networks import AutoEncoder
from gan_fingerprints.networks import files
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from tests import run_log

SOURCES = ["marked_a", "marked_b", "real"]


@pytest.fixture(scope="module")
def tested(visnet_model, visnet_folders, tmp_path_factory, run_script):
    """The output folder of --app test, and what was printed."""
    out = tmp_path_factory.mktemp("visnet_tested")
    done = run_script(
        "classifier_visNet/run.py", "--app", "test",
        "--model_path", visnet_model / "network-final.safetensors",
        "--testing_data_path", visnet_folders / "test", "--out_csv", out / "out.csv",
        "--out_json", out / "out.json", "--out_confusion", out / "confusion.png",
        "--out_fingerprint_dir", out / "fingerprints",
    )  # fmt: skip
    return out, done.stdout


def test_training_writes_what_it_should(visnet_model):
    names = {path.name for path in visnet_model.iterdir()}
    assert names >= {
        "settings.json", "log.txt", "tensorboard", "finished.json", "reals.png",
        "network-final.safetensors", "network-snapshot-000001.safetensors",
        "critic-final.safetensors", "reconstructions000002.png", "fingerprints000002.png",
        "model_fingerprints000002.png", "reconstructions-final.png", "fingerprints-final.png",
        "model_fingerprints-final.png",
    }  # fmt: skip
    board = run_log.tensorboard(visnet_model / "tensorboard")
    assert board.scalars.keys() >= {*run_log.EVERY, "loss/D", "loss/cls", "accuracy/validation"}
    assert board.images == {"reals", "reconstructions", "fingerprints", "model_fingerprints"}
    log = (visnet_model / "log.txt").read_text()
    final = re.findall(r"training accuracy ([\d.]+)% validation accuracy ([\d.]+)%", log)[-1]
    assert min(map(float, final)) >= 85
    assert Image.open(visnet_model / "fingerprints-final.png").size == (8 * 16, 8 * 16)
    first, last = (
        np.asarray(Image.open(visnet_model / f"reconstructions{x}.png")).astype(int)
        for x in ("000002", "-final")
    )
    reals = np.asarray(Image.open(visnet_model / "reals.png")).astype(int)
    assert np.abs(last - reals).mean() < np.abs(first - reals).mean() < 64


def test_exported_network_is_the_average(visnet_model):
    header = files.load(
        visnet_model / "network-final.safetensors", {"visnet_autoencoder": AutoEncoder}, "--m"
    )
    assert header.source_names == SOURCES
    assert header.arguments["correlation"] == "inner"
    import tensorflow as tf

    state = tf.train.load_checkpoint(str(visnet_model / "checkpoints"))
    shape = tuple(header.network.model_fingerprints.weight.shape)
    exported = header.network.model_fingerprints.weight.numpy()
    keys = state.get_variable_to_shape_map()
    same = {
        key.split("/")[0]
        for key, found in keys.items()
        if tuple(found) == shape and np.array_equal(state.get_tensor(key), exported)
    }
    assert same == {"EGs"}


def test_folder_of_sources_gives_names_tables_and_a_report(tested):
    out, printed = tested
    assert re.search(r"Classifying 0/180 images: \w+\.png: predicted as being sampled from \w+",
                     printed)  # fmt: skip
    rows = list(csv.DictReader((out / "out.csv").open()))
    likely = [max(SOURCES, key=lambda name: float(row[name])) for row in rows]
    right = sum(name in row["path"].split("/") for name, row in zip(likely, rows, strict=True))
    assert right / len(rows) >= 0.85
    assert f"Accuracy: {right}/180" in printed
    assert len(json.loads((out / "out.json").read_text())) == 180
    assert Image.open(out / "confusion.png").size[0] > 300


def test_responses_add_up_to_the_logits_and_the_probabilities(tested, visnet_model):
    out, _ = tested
    numbers = np.load(out / "fingerprints" / "fingerprints.npz", allow_pickle=False)
    images, models = numbers["image_fingerprints"], numbers["model_fingerprints"]
    assert images.dtype == np.float32
    assert images.shape == (180, 16, 16, 3)
    assert models.shape == (3, 16, 16, 3)
    assert list(numbers["source_names"]) == SOURCES
    responses = images[:, None].astype(np.float64) * models[None]
    logits = responses.sum(axis=(2, 3, 4)) * numbers["scale"]
    largest = np.abs(numbers["logits"]).max()
    assert np.abs(logits - numbers["logits"]).max() / largest < 1e-4
    path = visnet_model / "network-final.safetensors"
    calibration = files.load(path, {"visnet_autoencoder": AutoEncoder}, "--m").calibration
    logits /= calibration.temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows = list(csv.DictReader((out / "out.csv").open()))
    found = np.array([[float(row[name]) for name in SOURCES] for row in rows])
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), atol=1e-4)
    assert [row["path"] for row in rows] == list(numbers["paths"])


def test_pictures_are_those_of_the_raw_numbers(tested):
    folder = tested[0] / "fingerprints"
    numbers = np.load(folder / "fingerprints.npz")
    for name, picture in zip(
        SOURCES, fingerprint_pictures.of_models(np.moveaxis(numbers["model_fingerprints"], 0, 3)),
        strict=True,
    ):  # fmt: skip
        found = np.asarray(Image.open(folder / f"model_fingerprint_{name}.png"))
        np.testing.assert_array_equal(found, picture)
    path = numbers["paths"][100]
    source, stem = path.split("/")[-2], path.split("/")[-1].removesuffix(".png")
    fingerprint = numbers["image_fingerprints"][100]
    found = np.asarray(Image.open(folder / source / f"{stem}_image_fingerprint.png"))
    np.testing.assert_array_equal(found, fingerprint_pictures.of_image(fingerprint))
    file = f"{stem}_image_fingerprint_responding_to_model_fingerprint_marked_b.png"
    found = np.asarray(Image.open(folder / source / file))
    expected = fingerprint_pictures.response(fingerprint, numbers["model_fingerprints"][1])
    np.testing.assert_array_equal(found, expected)


def test_figure_of_all_sources_is_written_as_png_and_pdf(tested):
    folder = tested[0] / "fingerprints"
    assert min(Image.open(folder / "fingerprint_confusion_matrix.png").size) > 400
    assert (folder / "fingerprint_confusion_matrix.pdf").read_bytes().startswith(b"%PDF")


def test_one_grey_image_and_files_that_share_a_stem(
    visnet_model, visnet_folders, tmp_path, run_script
):
    photo = Image.open(next((visnet_folders / "test" / "real").iterdir()))
    images = tmp_path / "images"
    images.mkdir()
    photo.convert("L").resize((50, 40)).save(images / "a.jpg")
    photo.save(images / "a.png")
    (images / "broken.png").write_text("no image")
    run_script(
        "classifier_visNet/run.py", "--app", "test", "--model_path",
        visnet_model / "network-final.safetensors", "--testing_data_path", images,
        "--out_fingerprint_dir", tmp_path / "out", cwd=tmp_path,
    )  # fmt: skip
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"a_jpg_image_fingerprint.png", "a_png_image_fingerprint.png"} <= names
    assert len(names) == 3 + 2 * 4 + 1
    numbers = np.load(tmp_path / "out" / "fingerprints.npz")
    assert np.isnan(numbers["logits"][2]).all()
    assert np.isfinite(numbers["logits"][:2]).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out"]


@pytest.mark.slow
def test_same_seed_same_network_also_when_killed(
    training_arguments, tmp_path, run_script, start_script
):
    once, killed = tmp_path / "once", tmp_path / "killed"
    length = ("--total_kimg", 1)
    run_script("classifier_visNet/run.py", *training_arguments(once, *length))
    arguments = training_arguments(killed, *length, "--checkpoint_minutes", 0, "--resume")
    process = start_script("classifier_visNet/run.py", *arguments)
    log, deadline = killed / "log.txt", time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and "tick 1 " in log.read_text()):
        time.sleep(0.01)
    process.kill()
    assert not (killed / "finished.json").exists()
    run_script("classifier_visNet/run.py", *arguments)
    assert "continuing at" in (killed / "log.txt").read_text()
    for name in ("network-final", "network-snapshot-000000", "critic-final"):
        file = f"{name}.safetensors"
        assert (killed / file).read_bytes() == (once / file).read_bytes()
    said = run_log.lines(once / "log.txt")
    assert len(said) > 2
    assert run_log.lines(killed / "log.txt") == said
    (killed / "finished.json").unlink()
    run_script("classifier_visNet/run.py", *arguments)
    assert run_log.lines(killed / "log.txt") == said


@pytest.mark.slow
def test_normalized_correlation_and_old_weights(
    training_arguments, visnet_model, tmp_path, run_script
):
    arguments = training_arguments(tmp_path / "out", "--total_kimg", 0.4)
    old = ("--init_from", visnet_model / "network-final.safetensors")
    refused = run_script(
        "classifier_visNet/run.py", *arguments, *old, "--correlation", "normalized", check=False
    )
    assert refused.returncode == 2
    assert "its correlation is inner, expected normalized" in refused.stderr
    run_script("classifier_visNet/run.py", *arguments, *old)
    log = (tmp_path / "out" / "log.txt").read_text()
    accuracy = float(re.findall(r"validation accuracy ([\d.]+)%", log)[-1])
    assert accuracy >= 80  # it started from trained weights


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--minibatch", 6), "--minibatch 6: 6 images per device are not a multiple of"),
        (("--correlation", "cosine"), "found 'cosine', expected inner or normalized"),
        (("--validation_data_dir", "nowhere"), "--validation_data_dir nowhere"),
        (("--out_fingerprint", "x"), "did you mean --out_fingerprint_dir?"),
    ],
)
def test_bad_training_arguments_are_one_line(
    training_arguments, tmp_path, run_script, more, message
):
    done = run_script(
        "classifier_visNet/run.py", *training_arguments(tmp_path / "out"), *more, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_network_of_another_kind_and_a_full_folder_are_refused(
    visnet_model, visnet_folders, tmp_path, run_script
):
    common = ("--app", "test", "--testing_data_path", visnet_folders / "test" / "real")
    done = run_script(
        "classifier_visNet/run.py", *common, "--model_path",
        visnet_model / "critic-final.safetensors", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "holds a visnet_critic, expected a visnet_autoencoder" in done.stderr
    shutil.copy(visnet_model / "reals.png", tmp_path)
    done = run_script(
        "classifier_visNet/run.py", *common, "--out_fingerprint_dir", tmp_path, "--model_path",
        visnet_model / "network-final.safetensors", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "already exists" in done.stderr
