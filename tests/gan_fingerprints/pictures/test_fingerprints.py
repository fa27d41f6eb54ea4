"""The pictures of fingerprints and responses against those that the published program wrote."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.attribution import tables
from gan_fingerprints.attribution.answering import Picture
from gan_fingerprints.attribution.summary import summarize
from gan_fingerprints.attribution.verdict import row_of
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures

NAMES = ["CelebA_real_data", *(f"{gan}_generated_data" for gan in
         ("ProGAN", "SNGAN", "CramerGAN", "MMDGAN"))]  # fmt: skip
STEMS = ["img00", "img01", "img02", "img03_gray", "img04_rgba", "img05_64", "img06_100x150",
         "img07"]  # fmt: skip
GREY = 3  # the one image whose fingerprint stays within ±1, where published pictures wrap around


@pytest.fixture(scope="module")
def folder(reference):
    return reference("visnet/folder")


def read(path):
    return np.asarray(Image.open(path)).astype(np.float64)


def response_name(stem, name):
    return f"{stem}_image_fingerprint_responding_to_model_fingerprint_{name}.png"


@pytest.fixture(scope="module")
def models(folder):
    """Model fingerprints [128, 128, 3, 5] regained from the pictures: fresh ones are N(0, 1)."""
    shown = np.stack([read(folder / f"model_fingerprint_{n}.png") for n in NAMES], axis=-1) + 0.5
    return (shown - 120.65) / shown.std()


def regained(folder, stem):
    """An image fingerprint within ±1 from its picture, whose values were cut, not rounded."""
    return (read(folder / f"{stem}_image_fingerprint.png") + 0.5) / 127.5 - 1


def test_model_fingerprints_span_the_range_together(folder, models):
    ours = fingerprint_pictures.of_models(models).astype(int)
    published = np.stack([read(folder / f"model_fingerprint_{n}.png") for n in NAMES])
    assert np.abs(ours - published).max() <= 1
    assert (ours.min(), ours.max()) == (0, 255)
    assert ours[0].max() < 240  # not each by itself


def test_image_fingerprint_has_the_published_range(folder):
    published = read(folder / "img03_gray_image_fingerprint.png")
    ours = fingerprint_pictures.of_image(regained(folder, "img03_gray")).astype(int)
    assert np.abs(ours - published).max() <= 1


def test_what_is_beyond_the_range_is_saturated_not_wrapped():
    found = fingerprint_pictures.of_image(np.array([-2, -1, 0, 1, 2.0]))
    np.testing.assert_array_equal(found, [0, 0, 128, 255, 255])


@pytest.mark.parametrize("k", range(5))
def test_responses_match(folder, models, k):
    published = read(folder / response_name("img03_gray", NAMES[k]))
    fingerprint = regained(folder, "img03_gray")
    ours = fingerprint_pictures.response(fingerprint, models[..., k]).astype(int)
    # Where a channel's product is nearly 0, the rounding of the pictures decides its sign.
    clear = (np.abs(fingerprint * models[..., k]) > 0.05).all(axis=-1)
    assert clear.mean() > 0.2
    assert np.abs(ours - published)[clear].max() <= 2
    assert (np.abs(ours - published) <= 2).mean() > 0.97
    assert (published > 128).mean() > 0.05


def test_contributions_add_up_to_what_decides(folder, models):
    fingerprint = regained(folder, "img03_gray")
    shown = fingerprint_pictures.contributions(fingerprint, models).astype(float)
    assert shown.shape == (5, 128, 128, 3)
    red, blue = (255 - shown).sum(axis=-1), shown[..., 0] < shown[..., 2]
    reached = {True: 3 * 255 - sum(fingerprint_pictures.AGAINST),
               False: 3 * 255 - sum(fingerprint_pictures.FOR)}  # fmt: skip
    signed = np.where(blue, -red / reached[True], red / reached[False])
    shares = np.einsum("hwc,hwcs->shw", fingerprint, models)
    strongest = np.percentile(np.abs(shares), fingerprint_pictures.BRIGHTEST)
    np.testing.assert_allclose(signed, np.clip(shares / strongest, -1, 1), atol=0.015)
    order = np.argsort(np.tensordot(fingerprint, models, 3))
    np.testing.assert_array_equal(np.argsort(signed.sum(axis=(1, 2))), order)


def test_red_speaks_for_a_source_and_blue_against_it():
    fingerprint = np.zeros((4, 4, 3))
    fingerprint[0, :2] = 1
    models = np.ones((4, 4, 3, 2))
    models[0, 1, :, 1] = -1
    shown = fingerprint_pictures.contributions(fingerprint, models)
    assert tuple(shown[0, 0, 0]) == tuple(shown[1, 0, 0]) == fingerprint_pictures.FOR
    assert tuple(shown[1, 0, 1]) == fingerprint_pictures.AGAINST
    assert (shown[:, 1:] == 255).all()


def test_logits_follow_from_the_pictures(folder, models, reference):
    published = np.load(reference("visnet/folder.npz"))[f"call{GREY:02d}_EGs_out2"][0]
    fingerprint = regained(folder, "img03_gray")
    logits = np.tensordot(fingerprint, models, 3) / np.sqrt(fingerprint.size)
    assert np.abs(logits - published).max() < 0.02
    assert np.abs(published).max() > 0.4


def test_printed_lines_are_the_published_ones(reference):
    calls = np.load(reference("visnet/folder.npz"))
    rows = []
    for i, stem in enumerate(STEMS):
        suffix = ".jpg" if stem == "img07" else ".png"
        logits = calls[f"call{i:02d}_EGs_out2"][0]
        rows.append(row_of(Picture(Path(stem + suffix)), logits, NAMES))
    lines = [tables.line(i, len(rows), row) for i, row in enumerate(rows)]
    printed = "\n".join([*lines, summarize(rows, None, NAMES)])
    published = reference("visnet/folder.stdout.txt").read_text().splitlines()
    assert printed.splitlines() == published[2:]  # after "Initializing…" and "Loading…"


def test_file_names_are_the_published_ones(reference):
    published = set(reference("visnet/folder.names.txt").read_text().split())
    ours = {f"model_fingerprint_{name}.png" for name in NAMES}
    for stem in STEMS:
        ours |= {f"{stem}_image_fingerprint.png", *(response_name(stem, n) for n in NAMES)}
    assert ours == published
