"""Images as another generator might have made them: each kind does what it says, and repeats."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from gan_fingerprints import pseudo_unknowns
from gan_fingerprints.pseudo_unknowns import KINDS, PseudoUnknown

PHOTO = data.astronaut()[100:164, 200:264]
FLAT = np.full((32, 32, 3), 100, np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_same_seed_and_key_give_the_same_image_and_others_do_not() -> None:
    one = PseudoUnknown(3)(PHOTO, "a.png")
    np.testing.assert_array_equal(one, PseudoUnknown(3)(PHOTO, "a.png"))
    assert one.dtype == np.uint8
    assert one.shape == PHOTO.shape
    assert (one != PseudoUnknown(3)(PHOTO, "b.png")).any()
    assert (one != PseudoUnknown(4)(PHOTO, "a.png")).any()


def test_every_kind_is_drawn_as_often() -> None:
    drawn = [
        int(pseudo_unknowns.keyed_random(0, "pseudo-unknown", i).integers(len(KINDS)))
        for i in range(1000)
    ]
    # Four standard deviations of a binomial of 1,000 and 1/5.
    assert np.abs(np.bincount(drawn, minlength=5) - 200).max() < 4 * np.sqrt(160)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_fine_detail_changes_and_content_stays(kind) -> None:
    x = PHOTO.astype(np.float32)
    for seed in range(20):
        made = kind(x, rng(seed))
        assert made.shape == x.shape
        assert 0.2 < np.abs(made - x).mean() < 12, seed
        content = [ndimage.gaussian_filter(y, (4, 4, 0)).ravel() for y in (x, made)]
        assert np.corrcoef(*content)[0, 1] > 0.99, seed


def test_filters_leave_flat_images_as_they_are() -> None:
    np.testing.assert_allclose(pseudo_unknowns.filtered(FLAT, rng()), FLAT, atol=1e-3)
    np.testing.assert_allclose(pseudo_unknowns.remixed(FLAT, rng()), FLAT, atol=1e-3)


def test_filters_are_two_convolutions_with_kernels_that_add_up_to_one() -> None:
    point = np.zeros((9, 9, 3), np.float32)
    point[4, 4] = 100
    answer = pseudo_unknowns.filtered(point, rng())
    np.testing.assert_allclose(answer.sum(axis=(0, 1)), 100, rtol=1e-5)
    assert not answer[:2].any()
    assert answer[2:7, 2:7].all()  # 5×5 pixels, all colours alike
    np.testing.assert_array_equal(answer[:, :, 0], answer[:, :, 1])


def test_patterns_repeat_and_are_as_strong_as_said() -> None:
    periods = set()
    for seed in range(20):
        added = pseudo_unknowns.patterned(FLAT, rng(seed)) - FLAT
        period = next(
            p for p in (2, 4, 8) if np.allclose(added[p:], added[:-p], atol=1e-4)
            and np.allclose(added[:, p:], added[:, :-p], atol=1e-4)
        )  # fmt: skip
        periods.add(period)
        np.testing.assert_allclose(added.mean(axis=(0, 1)), 0, atol=1e-4)
        assert 0.25 < added.std() < 3.01
    assert periods == {2, 4, 8}


def test_remixing_changes_residuals_linearly() -> None:
    x = PHOTO.astype(np.float32)
    blurred = ndimage.convolve(x, pseudo_unknowns.BINOMIAL[:, :, None], mode="mirror")
    made = pseudo_unknowns.remixed(x, rng())
    mixing, left, *_ = np.linalg.lstsq(
        (x - blurred).reshape(-1, 3), (made - blurred).reshape(-1, 3), rcond=None
    )
    assert left.max() < 1e-2
    expected = np.eye(3) + 0.35 * rng().standard_normal((3, 3))
    np.testing.assert_allclose(mixing, expected, atol=1e-3)


def test_regenerating_keeps_odd_sizes_and_gives_flat_images_a_faint_pattern() -> None:
    made = pseudo_unknowns.regenerated(np.full((33, 31, 3), 100, np.float32), rng())
    assert made.shape == (33, 31, 3)
    inner = made[4:-4, 4:-4]
    assert 0.01 < inner.std() < 6
    np.testing.assert_allclose(inner[2:], inner[:-2], atol=1e-3)
    np.testing.assert_allclose(inner[:, 2:], inner[:, :-2], atol=1e-3)
