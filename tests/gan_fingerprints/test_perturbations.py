"""Every attack has happened as its parameters say, and depends on nothing else."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import fft, ndimage

from gan_fingerprints import perturbations
from gan_fingerprints.data import sample_photos
from gan_fingerprints.perturbations import NAMES, SINGLE, Perturbation

# ITU-T T.81, table K.1: the luminance table that libjpeg scales.
LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    sample_photos.write_crops(folder, 1, 128, seed=3)
    (path,) = folder.iterdir()
    return np.asarray(Image.open(path).convert("RGB"))


def test_noise_has_the_drawn_deviation():
    grey = np.full((128, 128, 3), 128, np.uint8)
    for key in range(20):
        attacked, drawn = Perturbation("noise", seed=1)(grey, key)
        sigma = drawn["noise"]["sigma"]
        assert 5 <= sigma <= 20
        values = attacked.astype(float) - 128
        # Rounding adds 1/12 to the variance; the standard error of a deviation is σ/√(2n).
        expected = np.sqrt(sigma**2 + 1 / 12)
        assert abs(values.std() - expected) < 3.5 * expected / np.sqrt(2 * values.size)
        assert abs(values.mean()) < 4 * expected / np.sqrt(values.size)


def test_noise_by_variance():
    sigmas = [
        Perturbation("noise", noise="variance").parameters(i)["noise"]["sigma"] for i in range(500)
    ]
    assert np.mean(np.square(sigmas)) == pytest.approx(12.5, abs=3 * 15 / np.sqrt(12 * 500))


def test_blur_turns_an_impulse_into_its_kernel():
    impulse = np.zeros((31, 31, 3), np.uint8)
    impulse[15, 15] = 255
    sizes = set()
    for key in range(40):
        attacked, drawn = Perturbation("blur", seed=2)(impulse, key)
        size, sigma = drawn["blur"]["size"], drawn["blur"]["sigma"]
        sizes.add(size)
        if size == 1:
            np.testing.assert_array_equal(attacked, impulse)
            continue
        assert sigma == pytest.approx(0.3 * ((size - 1) / 2 - 1) + 0.8)
        x = np.arange(size) - size // 2
        kernel = np.exp(-(x**2) / (2 * sigma**2))
        kernel /= kernel.sum()
        window = slice(15 - size // 2, 16 + size // 2)
        expected = np.rint(255 * np.outer(kernel, kernel))
        np.testing.assert_allclose(attacked[window, window, 1], expected, atol=1)
        assert attacked[:, :, 1].sum() == attacked[window, window, 1].sum()
    assert sizes == {1, 3, 5, 7, 9}


def test_blur_is_that_of_scipy(photo):
    kernel = perturbations.gaussian_kernel(7, 1.4)
    expected = photo.astype(float)
    for axis in (0, 1):
        expected = ndimage.convolve1d(expected, kernel, axis, mode="mirror")
    np.testing.assert_allclose(perturbations.blur(photo, 7, 1.4), expected, atol=0.51)


def test_crop_offset_and_share_can_be_recovered():
    """Columns and rows whose values are their numbers."""
    ramp = np.zeros((101, 201, 3), np.uint8)
    ramp[..., 0] = np.arange(201)
    ramp[..., 1] = np.arange(101)[:, None]
    for key in range(20):
        attacked, drawn = Perturbation("cropping", seed=3)(ramp, key)
        share, left, top = drawn["cropping"].values()
        assert 0.05 <= share <= 0.2
        assert attacked.shape == ramp.shape
        columns, rows = round(201 * share), round(101 * share)
        assert attacked[50, 0, 0] == pytest.approx(round(left * columns), abs=1)
        assert attacked[50, -1, 0] == pytest.approx(200 - columns + round(left * columns), abs=1)
        assert attacked[0, 100, 1] == pytest.approx(round(top * rows), abs=1)
        assert attacked[-1, 100, 1] == pytest.approx(100 - rows + round(top * rows), abs=1)


def test_jpeg_tables_are_those_of_the_drawn_quality(photo):
    for key in range(20):
        attacked, drawn = Perturbation("compression", seed=4)(photo, key)
        quality = drawn["compression"]["quality"]
        assert 10 <= quality <= 75
        content = perturbations.jpeg(photo, quality)
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        expected = np.clip((LUMINANCE * scale + 50) // 100, 1, 255)
        with Image.open(io.BytesIO(content)) as file:
            assert list(file.quantization[0]) == expected.tolist()
            np.testing.assert_array_equal(attacked, np.asarray(file.convert("RGB")))
        assert len(content) < photo.size / 4
        assert np.abs(attacked.astype(int) - photo).mean() > 0.5


def test_relighting_changes_low_frequencies_only(photo):
    """Of the logarithm of after/before, 99 % of the energy is below four waves per side."""
    smooth = 60 + photo // 3  # nothing saturates
    changes = []
    for key in range(10):
        attacked, drawn = Perturbation("relighting", seed=5)(smooth, key)
        assert len(drawn["relighting"]["light"]) == 9
        ratio = np.log(attacked.mean(axis=2) / smooth.mean(axis=2))
        if attacked.max() == 255:
            continue
        energy = fft.dctn(ratio - ratio.mean(), norm="ortho") ** 2
        low = energy[:8, :8].sum()  # index k is k/2 waves
        assert low / energy.sum() > 0.99
        changes.append(ratio.std())
        assert attacked.mean() == pytest.approx(smooth.mean(), rel=0.05)
    assert len(changes) >= 5
    assert min(changes) > 0.05


def test_combination_takes_each_with_probability_one_half():
    drawn = [Perturbation("combination", seed=6).parameters(i) for i in range(1000)]
    for name in perturbations.IN_COMBINATION:
        share = np.mean([name in one for one in drawn])
        assert share == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(1000))
    for one in drawn:
        places = [perturbations.IN_COMBINATION.index(name) for name in one]
        assert places == sorted(places)


def test_combination_applies_what_it_names(photo):
    attacked, drawn = Perturbation("combination", seed=0)(photo, "some/file.png")
    expected = photo
    for name in perturbations.IN_COMBINATION:
        if name in drawn:
            expected = SINGLE[name].apply(expected, **drawn[name])
    assert drawn
    np.testing.assert_array_equal(attacked, expected)


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_is_the_identity_and_one_is_not(name, photo):
    changed = 0
    for key in range(8):
        same, _ = Perturbation(name, seed=7, strength=0)(photo, key)
        np.testing.assert_array_equal(same, photo)
        changed += not np.array_equal(Perturbation(name, seed=7)(photo, key)[0], photo)
    assert changed >= 4


@pytest.mark.parametrize("name", NAMES)
def test_seed_and_key_decide_alone(name, photo):
    attack = Perturbation(name, seed=8)
    first = attack(photo, "a.png")
    attack(photo, "b.png")
    again = attack(photo, "a.png")
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    others = [attack.parameters(f"{i}.png") for i in range(20)]
    assert any(other != first[1] for other in others)
    assert Perturbation(name, seed=9).parameters("a.png") != first[1] or name == "blur"


@pytest.mark.parametrize("side", [4, 7, 32])
@pytest.mark.parametrize("name", NAMES)
def test_small_and_black_images(name, side):
    black = np.zeros((side, side, 3), np.uint8)
    for key in range(5):
        attacked, _ = Perturbation(name, seed=10)(black, key)
        assert attacked.shape == black.shape
        assert attacked.dtype == np.uint8


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"sharpening.*expected one of noise, blur"):
        Perturbation("sharpening")
    with pytest.raises(ValueError, match="strength=-1"):
        Perturbation("noise", strength=-1)
    with pytest.raises(ValueError, match="expected sigma or variance"):
        Perturbation("noise", noise="power")
