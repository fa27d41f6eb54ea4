"""Image lists and the data sets that read them."""

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.data import folder as data_folder
from gan_fingerprints.data import pipeline
from gan_fingerprints.program import UserError
from SNGAN.config import DATASETS
from SNGAN.datasets import listing


def opened(dataset, folder, side, workers=1, image_list=None):
    return listing.open_images(dataset, folder, side, workers, image_list)


@pytest.fixture
def folder(tmp_path):
    """Five images of 16×16, image i all of grey 10·i, and a file that is none."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in (3, 0, 4, 1, 2):
        pixels = np.full((16, 16, 3), 10 * i, np.uint8)
        images.write_png(folder / f"{i}.png", pixels)
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """Where the programs' lists are looked for, empty."""
    folder = tmp_path / "lists"
    folder.mkdir()
    monkeypatch.setattr(listing, "LISTS", folder)
    return folder


@pytest.mark.parametrize("script", ["celeba", "lsun_bedroom_200k"])
def test_programs_write_sorted_lists(run_script, folder, tmp_path, script):
    path = tmp_path / "list.txt"
    done = run_script(f"SNGAN/datasets/{script}.py", folder, "--image_list", path, cwd=tmp_path)
    assert path.read_text() == "".join(f"{i}.png 0\n" for i in range(5))
    assert f"{path}: 5 images" in done.stdout


def test_another_list_is_replaced_only_where_that_is_asked_for(folder, tmp_path):
    path = tmp_path / "list.txt"
    number = listing.write_list(folder, path)
    before = path.read_bytes()
    assert listing.write_list(folder, path) == number  # the same again
    path.write_text("mine.png 0\n")
    with pytest.raises(UserError, match=r"--image_list .*list\.txt: already exists"):
        listing.write_list(folder, path)
    assert path.read_text() == "mine.png 0\n"
    listing.write_list(folder, path, overwrite=True)
    assert path.read_bytes() == before


def test_names_of_the_lists_are_the_published_ones():
    assert listing.NAMES["CelebADataset"] == "celeba_align_png_cropped_image_list.txt"
    assert listing.NAMES["LSUNBedroom200kDataset"] == "lsun_bedroom_200k_png_image_list.txt"


def test_whole_folder_without_a_list(folder, lists, capsys):
    assert list(DATASETS) == ["CelebADataset", "LSUNBedroom200kDataset", "FolderDataset"]
    for dataset in DATASETS:
        data = opened(dataset, folder, 16)
        assert (data.count, data.resolution, data.name) == (5, 16, "faces")
        np.testing.assert_array_equal(data.images(np.array([4, 0]), 16)[:, 0, 0, 0], [40, 0])
        assert "using all 5 images" in capsys.readouterr().out


def test_the_programs_list_is_used_where_it_exists(folder, lists, capsys):
    (lists / listing.NAMES["CelebADataset"]).write_text("2.png 1\n0.png 0\n")
    data = opened("CelebADataset", folder, 16)
    assert data.labels[:, 0].tolist() == [1, 0]
    assert "using the 2 images" in capsys.readouterr().out
    assert opened("FolderDataset", folder, 16).count == 5


@pytest.mark.parametrize("kept_bytes", [0, 2**30])
def test_images_are_resized_and_come_by_position(folder, monkeypatch, kept_bytes):
    monkeypatch.setattr(data_folder, "KEPT_BYTES", kept_bytes)
    data = opened("FolderDataset", folder, 8, workers=2)
    pixels, labels = next(iter(pipeline.minibatches(data, 4, seed=0, start=3)))
    assert pixels.shape == (4, 8, 8, 3)
    assert labels.shape == (4, 1)
    expected = 10 * pipeline.stream_indices(5, 0, 3, 4)
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], expected)


def test_checksum_is_of_what_the_images_show(folder):
    before = opened("FolderDataset", folder, 16).checksum
    Image.open(folder / "3.png").save(folder / "3.png", compress_level=0)
    assert opened("FolderDataset", folder, 16).checksum == before
    images.write_png(folder / "3.png", np.full((16, 16, 3), 31, np.uint8))
    assert opened("FolderDataset", folder, 16).checksum != before


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.png 0\n9.png 0\n", ["line 2", "9.png", "--data_dir"]),
        ("0.png\n", ["line 1", "'0.png'", "class number"]),
        ("0.png zero\n", ["line 1", "'0.png zero'"]),
        ("", ["empty file"]),
    ],
)
def test_lists_that_cannot_be_used(folder, tmp_path, text, parts):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        opened("FolderDataset", folder, 16, 1, path)
    for part in (str(path), *parts):
        assert part in str(error.value)


def test_images_that_cannot_be_used_are_named(folder):
    images.write_png(folder / "5.png", np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(UserError, match=r"5\.png: found 20x16 pixels, expected a square"):
        opened("FolderDataset", folder, 16)
    (folder / "5.png").write_bytes((folder / "4.png").read_bytes()[:50])
    with pytest.raises(UserError, match=r"5\.png: "):
        opened("FolderDataset", folder, 16)
