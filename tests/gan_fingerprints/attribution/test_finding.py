"""Which images are meant."""

import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.attribution.finding import find, find_testing_images, listed
from gan_fingerprints.attribution.seeing import Whole
from gan_fingerprints.examiner import evidence
from gan_fingerprints.program import UserError


def flat(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (255, 0, 0)).save(path)
    return path


def test_folders_are_searched_below_and_no_file_comes_twice(pictures):
    found = find([pictures / "small.bmp", pictures, pictures / "Unter ordner"], "PATH")
    names = [str(path.relative_to(pictures)) for path in found.paths]
    assert names == ["small.bmp", "cut.jpg", "fits.png", "grey.jpg", "oblong.png",
                     "text called.png", "turned.jpg", "Unter ordner/pages.tif"]  # fmt: skip
    assert found.left_out == {".txt": 1, "hidden": 1}
    assert listed(found.left_out) == ".txt 1, hidden 1"


def test_a_file_that_is_named_itself_is_taken_whatever_its_ending(pictures, tmp_path):
    path = tmp_path / "evidence.bin"
    path.write_bytes((pictures / "fits.png").read_bytes())
    assert find([path], "PATH").paths == [path]
    with pytest.raises(UserError, match=r"found no image but other files \(\.bin 1\), expected"):
        find([tmp_path], "PATH")


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"PATH .*wrong: found nothing, expected an image or"):
        find([tmp_path / "wrong"], "PATH")
    with pytest.raises(UserError, match="found an empty folder, expected images"):
        find([tmp_path], "PATH")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="found no plain file"):
        find([tmp_path / "pipe.png"], "PATH")
    with pytest.raises(UserError, match=r"other files \(\.png 1\)"):  # and is not waited for
        find([tmp_path], "PATH")


def test_links_are_followed_but_not_in_circles(pictures, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    (tmp_path / "a" / "elsewhere").symlink_to(pictures / "Unter ordner")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    found = find([tmp_path], "PATH").paths
    assert found == [tmp_path / "broken.png", tmp_path / "a" / "elsewhere" / "pages.tif"]
    broken = evidence.read(found[0], Whole(16))
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
    found = find([tmp_path], "PATH")
    assert found.paths == [tmp_path / "a.png", tmp_path / "closed"]
    error = evidence.read(found.paths[1], Whole(16)).error
    assert error.startswith("a folder that cannot be listed")


def test_counts_in_words():
    assert listed(Counter()) == ""


def test_one_file_is_tested_itself(tmp_path):
    path = flat(tmp_path / "a.png").rename(tmp_path / "picture.dat")
    assert find_testing_images(path) == ([path], None)


def test_a_folder_is_tested_in_sorted_order(tmp_path):
    for name in ("b.png", "a.JPG", "c.png"):
        flat(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not tried")
    (tmp_path / "empty").mkdir()
    paths, truth = find_testing_images(tmp_path)
    assert [path.name for path in paths] == ["a.JPG", "b.png", "c.png"]
    assert truth is None


def test_subfolders_name_the_truth(tmp_path):
    for name in ("gan/b.png", "gan/a.png", "real/z.png"):
        flat(tmp_path / name)
    paths, truth = find_testing_images(tmp_path)
    assert [path.name for path in paths] == ["a.png", "b.png", "z.png"]
    assert truth == ["gan", "gan", "real"]


def test_nothing_to_test_is_an_error(tmp_path):
    flag = "--testing_data_path"
    with pytest.raises(UserError, match=f"{flag} .*nothing"):
        find_testing_images(tmp_path / "missing")
    with pytest.raises(UserError, match=f"{flag} .*expected images"):
        find_testing_images(tmp_path)
    flat(tmp_path / "a.png")
    flat(tmp_path / "gan" / "a.png")
    with pytest.raises(UserError, match="1 images beside subfolders"):
        find_testing_images(tmp_path)
