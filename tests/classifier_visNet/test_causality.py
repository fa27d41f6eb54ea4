"""Fingerprints decide: adding one moves the attribution, a random pattern does not."""

import json

import numpy as np
import pytest
from PIL import Image

from classifier_visNet import causality
from classifier_visNet.networks import AutoEncoder
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError

SOURCES = ["marked_a", "marked_b", "real"]
ALPHA = 6.0


@pytest.fixture(scope="module")
def attributor(visnet_model):
    loaded = files.load(
        visnet_model / "network-final.safetensors", {"visnet_autoencoder": AutoEncoder}, "--m"
    )
    return Attributor.of(loaded, batch=60, fingerprints=True)


@pytest.fixture(scope="module")
def predict(attributor):
    return lambda pixels: np.array(
        [x.logits.argmax() for x in attributor.answers(pixels[:, None])], int
    )


@pytest.fixture(scope="module")
def test_images(visnet_folders):
    return causality.read_sources(visnet_folders / "test", SOURCES, 16, 40)


def effect_of(predict, test_images, models):
    (effect,) = causality.measure(predict, *test_images, models, [ALPHA])
    return effect


@pytest.mark.slow
def test_fingerprints_move_the_attribution_and_noise_does_not(attributor, predict, test_images):
    models = np.moveaxis(attributor.model_fingerprints, 3, 0)
    effect = effect_of(predict, test_images, models)
    print(effect)
    assert effect.added > 0.8
    assert effect.added_random < 0.15
    assert effect.removed > 0.8
    assert effect.removed_random < 0.15
    assert effect.psnr > 18


@pytest.mark.slow
def test_wrong_fingerprints_do_not(attributor, predict, test_images):
    """The negative control: the same numbers at other pixels."""
    models = np.moveaxis(attributor.model_fingerprints, 3, 0)
    shuffled = np.random.default_rng(0).permuted(models.reshape(3, -1), axis=1)
    effect = effect_of(predict, test_images, shuffled.reshape(models.shape))
    assert effect.added < 0.2
    assert effect.removed < 0.2


def test_strength_is_what_was_asked_for():
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 150, (3, 32, 32, 3)).astype(np.uint8)
    pattern = causality.unit_patterns(rng.standard_normal((1, 32, 32, 3)))[0]
    changed = causality.changed(pixels, pattern, 4.0)
    difference = (changed.astype(float) - pixels) / 127.5
    assert np.linalg.norm(difference[0]) == pytest.approx(4, rel=0.01)
    # Peak 2, mean square 16 / (32·32·3).
    expected = 10 * np.log10(4 * 32 * 32 * 3 / 16)
    np.testing.assert_allclose(causality.psnr(pixels, changed), expected, atol=0.1)


def test_least_strength_is_chosen():
    effects = [causality.Effect(a, 30, share, 0, 0, 0) for a, share in ((1, 0.2), (2, 0.91))]
    assert causality.least_strong(effects).alpha == 2
    assert causality.least_strong(effects[:1]).alpha == 1


def test_a_folder_without_known_sources_is_refused(tmp_path):
    for name in ("real", "stranger"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (16, 16)).save(tmp_path / name / "a.png")
    with pytest.raises(UserError, match="subfolders of 1 sources of this network"):
        causality.read_sources(tmp_path, SOURCES, 16, 10)


@pytest.mark.slow
def test_program_writes_numbers_and_figures(visnet_model, visnet_folders, tmp_path, run_script):
    done = run_script(
        "classifier_visNet/causality.py", "--model_path",
        visnet_model / "network-final.safetensors", "--testing_data_path",
        visnet_folders / "test", "--out_dir", tmp_path / "out", "--alphas", "1,6",
        "--num_images", 10,
    )  # fmt: skip
    assert "PSNR/dB" in done.stdout
    effects = json.loads((tmp_path / "out" / "causality.json").read_text())
    assert [effect["alpha"] for effect in effects] == [1, 6]
    assert effects[1]["added"] > effects[0]["added"]
    for name in ("causality.png", "examples.png"):
        assert min(Image.open(tmp_path / "out" / name).size) > 300
