"""Files found, hashed and described."""

import hashlib
import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.examiner import evidence
from gan_fingerprints.examiner.evidence import Header
from gan_fingerprints.program import UserError


def test_folders_are_searched_below_and_no_file_comes_twice(pictures):
    found = evidence.find([pictures / "small.bmp", pictures, pictures / "Unter ordner"], "PATH")
    names = [str(path.relative_to(pictures)) for path in found.paths]
    assert names == ["small.bmp", "cut.jpg", "fits.png", "grey.jpg", "oblong.png",
                     "text called.png", "turned.jpg", "Unter ordner/pages.tif"]  # fmt: skip
    assert found.left_out == {".txt": 1, "hidden": 1}
    assert evidence.listed(found.left_out) == ".txt 1, hidden 1"


def test_a_file_that_is_named_itself_is_taken_whatever_its_ending(pictures, tmp_path):
    path = tmp_path / "evidence.bin"
    path.write_bytes((pictures / "fits.png").read_bytes())
    assert evidence.find([path], "PATH").paths == [path]
    with pytest.raises(UserError, match=r"found no image but other files \(\.bin 1\), expected"):
        evidence.find([tmp_path], "PATH")


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"PATH .*wrong: found nothing, expected an image or"):
        evidence.find([tmp_path / "wrong"], "PATH")
    with pytest.raises(UserError, match="found an empty folder, expected images"):
        evidence.find([tmp_path], "PATH")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="found no plain file"):
        evidence.find([tmp_path / "pipe.png"], "PATH")
    with pytest.raises(UserError, match=r"other files \(\.png 1\)"):  # and is not waited for
        evidence.find([tmp_path], "PATH")


def test_links_are_followed_but_not_in_circles(pictures, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    (tmp_path / "a" / "elsewhere").symlink_to(pictures / "Unter ordner")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    found = evidence.find([tmp_path], "PATH").paths
    assert found == [tmp_path / "broken.png", tmp_path / "a" / "elsewhere" / "pages.tif"]
    broken = evidence.read(found[0], 16)
    assert (broken.sha256, broken.pixels) == (None, None)
    assert broken.error == "cannot be read (No such file or directory)"


def test_a_folder_that_cannot_be_listed_becomes_a_row(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    images.write_png(tmp_path / "a.png", np.zeros([4, 4, 3], np.uint8))
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = evidence.find([tmp_path], "PATH")
    assert found.paths == [tmp_path / "a.png", tmp_path / "closed"]
    error = evidence.read(found.paths[1], 16).error
    assert error.startswith("a folder that cannot be listed")


def test_what_is_hashed_is_what_is_decoded(pictures):
    for path in evidence.find([pictures], "PATH").paths:
        found = evidence.read(path, 16)
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        if found.error is None:
            expected = images.resize(images.read_image(path), 16)
            np.testing.assert_array_equal(found.pixels, expected)
        else:
            assert found.pixels is None
            assert path.name not in found.error


def test_bad_files_keep_what_is_known_of_them(pictures, tmp_path, monkeypatch):
    text = evidence.read(pictures / "text called.png", 16)
    assert text.header is None
    assert text.error == "found something else than a PNG, JPEG, WebP, BMP or TIFF image"
    cut = evidence.read(pictures / "cut.jpg", 16)
    assert cut.header == Header("JPEG", "L", (24, 24), 1, 1)
    assert "truncated" in cut.error
    monkeypatch.setattr(evidence, "MAX_BYTES", 100)
    large = evidence.read(pictures / "fits.png", 16)
    assert large.sha256 == evidence.hashlib.sha256((pictures / "fits.png").read_bytes()).hexdigest()
    assert large.error == "larger than 100 bytes"


@pytest.mark.parametrize(
    ("name", "header", "words"),
    [
        ("fits.png", Header("PNG", "RGB", (16, 16), 1, 1),
         "PNG of 16×16 pixels decoded; not resized; levels 0 to 255 scaled to -1 to 1"),
        ("grey.jpg", Header("JPEG", "L", (24, 24), 1, 1),
         "JPEG of 24×24 pixels decoded; colours converted from L to RGB; whole image resized from "
         "24×24 to 16×16 with Pillow's Lanczos filter; levels 0 to 255 scaled to -1 to 1"),
        ("oblong.png", Header("PNG", "RGBA", (24, 20), 1, 1),
         "PNG of 24×20 pixels decoded; colours converted from RGBA to RGB, transparency dropped; "
         "whole image resized from 24×20 to 16×16 with Pillow's Lanczos filter, which changes its "
         "proportions; levels 0 to 255 scaled to -1 to 1"),
        ("turned.jpg", Header("JPEG", "RGB", (24, 12), 6, 1),
         "JPEG of 24×12 pixels decoded; turned clockwise as its EXIF orientation says; whole image "
         "resized from 12×24 to 16×16 with Pillow's Lanczos filter, which changes its "
         "proportions; levels 0 to 255 scaled to -1 to 1"),
        ("Unter ordner/pages.tif", Header("TIFF", "RGB", (24, 24), 1, 2),
         "TIFF of 24×24 pixels decoded; first of 2 pictures taken; whole image resized from 24×24 "
         "to 16×16 with Pillow's Lanczos filter; levels 0 to 255 scaled to -1 to 1"),
    ],
)  # fmt: skip
def test_what_was_done_before_the_network(pictures, name, header, words):
    found = evidence.read(pictures / name, 16)
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
    assert evidence.read(pictures / "oblong.png", 16).thumbnail is None
    found = evidence.read(pictures / "turned.jpg", 16, thumbnail=True)
    with Image.open(evidence.io.BytesIO(found.thumbnail)) as image:
        assert (image.format, image.size) == ("JPEG", (12, 24))


def test_counts_in_words():
    assert evidence.listed(Counter()) == ""
