"""The classifier through its real command lines: prepare, train, continue, test, refuse."""

import csv
import json
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import scores
from tests import run_log
from tests.classifier.conftest import training_arguments
from tests.marks import SOURCES


def test_training_writes_what_it_should(model):
    names = {path.name for path in model.iterdir()}
    assert names >= {"settings.json", "log.txt", "tensorboard", "finished.json",
                     "network-final.safetensors",
                     "network-snapshot-000006.safetensors"}  # fmt: skip
    board = run_log.tensorboard(model / "tensorboard")
    assert board.scalars.keys() >= {*run_log.EVERY, "loss", "accuracy/validation"}
    assert board.scalars["learning_rate"] == pytest.approx(0.001)
    log = (model / "log.txt").read_text()
    final = re.findall(r"training accuracy ([\d.]+)% validation accuracy ([\d.]+)%", log)[-1]
    assert min(map(float, final)) >= 90


def test_folder_of_sources_gives_names_and_numbers(model, folders, tmp_path, run_script):
    done = run_script(
        "classifier/run.py", "--app", "test", "--model_path", model / "network-final.safetensors",
        "--testing_data_path", folders / "test", "--out_csv", tmp_path / "out.csv",
        "--out_json", tmp_path / "out.json", "--out_confusion", tmp_path / "confusion.png",
    )  # fmt: skip
    assert re.search(r"Classifying 0/180 images: \w+\.png: predicted as being sampled from \w+",
                     done.stdout)  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert list(rows[0]) == ["path", "predicted", "probability", *SOURCES, "reason", "error"]
    likely = [max(SOURCES, key=lambda name: float(row[name])) for row in rows]
    right = sum(name in row["path"].split("/") for name, row in zip(likely, rows, strict=True))
    assert right / len(rows) >= 0.9
    assert f"Accuracy: {right}/180" in done.stdout
    # These are the images that the threshold was set on: exactly 5 % of them fall below it.
    answers = [row["predicted"] for row in rows]
    assert answers.count("unknown") == 9
    assert "images of known sources: 9/180 = 5.00%" in done.stdout
    for row, name in zip(rows, likely, strict=True):
        unclear = float(row["probability"]) < 0.9
        expected = "inconclusive" if unclear and row["predicted"] != "unknown" else name
        assert row["predicted"] in (expected, "unknown")
        assert (row["predicted"] == "unknown") == ("it is like none" in row["reason"])
    objects = json.loads((tmp_path / "out.json").read_text())
    for row, entry in zip(rows, objects, strict=True):
        assert set(entry) == {"path", "predicted", "probabilities", "reason", "error"}
        assert (entry["predicted"], entry["reason"]) == (row["predicted"], row["reason"])
        assert sum(entry["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert float(row["real"]) == pytest.approx(entry["probabilities"]["real"], rel=1e-5)
    assert Image.open(tmp_path / "confusion.png").size[0] > 300


@pytest.mark.slow
def test_images_of_no_source_score_lower(model, folders, tmp_path, run_script):
    """Images between two sources: each fits neither."""
    (tmp_path / "set" / "between").mkdir(parents=True)
    pairs = zip(*(sorted((folders / "test" / name).iterdir()) for name in SOURCES[:2]), strict=True)
    for i, files in enumerate(pairs):
        mixed = np.mean([np.asarray(Image.open(file), float) for file in files], axis=0)
        Image.fromarray(np.uint8(mixed)).save(tmp_path / "set" / "between" / f"{i}.png")
    shutil.copytree(folders / "test" / "real", tmp_path / "set" / "real")
    command = (
        "classifier/run.py", "--app", "test", "--model_path", model / "network-final.safetensors",
        "--testing_data_path", tmp_path / "set", "--out_confusion", tmp_path / "confusion.png",
        "--overwrite",
    )  # fmt: skip
    done = run_script(*command, "--out_scores", tmp_path / "scores.csv")
    area = float(re.search(r"AUROC ([\d.]+)", done.stdout)[1])
    table = list(csv.DictReader((tmp_path / "scores.csv").open()))
    score = next(name for name in table[0] if name in scores.SCORES)
    values = {"between": [], "real": []}
    for row in table:
        values[row["path"].split("/")[-2]].append(float(row[score]))
    pairs = [a > b for a in values["real"] for b in values["between"]]
    assert area == pytest.approx(np.mean(pairs), abs=1e-4)
    assert area > 0.8
    below = [float(row[score]) < float(row["threshold"]) for row in table]
    assert [row["predicted"] == "unknown" for row in table] == below
    assert "unknown" not in run_script(*command, "--unknown", 0).stdout


def test_one_image_of_another_size_and_mode(model, folders, tmp_path, run_script):
    photo = next((folders / "test" / "real").iterdir())
    Image.open(photo).convert("L").resize((50, 40)).save(tmp_path / "grey.jpg")
    done = run_script(
        "classifier/run.py", "--app", "test", "--model_path", model / "network-final.safetensors",
        "--testing_data_path", tmp_path / "grey.jpg", cwd=tmp_path,
    )  # fmt: skip
    assert "Classifying 0/1 images: grey.jpg: predicted as being sampled from real" in done.stdout
    assert "like the photographs it was trained on (real), no more" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grey.jpg"]


def test_what_is_no_image_becomes_a_row(model, folders, tmp_path, run_script):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(next((folders / "test" / "real").iterdir()), folder / "good.png")
    (folder / "text.png").write_text("no image")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:200])
    run_script(
        "classifier/run.py", "--app", "test", "--model_path", model / "network-final.safetensors",
        "--testing_data_path", folder, "--out_csv", tmp_path / "out.csv",
    )  # fmt: skip
    rows = {
        row["path"].rpartition("/")[2]: row for row in csv.DictReader((tmp_path / "out.csv").open())
    }
    assert rows["good.png"]["predicted"] in (*SOURCES, "unknown", "inconclusive")
    for name in ("text.png", "cut.png"):
        assert rows[name]["error"]
        assert not rows[name]["predicted"]


@pytest.mark.slow
def test_same_seed_same_network_also_when_killed(prepared, tmp_path, run_script, start_script):
    once, killed = tmp_path / "once", tmp_path / "killed"
    run_script("classifier/run.py", *training_arguments(prepared, once, "--total_kimg", 2))
    arguments = training_arguments(
        prepared, killed, "--total_kimg", 2, "--checkpoint_minutes", 0, "--resume"
    )
    process = start_script("classifier/run.py", *arguments)
    log, deadline = killed / "log.txt", time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and "tick 1 " in log.read_text()):
        time.sleep(0.01)
    process.kill()
    assert not (killed / "finished.json").exists()
    run_script("classifier/run.py", *arguments)
    assert "continuing at" in (killed / "log.txt").read_text()
    for name in ("network-final.safetensors", "network-snapshot-000001.safetensors"):
        assert (killed / name).read_bytes() == (once / name).read_bytes()
    said = run_log.lines(once / "log.txt")
    assert len(said) > 2
    assert run_log.lines(killed / "log.txt") == said
    (killed / "finished.json").unlink()
    run_script("classifier/run.py", *arguments)
    assert run_log.lines(killed / "log.txt") == said


@pytest.mark.slow
def test_a_run_that_stopped_early_goes_on_no_further(prepared, tmp_path, run_script):
    """Nothing is learned at a rate of 0, so the first measurement stays the best."""
    flags = ("--learning_rate", 0, "--keep_best", 1, "--patience", 2, "--accuracy_ticks", 1,
             "--total_kimg", 50, "--resume")  # fmt: skip
    run, log = tmp_path / "run", tmp_path / "run" / "log.txt"
    run_script("classifier/run.py", *training_arguments(prepared, run, *flags))
    said = run_log.lines(log)
    ticks = [line.partition(" kimg")[0] for line in said if line.startswith("tick ")]
    assert ticks == ["tick 1", "tick 2", "tick 3"]
    assert said.count("no better accuracy in 2 measurements: stopping early") == 1
    (run / "finished.json").unlink()
    run_script("classifier/run.py", *training_arguments(prepared, run, *flags))
    assert run_log.lines(log) == said


@pytest.mark.slow
def test_shuffled_labels_cannot_be_learned(prepared, tmp_path, run_script):
    """The negative control: what is learned must not carry over to images that were not shown."""
    for split in ("train", "test"):
        folder = tmp_path / split
        shutil.copytree(prepared / split, folder)
        (labels_file,) = folder.glob("*.labels")
        labels = np.load(labels_file)
        with labels_file.open("wb") as file:
            np.save(file, np.random.RandomState(0).permutation(labels))
    # The manifest knows the labels as they were.
    more = ("--total_kimg", 10, "--verify", 0)
    run_script("classifier/run.py", *training_arguments(tmp_path, tmp_path / "out", *more))
    log = (tmp_path / "out" / "log.txt").read_text()
    share = float(re.findall(r"validation accuracy ([\d.]+)%", log)[-1]) / 100
    # 180 images of three sources: chance is 1/3, four standard errors are 0.14.
    assert abs(share - 1 / 3) < 0.14


def refused(run_script, *arguments):
    done = run_script("classifier/run.py", *arguments, check=False)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    return errors[0]


def test_validation_of_other_sources_is_refused(prepared, folders, tmp_path, run_script):
    other = tmp_path / "folders"
    shutil.copytree(folders / "test", other)
    (other / "real").rename(other / "photos")
    run_script("classifier/data_preparation.py", "--in_dir", other, "--out_dir", tmp_path / "other")
    error = refused(
        run_script, "--app", "train", "--training_data_dir", prepared / "train",
        "--validation_data_dir", tmp_path / "other", "--out_model_dir", tmp_path / "out",
    )  # fmt: skip
    assert "marked_a, marked_b, photos; expected those of the training data" in error
    assert not (tmp_path / "out").exists()


def damaged_copy(prepared, tmp_path, damage):
    shutil.copytree(prepared / "train", tmp_path / "train")
    damage(tmp_path / "train")
    return [
        "--app", "train", "--training_data_dir", tmp_path / "train", "--validation_data_dir",
        prepared / "test", "--out_model_dir", tmp_path / "out",
    ]  # fmt: skip


def cut_records(folder, size):
    (path,) = folder.glob("*.tfrecords")
    path.write_bytes(path.read_bytes()[:size])


def drop_labels(folder):
    (path,) = folder.glob("*.labels")
    labels = np.load(path)[:-1]
    with path.open("wb") as file:
        np.save(file, labels)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: cut_records(folder, 100_000), "middle of record|bytes, expected"),
        (lambda folder: next(folder.glob("*.tfrecords")).unlink(), "expected a data set"),
        (drop_labels, "bytes, expected|labels, expected"),
        (lambda folder: next(folder.glob("*.labels")).unlink(), "labels"),
    ],
)
def test_damaged_data_are_refused(prepared, tmp_path, run_script, damage, message):
    error = refused(run_script, *damaged_copy(prepared, tmp_path, damage))
    assert re.search(message, error)
    assert not (tmp_path / "out").exists()


def test_bad_models_are_refused(model, folders, tmp_path, run_script):
    good = (model / "network-final.safetensors").read_bytes()
    (tmp_path / "damaged").write_bytes(good[:-500] + bytes(500))
    (tmp_path / "cut").write_bytes(good[:1000])
    for name, message in (
        ("damaged", "damaged"), ("cut", "not a network file"), ("none", "found nothing")
    ):  # fmt: skip
        error = refused(
            run_script, "--app", "test", "--model_path", tmp_path / name,
            "--testing_data_path", folders / "test",
        )  # fmt: skip
        assert message in error


def test_missing_flags_and_paths_are_said(model, tmp_path, run_script):
    final = model / "network-final.safetensors"
    assert "--model_path is missing" in refused(run_script, "--app", "test")
    assert "found nothing, expected a folder" in refused(
        run_script, "--app", "test", "--model_path", final, "--testing_data_path", tmp_path / "none"
    )
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(
        run_script,
        "--app",
        "test",
        "--model_path",
        final,
        "--testing_data_path",
        tmp_path / "empty",
    )
    assert "did you mean --model_path" in refused(
        run_script, "--app", "test", "--modle_path", final
    )


def test_help_is_quick(run_script):
    for script in ("classifier/run.py", "classifier/data_preparation.py", "ProGAN/run.py",
                   "ProGAN/dataset_tool.py"):  # fmt: skip
        seconds = []
        for _ in range(3):  # the best of three, as other work may be going on
            start = time.monotonic()
            assert "usage:" in run_script(script, "--help").stdout
            seconds.append(time.monotonic() - start)
        assert min(seconds) < 1, script


@pytest.mark.slow
def test_the_paper_configuration_takes_three_steps(tmp_path, photo_crops, run_script):
    for split, number in (("training", 40), ("validation", 6)):
        for source in ("real", "fake"):
            photo_crops(tmp_path / split / source, number, 128, seed=number + len(source))
        data = tmp_path / "data" / split
        run_script(
            "classifier/data_preparation.py", "--in_dir", tmp_path / split, "--out_dir", data
        )
    run_script(
        "classifier/run.py", "--app", "train", "--training_data_dir",
        tmp_path / "data/training", "--validation_data_dir", tmp_path / "data/validation",
        "--out_model_dir", tmp_path / "out",
        "--total_kimg", 0.096, "--tick_kimg", 0.096,
    )  # fmt: skip
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "tick 1 kimg 0.10 minibatch 32" in log
    assert "skipped_steps 0" in log


def test_training_images_are_no_validation_images(prepared, tmp_path, run_script):
    flags = training_arguments(prepared, tmp_path / "out")
    flags[flags.index("--validation_data_dir") + 1] = prepared / "train"
    line = refused(run_script, *flags)
    assert f"--validation_data_dir {prepared / 'train'}: holds the same images as" in line
    assert not (tmp_path / "out").exists()
