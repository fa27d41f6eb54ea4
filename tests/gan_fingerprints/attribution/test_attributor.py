import csv
import itertools
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images, likelihood
from gan_fingerprints.attribution import tables
from gan_fingerprints.attribution.answering import READ_AHEAD
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.pooling import Pools
from gan_fingerprints.attribution.verdict import Rules
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.likelihoods.fitted import Fitted, Likelihoods
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
    return expected_at(pixels, 1.0)


def expected_at(pixels: np.ndarray, temperature: float) -> np.ndarray:
    logits = SHARPNESS * (pixels.mean(axis=(1, 2)) / 127.5 - 1) / temperature
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


def with_ratios(network, **more):
    """An Attributor with likelihoods, of logits that are the score's features too."""
    network.answers = lambda x: (network(x), network(x))
    centres = Centres(np.zeros((3, 3)), np.ones(3))
    scale = Calibration(0.5, "energy", -1e9, 0.05, centres, "x")
    others = Fitted(np.log(2), 1.0, -2.0, 2.0, 200, 400, 200)
    outside = Fitted(0.0, 0.1, -1.0, 1.0, 200, 200, 200)
    found = Likelihoods(others, outside, {2: replace(others, b=1.5)})
    return Attributor(network, NAMES, 16, batch=4, calibration=scale, likelihoods=found, **more)


def test_rows_have_likelihood_ratios(network):
    attributor = with_ratios(network)
    pixels = noise(6)
    shares = expected_at(pixels, 0.5)
    ratios = np.log10(2 * shares / (1 - shares))  # (K - 1) · P / (1 - P)
    for row, ratio in zip(attributor.attribute(pixels), ratios, strict=True):
        np.testing.assert_allclose(list(row.log10_lr.values()), np.clip(ratio, -2, 2), atol=1e-4)
        assert row.log10_outside == pytest.approx(0.1 * row.score / np.log(10))
        assert row.log10_of_likely == max(row.log10_lr.values())


def test_what_cannot_be_judged_has_no_likelihood_ratio(network, attributor):
    rows = list(with_ratios(network).attribute([noise(1, side=4)[0], noise(1)[0]]))
    assert [row.log10_lr is None for row in rows] == [True, False]
    assert rows[0].log10_outside is rows[0].log10_of_likely is None
    assert all(row.log10_lr is None for row in attributor.attribute(noise(2)))


def test_what_is_like_no_source_has_a_ratio_against_outside_only(network):
    attributor = with_ratios(network)
    pixels = noise(6)
    scores = [row.score for row in attributor.attribute(pixels)]
    bound = float(np.median(scores))
    attributor.calibration = replace(attributor.calibration, threshold=bound)
    for row in attributor.attribute(pixels):
        assert (row.predicted == "unknown") == (row.score < bound) == (row.log10_lr is None)
        assert row.log10_outside is not None


def test_pools_have_ratios_of_their_own(network):
    attributor = with_ratios(network)
    pools = Pools(attributor)
    pixels = noise(3)
    for one in attributor.examine(pixels):
        pools.add(one)
    (row,) = pools.rows()
    logits = SHARPNESS * (pixels.mean(axis=(0, 1, 2)) / 127.5 - 1) / 0.5
    scores = likelihood.log_odds(logits[None])[0]
    expected = np.clip((np.log(2) + 1.5 * scores) / np.log(10), -2, 2)
    np.testing.assert_allclose(list(row.log10_lr.values()), expected, atol=1e-4)
    assert row.log10_outside is None


def test_tables_say_them(network, tmp_path):
    rows = list(with_ratios(network).attribute([noise(1)[0], noise(1, side=4)[0]]))
    tables.write_csv(tmp_path / "a.csv", rows)
    found = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert float(found[0]["log10_lr"]) == pytest.approx(rows[0].log10_of_likely)
    assert found[1]["log10_lr"] == found[1]["log10_outside"] == ""
    tables.write_json(tmp_path / "a.json", rows)
    first, second = json.loads((tmp_path / "a.json").read_text())
    assert first["log10_lr"] == rows[0].log10_lr
    assert second["log10_lr"] is None


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
        assert row.predicted == ("inconclusive" if row.path.stem == "small" else NAMES[1])
        assert row.most_probable == NAMES[1]
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


def test_tables_agree_with_the_network(attributor, tmp_path):
    pixels = noise(6)
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, x in zip(paths, pixels, strict=True):
        images.write_png(path, x)
    tables.write_csv(tmp_path / "out.csv", list(attributor.attribute(paths)))
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", skip_header=1, usecols=(3, 4, 5))
    np.testing.assert_allclose(table, expected(pixels), atol=1e-6)


def test_a_string_is_one_path_and_a_folder_is_searched(attributor, tmp_path, monkeypatch):
    green, blue = flat(tmp_path / "green.png", GREEN), flat(tmp_path / "sub" / "blue.png", BLUE)
    monkeypatch.chdir(tmp_path)
    for one in ("green.png", Path("green.png"), ["green.png"]):
        (row,) = attributor.attribute(one)
        assert (row.path, row.predicted) == (Path("green.png"), NAMES[1])
    for folder in (tmp_path, str(tmp_path), [str(tmp_path)]):
        rows = list(attributor.attribute(folder))
        assert [(row.path, row.predicted) for row in rows] == [(green, NAMES[1]), (blue, NAMES[2])]
    (row,) = attributor.attribute("gone.png")
    assert (row.path, row.predicted) == (Path("gone.png"), None)
    assert row.reason == row.error == "cannot be read (No such file or directory)"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="images empty: found an empty folder, expected images"):
        attributor.attribute("empty")
    with pytest.raises(TypeError):
        attributor.attribute(5)


def test_images_from_memory_are_answered_as_their_files(attributor, tmp_path):
    pixels = noise(3, side=24)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, x in zip(paths, pixels, strict=True):
        images.write_png(path, x)
    expected = [replace(row, path=None) for row in attributor.attribute(paths)]
    assert list(attributor.attribute(pixels)) == expected
    assert list(attributor.attribute(pixels[1])) == expected[1:2]
    mixed = [pixels[:2], Image.open(paths[2]), paths[0]]
    assert list(attributor.attribute(mixed)) == [*expected, next(attributor.attribute(paths[0]))]
    for wrong in (pixels / 255, pixels[..., :1], pixels[0, 0]):
        with pytest.raises(ValueError, match=r"expected uint8 \[N, H, W, 3\]"):
            attributor.attribute(wrong)


def test_images_of_pillow_are_read_as_files_and_stay_as_they_are(attributor, tmp_path):
    picture = Image.new("P", (20, 16), 1)
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.info["transparency"] = 1
    (row,) = attributor.attribute(picture)
    assert row.most_probable == NAMES[1]
    assert (picture.mode, picture.info) == ("P", {"transparency": 1})
    turned = Image.fromarray(noise(1, 24)[0, :12])
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    (row,) = attributor.attribute(Image.open(tmp_path / "turned.png"))
    assert replace(row, path=tmp_path / "turned.png") == next(
        attributor.attribute(tmp_path / "turned.png")
    )
    whole = flat(tmp_path / "whole.jpg", BLUE, size=(64, 64)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:-40])
    (row,) = attributor.attribute(Image.open(tmp_path / "cut.jpg"))
    assert row.reason == next(attributor.attribute(tmp_path / "cut.jpg")).reason
    assert "truncated" in row.error


def test_rules_say_which_images_are_inconclusive(network, tmp_path):
    pixels = np.full([16, 16, 3], (140, 127, 127), np.uint8)  # 0.4 of the probability for red
    likely = expected(pixels[None])[0, 0]
    for least, name in ((likely - 1e-3, NAMES[0]), (likely + 1e-3, "inconclusive")):
        attributor = Attributor(network, NAMES, 16, batch=2, rules=Rules(least, 1))
        assert next(attributor.attribute(pixels)).predicted == name
        (small,) = attributor.attribute(pixels[:15])
        assert small.predicted == "inconclusive"
        assert small.reason == "its shorter side has 15 pixels, less than 1 of the network's 16"


class Calibrated:
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
    return Attributor(Calibrated(), NAMES, resolution=16, batch=4, calibration=calibration)


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
