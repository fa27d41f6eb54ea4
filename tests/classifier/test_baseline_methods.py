"""The baselines against plain scikit-learn, and on images whose source is known."""

import numpy as np
import pytest
import pywt
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from classifier import baseline_methods
from classifier.baseline_methods import Eigenface, Images, NearestNeighbours, Prnu
from gan_fingerprints.program import UserError

SOURCES, SIDE = 3, 32


def textures(rng, number):
    """Smooth random pictures."""
    coarse = rng.normal(128, 40, (number, 4, 4, 3))
    return np.kron(coarse, np.ones((1, SIDE // 4, SIDE // 4, 1)))


def marked(seed, number, strength=6.0):
    """Pictures with the noise pattern of their source."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).normal(size=(SOURCES, SIDE, SIDE, 3))
    labels = rng.permutation(np.arange(number) % SOURCES)
    pixels = (
        textures(rng, number)
        + strength * patterns[labels]
        + rng.normal(0, 2, (number, SIDE, SIDE, 3))
    )
    return Images(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labels, SOURCES)


@pytest.fixture(scope="module")
def splits():
    return marked(0, 150), marked(1, 60), marked(2, 90)


def test_neighbours_are_those_of_scikit_learn(splits):
    train, validation, test = splits
    ours = NearestNeighbours()
    trials = ours.fit(train, validation)
    for trial in trials:
        k = trial.parameters["k"]
        plain = KNeighborsClassifier(k, algorithm="brute")
        plain.fit(train.pixels.reshape(150, -1).astype(float), train.labels)
        x = validation.pixels.reshape(60, -1).astype(float)
        assert trial.accuracy == pytest.approx(plain.score(x, validation.labels))
        ours.parameters = {"k": k}
        shares = plain.predict_proba(test.pixels.reshape(90, -1).astype(float))
        np.testing.assert_allclose(ours.scores(test.pixels), shares, atol=1e-12)
    assert [trial.parameters["k"] for trial in trials] == [1, 3, 5, 9, 17, 33, 65, 129]


def test_eigenface_is_that_of_scikit_learn(splits):
    train, validation, test = splits
    ours = Eigenface()
    trials = ours.fit(train, validation)
    assert len(trials) == 16
    best = max(trials, key=lambda trial: trial.accuracy)
    assert ours.parameters == best.parameters

    def flat(images):
        return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1

    plain = make_pipeline(
        PCA(best.parameters["variance"], svd_solver="full"),
        LinearSVC(C=best.parameters["C"], dual="auto", random_state=0, max_iter=5000),
    ).fit(flat(train.pixels), train.labels)
    assert len(ours.components) == plain[0].n_components_
    expected = plain.decision_function(flat(test.pixels))
    np.testing.assert_allclose(ours.scores(test.pixels), expected, atol=2e-2)
    agreement = np.mean(ours.scores(test.pixels).argmax(1) == plain.predict(flat(test.pixels)))
    assert agreement > 0.99


def test_prnu_finds_patterns_and_only_them(splits):
    train, validation, test = splits
    method = Prnu()
    trials = method.fit(train, validation)
    assert {trial.parameters["levels"] for trial in trials} <= {1, 2, 3, 4}
    accuracy = np.mean(method.scores(test.pixels).argmax(axis=1) == test.labels)
    assert accuracy > 0.97
    assert np.abs(method.scores(test.pixels)).max() <= 1

    shuffled = Images(train.pixels, np.random.default_rng(0).permutation(train.labels), SOURCES)
    blank = [marked(seed, number, strength=0.0) for seed, number in ((3, 120), (4, 60), (5, 240))]
    assert shuffled.labels.tolist() != train.labels.tolist()
    method.fit(*blank[:2])
    chance = np.mean(method.scores(blank[2].pixels).argmax(axis=1) == blank[2].labels)
    assert abs(chance - 1 / 3) < 4 * np.sqrt(2 / 9 / 240)


def test_noise_residual_of_one_level_against_plain_loops():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 16, 16, 1), np.uint8)
    low, bands = pywt.wavedec2(image[0, ..., 0].astype(float), "db4", level=1)
    sigma, noise = 4.0, []
    for band in bands:
        share = np.empty_like(band)
        for i, j in np.ndindex(*band.shape):
            means = []
            for size in (3, 5, 7, 9):
                radius = size // 2
                padded = np.pad(band**2, radius, mode="symmetric")
                means.append(padded[i : i + size, j : j + size].mean())
            signal = max(0.0, min(means) - sigma**2)
            share[i, j] = sigma**2 / (signal + sigma**2)
        noise.append(band * share)
    expected = pywt.waverec2([np.zeros_like(low), tuple(noise)], "db4")[:16, :16]
    found = baseline_methods.noise_residual(image, 1, sigma)[0, ..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_residual_of_noise_is_the_noise():
    """On flat grey, nearly all of the noise is taken for noise but for its lowest band."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, (4, 64, 64, 3))
    images = np.clip(np.rint(128 + noise), 0, 255).astype(np.uint8)
    residual = baseline_methods.noise_residual(images, 3, 5.0)
    correlation = np.corrcoef(residual.ravel(), noise.ravel())[0, 1]
    assert correlation > 0.98


@pytest.mark.parametrize("method", baseline_methods.METHODS)
def test_saved_and_loaded_is_the_same(method, splits, tmp_path):
    train, validation, test = splits
    fitted = baseline_methods.METHODS[method]()
    fitted.fit(train, validation)
    path = tmp_path / "baseline.safetensors"
    fitted.save(path, {"source_names": ["a", "b", "c"]})
    loaded, header = baseline_methods.load(path, "--model_path")
    assert header["source_names"] == ["a", "b", "c"]
    assert loaded.parameters == fitted.parameters
    np.testing.assert_array_equal(loaded.scores(test.pixels[:9]), fitted.scores(test.pixels[:9]))


def test_two_sources(splits):
    train, validation, test = (
        Images(s.pixels[s.labels < 2], s.labels[s.labels < 2], 2) for s in splits
    )
    for method in baseline_methods.METHODS.values():
        fitted = method()
        fitted.fit(train, validation)
        assert fitted.scores(test.pixels).shape == (len(test.pixels), 2)
    assert np.mean(fitted.scores(test.pixels).argmax(axis=1) == test.labels) > 0.97


def test_something_else_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a baseline of ours"):
        baseline_methods.load(path, "--model_path")
