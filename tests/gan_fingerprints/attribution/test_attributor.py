import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.attribution import tables
from gan_fingerprints.attribution.attributor import READ_AHEAD, Attributor, find_testing_images
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.program import UserError

NAMES = ["CelebA_real_data", "ProGAN_generated_data", "SNGAN_generated_data"]
SHARPNESS = 4.0


@pytest.fixture(scope="module")
def network():
    """Logits are four times the mean of red, green and blue, in [-1, 1]."""
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
    assert len(asked) <= (READ_AHEAD + 1) * 4 + 1
    rows.close()


def test_one_file_is_tested_itself(tmp_path):
    path = flat(tmp_path / "a.png", RED).rename(tmp_path / "picture.dat")
    assert find_testing_images(path) == ([path], None)


def test_a_folder_is_tested_in_sorted_order(tmp_path):
    for name in ("b.png", "a.JPG", "c.png"):
        flat(tmp_path / name, RED)
    (tmp_path / "notes.txt").write_text("not tried")
    (tmp_path / "empty").mkdir()
    paths, truth = find_testing_images(tmp_path)
    assert [path.name for path in paths] == ["a.JPG", "b.png", "c.png"]
    assert truth is None


def test_subfolders_name_the_truth(tmp_path):
    for name in ("gan/b.png", "gan/a.png", "real/z.png"):
        flat(tmp_path / name, RED)
    paths, truth = find_testing_images(tmp_path)
    assert [path.name for path in paths] == ["a.png", "b.png", "z.png"]
    assert truth == ["gan", "gan", "real"]


def test_nothing_to_test_is_an_error(tmp_path):
    flag = "--testing_data_path"
    with pytest.raises(UserError, match=f"{flag} .*nothing"):
        find_testing_images(tmp_path / "missing")
    with pytest.raises(UserError, match=f"{flag} .*expected images"):
        find_testing_images(tmp_path)
    flat(tmp_path / "a.png", RED)
    flat(tmp_path / "gan" / "a.png", RED)
    with pytest.raises(UserError, match="1 images beside subfolders"):
        find_testing_images(tmp_path)


def test_tables_agree_with_the_network(attributor, tmp_path):
    pixels = noise(6)
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, x in zip(paths, pixels, strict=True):
        images.write_png(path, x)
    tables.write_csv(tmp_path / "out.csv", list(attributor.attribute(paths)))
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", skip_header=1, usecols=(3, 4, 5))
    np.testing.assert_allclose(table, expected(pixels), atol=1e-6)


class Answers:
    """Logits and features are four times the mean of red, green and blue, in [-1, 1]."""

    def answers(self, pictures):
        means = SHARPNESS * keras.ops.mean(pictures, axis=(1, 2))
        return means, means


@pytest.fixture(scope="module")
def calibrated():
    means = SHARPNESS * (2 * np.eye(3, dtype=np.float32) - 1)
    calibration = Calibration(
        2.0, "feature_distance", -0.5, 0.05, Centres(means, np.ones(3, np.float32)), "sum"
    )
    return Attributor(Answers(), NAMES, resolution=16, batch=4, calibration=calibration)


def test_calibrated_answers_have_the_temperature(calibrated):
    pixels = noise(5)
    found = calibrated.attribute_arrays(pixels)
    roots = np.sqrt(expected(pixels))
    np.testing.assert_allclose(found, roots / roots.sum(axis=1, keepdims=True), atol=1e-6)


def test_images_far_from_every_source_are_unknown(calibrated, tmp_path):
    paths = [flat(tmp_path / "red.png", RED), flat(tmp_path / "grey.png", (128, 128, 128)),
             flat(tmp_path / "dark.png", (215, 20, 20))]  # fmt: skip
    red, grey, dark = calibrated.attribute(paths)
    assert red.predicted == NAMES[0]
    assert red.score == pytest.approx(0, abs=1e-6)
    assert grey.predicted == "unknown"
    assert grey.score == pytest.approx(-SHARPNESS * np.sqrt(np.mean([1, 1, 1])), rel=0.01)
    assert dark.predicted == "unknown"
    assert dark.most_probable == NAMES[0]
    assert sum(dark.probabilities.values()) == pytest.approx(1)
