import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import attribution, images
from gan_fingerprints.attribution import Attribution, Attributor
from gan_fingerprints.commands import UserError

NAMES = ["CelebA_real_data", "ProGAN_generated_data", "SNGAN_generated_data"]
SHARPNESS = 4.0


@pytest.fixture(scope="module")
def network():
    """Logits are four times the mean of red, green and blue, in [-1, 1]."""
    import keras

    inputs = keras.Input([16, 16, 3])
    means = keras.layers.GlobalAveragePooling2D()(inputs)
    dense = keras.layers.Dense(3, use_bias=False, kernel_initializer="identity")
    model = keras.Model(inputs, dense(means))
    dense.kernel.assign(SHARPNESS * np.eye(3))
    return model


@pytest.fixture(scope="module")
def attributor(network):
    return Attributor(network, NAMES, resolution=16, batch=4)


def expected(pixels: np.ndarray) -> np.ndarray:
    logits = SHARPNESS * (pixels.mean(axis=(1, 2)) / 127.5 - 1)
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def noise(n: int, side: int = 16) -> np.ndarray:
    rng = np.random.default_rng(0)
    bright = rng.integers(60, 200, (n, 1, 1, 3))
    return (bright + rng.integers(-50, 50, (n, side, side, 3))).astype(np.uint8)


def flat(path: Path, colour, mode: str = "RGB", size=(16, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)
    return path


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize("n", [0, 1, 4, 11])
def test_probabilities_are_the_softmax_of_the_logits(attributor, n):
    pixels = noise(n)
    found = attributor.attribute_arrays(pixels)
    assert found.dtype == np.float32
    assert found.shape == (n, 3)
    np.testing.assert_allclose(found, expected(pixels), atol=1e-6)


def test_answers_do_not_depend_on_the_batch(attributor):
    pixels = noise(11)
    together = attributor.attribute_arrays(pixels)
    alone = np.concatenate([attributor.attribute_arrays(x[None]) for x in pixels])
    backwards = attributor.attribute_arrays(pixels[::-1])[::-1]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, backwards)


def test_arrays_of_another_size_are_resized(attributor):
    pixels = noise(2, side=24)
    resized = np.stack([images.resize(x, 16) for x in pixels])
    np.testing.assert_allclose(attributor.attribute_arrays(pixels), expected(resized), atol=1e-6)


@pytest.mark.parametrize("wrong", [np.zeros([1, 16, 16, 3]), np.zeros([16, 16, 3], np.uint8)])
def test_other_arrays_are_refused(attributor, wrong):
    with pytest.raises(ValueError, match=r"expected uint8 \[N, H, W, 3\]"):
        attributor.attribute_arrays(wrong)


def test_names_must_be_as_many_as_outputs(network):
    with pytest.raises(ValueError, match="2 source names"):
        Attributor(network, NAMES[:2], resolution=16)


def test_a_damaged_network_is_an_error():
    broken = Attributor(lambda x, training: x[:, 0, 0] * np.nan, NAMES, resolution=16, batch=2)
    with pytest.raises(UserError, match="NaN"):
        broken.attribute_arrays(noise(1))


def test_any_size_mode_and_format_is_attributed(attributor, tmp_path):
    probabilities = expected(np.array(GREEN, np.uint8).reshape(1, 1, 1, 3))[0]
    paths = [
        flat(tmp_path / "rgb.png", GREEN),
        flat(tmp_path / "rgba.png", GREEN, "RGBA"),
        flat(tmp_path / "palette.png", GREEN, "P"),
        flat(tmp_path / "oblong.png", GREEN, size=(40, 25)),
        flat(tmp_path / "small.bmp", GREEN, size=(5, 5)),
        flat(tmp_path / "lossy.jpg", GREEN, size=(64, 64)),
    ]
    rows = list(attributor.attribute(paths))
    assert [row.path for row in rows] == paths
    for row in rows:
        assert row.predicted == NAMES[1]
        assert list(row.probabilities) == NAMES
        assert list(row.probabilities.values()) == pytest.approx(probabilities, abs=0.01)
        assert row.error is None


def test_what_is_no_image_becomes_a_row_with_the_reason(attributor, tmp_path):
    good = [flat(tmp_path / f"{i}.png", RED) for i in range(5)]
    text, cut = tmp_path / "text.png", tmp_path / "cut.jpg"
    text.write_text("no image")
    cut.write_bytes(flat(tmp_path / "whole.jpg", BLUE, size=(64, 64)).read_bytes()[:300])
    missing = tmp_path / "missing.png"
    rows = list(attributor.attribute([text, *good[:4], cut, good[4], missing]))
    assert [row.predicted is None for row in rows] == [True, *4 * [False], True, False, True]
    for row in rows:
        if row.predicted is None:
            assert row.probabilities == dict.fromkeys(NAMES)
            assert row.error
            assert str(tmp_path) not in row.error
        else:
            assert row.predicted == NAMES[0]
    assert [row.error for row in attributor.attribute([text])] == [rows[0].error]
    assert list(attributor.attribute([])) == []


def test_reading_ahead_is_bounded_and_results_come_early(attributor, tmp_path):
    path = flat(tmp_path / "a.png", BLUE)
    asked = []
    paths = (asked.append(i) or path for i in itertools.count())  # endless
    rows = attributor.attribute(paths)
    assert next(rows).predicted == NAMES[2]
    assert len(asked) <= (attribution.READ_AHEAD + 1) * 4 + 1
    rows.close()


def test_one_file_is_tested_itself(tmp_path):
    path = flat(tmp_path / "a.png", RED).rename(tmp_path / "picture.dat")
    assert attribution.find_testing_images(path) == ([path], None)


def test_a_folder_is_tested_in_sorted_order(tmp_path):
    for name in ("b.png", "a.JPG", "c.png"):
        flat(tmp_path / name, RED)
    (tmp_path / "notes.txt").write_text("not tried")
    (tmp_path / "empty").mkdir()
    paths, truth = attribution.find_testing_images(tmp_path)
    assert [path.name for path in paths] == ["a.JPG", "b.png", "c.png"]
    assert truth is None


def test_subfolders_name_the_truth(tmp_path):
    for name in ("gan/b.png", "gan/a.png", "real/z.png"):
        flat(tmp_path / name, RED)
    paths, truth = attribution.find_testing_images(tmp_path)
    assert [path.name for path in paths] == ["a.png", "b.png", "z.png"]
    assert truth == ["gan", "gan", "real"]


def test_nothing_to_test_is_an_error(tmp_path):
    flag = "--testing_data_path"
    with pytest.raises(UserError, match=f"{flag} .*nothing"):
        attribution.find_testing_images(tmp_path / "missing")
    with pytest.raises(UserError, match=f"{flag} .*expected images"):
        attribution.find_testing_images(tmp_path)
    flat(tmp_path / "a.png", RED)
    flat(tmp_path / "gan" / "a.png", RED)
    with pytest.raises(UserError, match="1 images beside subfolders"):
        attribution.find_testing_images(tmp_path)


def rows_of(*predicted: str | None) -> list[Attribution]:
    """One row per name, sure to 0.8; an error where the name is None."""
    rows = []
    for i, name in enumerate(predicted):
        path = Path(f"folder/img{i:02d}.png")
        if name is None:
            rows.append(Attribution(path, None, dict.fromkeys(NAMES), "truncated, alas"))
        else:
            rows.append(Attribution(path, name, {x: 0.8 if x == name else 0.1 for x in NAMES}))
    return rows


def test_lines_are_as_published(oracles):
    published = (oracles / "classifier" / "test_folder_label5.stdout.txt").read_text().splitlines()
    name = "MMDGAN_generated_data"
    row = Attribution(Path("testfolder/img04_rgba.png"), name, {name: 1.0})
    assert attribution.line(4, 8, row) == published[6]
    names = [line.split()[6] for line in published[-5:]]
    rows = [Attribution(Path("x.png"), name, dict.fromkeys(names, 0.2)) for _ in range(8)]
    assert attribution.report(rows, None, names).splitlines() == published[-5:]


def test_the_line_of_an_error_has_its_reason():
    row = rows_of(None)[0]
    assert attribution.line(3, 8, row) == (
        "Classifying 3/8 images: img00.png: skipped: truncated, alas"
    )


def test_csv(tmp_path):
    attribution.write_csv(tmp_path / "new" / "out.csv", rows_of(NAMES[1], None))
    text = (tmp_path / "new" / "out.csv").read_text()
    assert text.splitlines()[0] == f"path,predicted,probability,{','.join(NAMES)},error"
    with open(tmp_path / "new" / "out.csv", newline="") as file:
        good, bad = csv.DictReader(file)
    assert good["path"] == "folder/img00.png"
    assert good["predicted"] == NAMES[1]
    assert float(good["probability"]) == float(good[NAMES[1]]) == 0.8
    assert float(good[NAMES[0]]) == 0.1
    assert good["error"] == ""
    assert bad["error"] == "truncated, alas"
    assert {bad[x] for x in ("predicted", "probability", *NAMES)} == {""}


def test_json(tmp_path):
    attribution.write_json(tmp_path / "out.json", rows_of(NAMES[1], None))
    good, bad = json.loads((tmp_path / "out.json").read_text())
    assert good == {
        "path": "folder/img00.png",
        "predicted": NAMES[1],
        "probabilities": {NAMES[0]: 0.1, NAMES[1]: 0.8, NAMES[2]: 0.1},
        "error": None,
    }
    assert bad["predicted"] is None
    assert bad["error"] == "truncated, alas"


def test_tables_agree_with_the_network(attributor, tmp_path):
    pixels = noise(6)
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, x in zip(paths, pixels, strict=True):
        images.write_png(path, x)
    attribution.write_csv(tmp_path / "out.csv", list(attributor.attribute(paths)))
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", skip_header=1, usecols=(3, 4, 5))
    np.testing.assert_allclose(table, expected(pixels), atol=1e-6)


def test_report_without_truth_counts_shares():
    lines = attribution.report(rows_of(NAMES[0], NAMES[1], NAMES[1], None), None, NAMES).split("\n")
    assert lines == [
        "The percentage of images sampled from CelebA_real_data is 1/3 = 33.33%",
        "The percentage of images sampled from ProGAN_generated_data is 2/3 = 66.67%",
        "The percentage of images sampled from SNGAN_generated_data is 0/3 = 0.00%",
        "Skipped: 1 of 4 images could not be used",
    ]
    assert "0/0 = 0.00%" in attribution.report(rows_of(None), None, NAMES)


def test_report_with_truth_has_the_scores():
    real, progan, sngan = NAMES
    rows = rows_of(real, real, progan, progan, real, sngan, progan, None)
    truth = [real, real, progan, progan, progan, sngan, "StyleGAN", "StyleGAN"]
    report = attribution.report(rows, truth, NAMES)
    assert (
        "Left out of the accuracy, as no source of this network: StyleGAN (1 of 8 images)" in report
    )
    assert "Accuracy: 5/6 = 83.33% (95% interval 43.65% to 96.99%)" in report
    assert "Expected calibration error: 0.0333" in report  # |5/6 - 0.8|
    assert "Real (CelebA_real_data) or generated: AP 0.9167, AUC 0.8750" in report
    matrix = [line.split()[2:5] for line in report.splitlines()[-4:-1]]
    assert matrix == [["2", "0", "0"], ["1", "2", "0"], ["0", "0", "1"]]
    assert "66.7 %" in report.splitlines()[-3]  # recall of ProGAN


def test_report_without_any_known_truth():
    report = attribution.report(rows_of(NAMES[0]), ["cats"], NAMES)
    assert "cats (1 of 1 images)" in report
    assert "No accuracy: no folder is named as one of CelebA_real_data" in report
    assert "Accuracy" not in report


def test_the_picture_needs_a_known_truth(tmp_path):
    path = tmp_path / "confusion.png"
    rows = rows_of(NAMES[0], NAMES[1], None)
    assert not attribution.write_confusion_png(path, rows, ["cats", "dogs", NAMES[0]], NAMES)
    assert not path.exists()
    assert attribution.write_confusion_png(path, rows, ["cats", NAMES[1], NAMES[0]], NAMES)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
