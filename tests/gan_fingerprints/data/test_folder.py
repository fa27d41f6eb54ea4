"""Training images from every kind of place."""

import gzip
import hashlib

import lmdb
import numpy as np
import pytest

from gan_fingerprints import images
from gan_fingerprints.data import folder as data
from gan_fingerprints.program import UserError


@pytest.fixture
def pictures():
    return np.random.RandomState(0).randint(256, size=[5, 16, 16, 3]).astype(np.uint8)


def write(folder, pictures, suffix="png"):
    folder.mkdir()
    for i, picture in enumerate(pictures):
        images.write_png(folder / f"{i}.{suffix}", picture)
    return folder


def open_images(dataset, data_dir, side, workers):
    return data.open_images(dataset, data_dir, "--data_dir", side, workers)


def all_of(found):
    return found.images(np.arange(found.count), found.resolution)


def test_a_folder_of_images_under_any_name(tmp_path, pictures):
    folder = write(tmp_path / "faces", pictures)
    found = open_images("celebA", folder, 16, 1)
    assert (found.name, found.count, found.resolution) == ("faces", 5, 16)
    np.testing.assert_array_equal(all_of(found), pictures)
    assert found.checksum == open_images("mine", folder, 16, 2).checksum
    assert found.checksum != open_images("mine", folder, 8, 2).checksum


def test_images_are_resized_bilinearly_over_all_their_pixels(tmp_path):
    """Twice as small: weights 1, 3, 3, 1 over 8 in each direction, as of a triangle of width 4."""
    picture = np.random.RandomState(0).randint(256, size=[16, 16, 3]).astype(np.uint8)
    found = all_of(open_images("x", write(tmp_path / "a", [picture]), 8, 1))[0]
    weights = np.outer([1, 3, 3, 1], [1, 3, 3, 1])[:, :, None] / 64
    for i, j in ((1, 1), (3, 5), (6, 2)):
        window = picture[2 * i - 1 : 2 * i + 3, 2 * j - 1 : 2 * j + 3]
        assert np.abs(found[i, j] - (window * weights).sum((0, 1))).max() <= 1


def test_many_images_are_decoded_again_each_time(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(data, "KEPT_BYTES", 0)
    found = open_images("x", write(tmp_path / "a", pictures), 16, 2)
    assert found._kept is None
    np.testing.assert_array_equal(found.images(np.array([3, 0]), 16), pictures[[3, 0]])


def test_records_at_a_stored_and_at_another_size(tmp_path, pictures, run_script):
    write(tmp_path / "a", pictures)
    run_script("ProGAN/dataset_tool.py", "create_from_images", tmp_path / "set", tmp_path / "a",
               "--shuffle", "0")  # fmt: skip
    np.testing.assert_array_equal(all_of(open_images("x", tmp_path / "set", 16, 1)), pictures)
    half = all_of(open_images("x", tmp_path / "set", 8, 1)).astype(float)
    mean = pictures.reshape(5, 8, 2, 8, 2, 3).mean((2, 4))
    assert np.abs(half - mean).max() <= 0.5
    larger = open_images("x", tmp_path / "set", 32, 1)
    np.testing.assert_array_equal(all_of(larger)[0], data.bilinear(pictures[0], 32))
    assert larger.checksum


def test_lsun_is_a_database_of_image_files(tmp_path, pictures):
    folder = write(tmp_path / "files", pictures)
    wide = np.concatenate([pictures[0], pictures[1]], axis=1)
    images.write_png(folder / "0.png", wide)
    database = lmdb.open(str(tmp_path / "bedroom_train_lmdb"))
    with database, database.begin(write=True) as transaction:
        for path in sorted(folder.iterdir(), reverse=True):
            transaction.put(path.name.encode(), path.read_bytes())
    found = open_images("lsun", tmp_path / "bedroom_train_lmdb", 16, 1)
    np.testing.assert_array_equal(all_of(found)[1:], pictures[1:])
    np.testing.assert_array_equal(all_of(found)[0], wide[:, 8:24])  # the centre square


@pytest.mark.parametrize("packed", [False, True])
def test_mnist(tmp_path, packed):
    digits = np.random.RandomState(0).randint(256, size=[3, 28, 28]).astype(np.uint8)
    content = bytes([0, 0, 8, 3]) + np.array(digits.shape, ">u4").tobytes() + digits.tobytes()
    name = "train-images-idx3-ubyte"
    if packed:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    else:
        (tmp_path / name).write_bytes(content)
    found = all_of(open_images("mnist", tmp_path, 28, 1))
    np.testing.assert_array_equal(found, np.repeat(digits[..., None], 3, axis=3))
    for wrong in (content[:-1], content[:7], b"", content[:4] + bytes(12), b"\1" + content[1:]):
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(UserError, match=r"train-images-idx3-ubyte: .*cut off"):
            open_images("mnist", tmp_path, 28, 1)
    (tmp_path / name).unlink()
    whole = gzip.compress(content)
    for i in range(0, len(whole), 40):
        flipped = whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :]
        for wrong in (whole[:i], flipped):
            (tmp_path / f"{name}.gz").write_bytes(wrong)
            with pytest.raises(UserError, match=r"ubyte\.gz: (damaged|not MNIST).*; get it again"):
                open_images("mnist", tmp_path, 28, 1)


def test_cifar10(tmp_path):
    pixels = np.random.RandomState(0).randint(256, size=[4, 32, 32, 3]).astype(np.uint8)
    rows = np.concatenate([np.zeros([4, 1], np.uint8), pixels.transpose(0, 3, 1, 2).reshape(4, -1)],
                          axis=1)  # fmt: skip
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rows[:2].tofile(folder / "data_batch_1.bin")
    rows[2:].tofile(folder / "data_batch_2.bin")
    np.testing.assert_array_equal(all_of(open_images("cifar10", tmp_path, 32, 1)), pixels)
    (folder / "data_batch_2.bin").write_bytes(b"short")
    with pytest.raises(UserError, match=r"data_batch_2\.bin: not whole records"):
        open_images("cifar10", tmp_path, 32, 1)


def test_what_cannot_be_used_is_named(tmp_path, pictures):
    folder = write(tmp_path / "a", pictures)
    with pytest.raises(UserError, match="--data_dir is missing"):
        open_images("celebA", None, 16, 1)
    for name, found in (("mnist", "5 images"), ("cifar10", "pickles")):
        with pytest.raises(UserError, match=found):
            open_images(name, folder, 16, 1)
    images.write_png(folder / "1.png", pictures[1][:8])
    with pytest.raises(UserError, match=r"1\.png: found 16x8 pixels, expected a square"):
        open_images("celebA", folder, 16, 1)
    (folder / "1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.png: found something else"):
        open_images("celebA", folder, 16, 1)


def test_images_have_one_size(tmp_path, pictures):
    found = open_images("x", write(tmp_path / "a", pictures), 16, 1)
    np.testing.assert_array_equal(found.images(np.array([2])), pictures[[2]])
    with pytest.raises(ValueError, match="got resolution 8, expected 16"):
        found.images(np.array([2]), 8)


def test_the_checksum_is_that_of_channel_first_pixels_behind_the_classes(tmp_path, pictures):
    """As in the settings of runs that are to be continued."""
    paths = sorted(write(tmp_path / "a", pictures).iterdir())
    inner = hashlib.sha256(pictures.transpose(0, 3, 1, 2).tobytes()).digest()
    plain = data.Images("a", paths, data.square_image, 16, 1)
    assert plain.checksum == hashlib.sha256(inner).hexdigest()
    labels = np.arange(5, dtype=np.float32)[:, None]
    classes = data.Images("a", paths, data.square_image, 16, 1, labels)
    assert classes.checksum == hashlib.sha256(labels.tobytes() + inner).hexdigest()
