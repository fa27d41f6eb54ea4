"""Files hashed and described."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import formats, images
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.finding import find
from gan_fingerprints.attribution.seeing import Whole
from gan_fingerprints.examiner import evidence
from gan_fingerprints.examiner.evidence import Header


def test_what_is_hashed_is_what_is_decoded(pictures):
    for path in find([pictures], "PATH").paths:
        found = evidence.read(path, Whole(16))
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        if found.error is None:
            expected = images.resize(images.read_image(path), 16)
            np.testing.assert_array_equal(found.pixels, expected[None])
        else:
            assert found.pixels is None
            assert path.name not in found.error


def test_bad_files_keep_what_is_known_of_them(pictures, tmp_path, monkeypatch):
    text = evidence.read(pictures / "text called.png", Whole(16))
    assert text.header is None
    assert text.error == f"found something else than a {formats.IN_WORDS} image"
    cut = evidence.read(pictures / "cut.jpg", Whole(16))
    assert cut.header == Header("JPEG", "L", (24, 24), 1, 1, 75)
    assert "truncated" in cut.error
    monkeypatch.setattr(answering, "MAX_BYTES", 100)
    large = evidence.read(pictures / "fits.png", Whole(16))
    assert large.sha256 == evidence.hashlib.sha256((pictures / "fits.png").read_bytes()).hexdigest()
    assert large.error == "larger than 100 bytes"


@pytest.mark.parametrize(
    ("name", "header", "words"),
    [
        ("fits.png", Header("PNG", "RGB", (16, 16), 1, 1),
         "PNG of 16×16 pixels decoded; not resized; levels 0 to 255 scaled to -1 to 1"),
        ("grey.jpg", Header("JPEG", "L", (24, 24), 1, 1, 75),
         "JPEG of 24×24 pixels decoded; colours converted from L to RGB; whole image resized from "
         "24×24 to 16×16 with Pillow's Lanczos filter; levels 0 to 255 scaled to -1 to 1"),
        ("oblong.png", Header("PNG", "RGBA", (24, 20), 1, 1),
         "PNG of 24×20 pixels decoded; colours converted from RGBA to RGB, transparency dropped; "
         "whole image resized from 24×20 to 16×16 with Pillow's Lanczos filter, which changes its "
         "proportions; levels 0 to 255 scaled to -1 to 1"),
        ("turned.jpg", Header("JPEG", "RGB", (24, 12), 6, 1, 75),
         "JPEG of 24×12 pixels decoded; turned clockwise as its EXIF orientation says; whole image "
         "resized from 12×24 to 16×16 with Pillow's Lanczos filter, which changes its "
         "proportions; levels 0 to 255 scaled to -1 to 1"),
        ("Unter ordner/pages.tif", Header("TIFF", "RGB", (24, 24), 1, 2),
         "TIFF of 24×24 pixels decoded; first of 2 pictures taken; whole image resized from 24×24 "
         "to 16×16 with Pillow's Lanczos filter; levels 0 to 255 scaled to -1 to 1"),
    ],
)  # fmt: skip
def test_what_was_done_before_the_network(pictures, name, header, words):
    found = evidence.read(pictures / name, Whole(16))
    assert found.header == header
    done = evidence.preprocessing(found.header, 16)
    assert done["in_words"] == words
    assert done["filter"] == (None if name == "fits.png" else "Lanczos")
    assert done["resized_from"] == list(header.upright)
    assert done["frame"] == f"1 of {header.frames}"


def test_every_orientation_is_named_as_pillow_applies_it():
    assert set(evidence.TURNS) == set(range(2, 9))
    for orientation in range(1, 9):
        upright = Header("JPEG", "RGB", (3, 2), orientation, 1).upright
        exif = Image.Exif()
        exif[images.ORIENTATION] = orientation
        image = Image.new("RGB", (3, 2))
        image.info["exif"] = exif.tobytes()
        image.getexif()[images.ORIENTATION] = orientation
        assert evidence.images.ImageOps.exif_transpose(image).size == upright


def test_thumbnails_keep_the_shape(pictures):
    assert evidence.read(pictures / "oblong.png", Whole(16)).thumbnail is None
    found = evidence.read(pictures / "turned.jpg", Whole(16), thumbnail=True)
    with Image.open(evidence.io.BytesIO(found.thumbnail)) as image:
        assert (image.format, image.size) == ("JPEG", (12, 24))
