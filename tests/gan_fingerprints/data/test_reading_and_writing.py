import json
import pickle
import shutil
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer, default_name, shuffled_order
from gan_fingerprints.program import UserError

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


def write(folder, pictures=PICTURES, labels=None, names=None, every_level=True):
    folder.mkdir()
    name = folder.name
    with Writer(folder, name, pictures.shape[1], every_level=every_level) as writer:
        writer.add_all(as_it_is, pictures, workers=1)
        writer.finish(labels, names, "a command", {"settings": {"shuffle": False}})
    return folder


def as_it_is(picture):
    return picture, None


def read_png(path):
    return images.read_image(path), Path(path).name


@pytest.fixture
def data_folder(tmp_path):
    labels = np.eye(2, dtype=np.float32)[[1, 0, 0, 0] * 10]
    return write(tmp_path / "data", labels=labels, names=["real", "fake"])


@pytest.fixture
def published(reference, tmp_path):
    return Path(shutil.copytree(reference("data/tfr32"), tmp_path / "tfr32"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def message(folder, **options):
    with pytest.raises(UserError) as error:
        DataSet.open(folder, "--data_dir", **options)
    return str(error.value)


# The format


def test_reads_published_progan_data(reference):
    data = DataSet.open(reference("data/tfr32"), "--data_dir")
    expected = np.load(reference("data/tfr32.decoded.npz"))
    assert (data.name, data.count, data.resolution) == ("tfr32", 64, 32)
    assert data.resolutions == [4, 8, 16, 32]
    assert (data.labels, data.source_names, data.manifest) == (None, None, None)
    for level, resolution in enumerate(data.resolutions, 2):
        decoded = expected[f"tfr32-r{level:02d}.tfrecords"]
        found = data.images(np.arange(64), resolution)
        np.testing.assert_array_equal(found, decoded.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("name", ["classifier_tfr32", ""])
def test_reads_published_classifier_data(reference, tmp_path, name):
    source = reference("data/classifier_tfr32")
    for path in source.iterdir():
        shutil.copy(path, tmp_path / path.name.replace("classifier_tfr32", name))
    expected = np.load(reference("data/classifier_tfr32.decoded.npz"))
    data = DataSet.open(tmp_path, "--data_dir", needs_labels=True)
    assert (data.name, data.count, data.resolutions) == (name, 60, [32])
    assert data.source_names == ["source_0", "source_1", "source_2"]
    np.testing.assert_array_equal(data.labels, expected["labels"])
    found = data.images(np.arange(60))
    np.testing.assert_array_equal(found, expected["images"].transpose(0, 2, 3, 1))


def test_writes_the_published_pixels_in_the_published_order(reference, tmp_path):
    paths = sorted(reference("data/png32").iterdir())
    facts = json.loads(reference("data/progan_data_info.json").read_text())
    order = shuffled_order(64)
    assert order.tolist() == facts["shuffled_order"]
    folder = write(tmp_path / "ours", np.stack([images.read_image(paths[i]) for i in order]))
    data = DataSet.open(folder, "--data_dir")
    published = DataSet.open(reference("data/tfr32"), "--data_dir")
    for resolution in (4, 8, 16, 32):
        np.testing.assert_array_equal(
            data.images(np.arange(64), resolution), published.images(np.arange(64), resolution)
        )
    size = {path.suffix: path.stat().st_size for path in folder.glob("*-r05.tfrecords")}
    assert size[".tfrecords"] == published.folder.joinpath("tfr32-r05.tfrecords").stat().st_size


# Writing


def test_many_images_are_written_as_one_by_one(tmp_path):
    pictures = RNG.integers(0, 256, (150, 16, 16, 3), dtype=np.uint8)
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(tmp_path / f"{number:03d}.png")
        Image.fromarray(picture).save(paths[-1])
    expected = contents(write(tmp_path / "data", pictures))
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").mkdir()
    done = []
    with Writer(tmp_path / "data", "data", 16, every_level=True) as writer:
        writer.add_all(as_it_is, pictures[:1])
        names = writer.add_all(read_png, paths[1:], workers=2, progress=done.append)
        assert writer.count == 150
        writer.finish(None, None, "a command", {"settings": {"shuffle": False}})
    assert contents(tmp_path / "data") == expected
    assert names == [path.name for path in paths[1:]]
    assert sum(done) == 149


def test_bad_images_are_skipped_without_a_gap(tmp_path):
    paths = []
    for number in range(100):
        paths.append(tmp_path / f"{number:03d}.png")
        Image.fromarray(PICTURES[number % 40]).save(paths[-1])
    bad = [0, 1, 33, 34, 99]
    for number in bad:
        paths[number].write_text("not an image")
    (tmp_path / "out").mkdir()
    with Writer(tmp_path / "out", "out", 16, every_level=True) as writer:
        outcomes = writer.add_all(read_png, paths, skip_bad=True, workers=1)
        writer.finish(None, None, "", {})
    assert [i for i, x in enumerate(outcomes) if isinstance(x, images.ImageError)] == bad
    assert outcomes[2] == "002.png"
    data = DataSet.open(tmp_path / "out", "--data_dir")
    kept = [number % 40 for number in range(100) if number not in bad]
    np.testing.assert_array_equal(data.images(np.arange(95)), PICTURES[kept])


def test_a_bad_image_ends_the_writing(tmp_path):
    (tmp_path / "a.png").write_text("not an image")
    with (
        pytest.raises(images.ImageError, match=r"a\.png: "),
        Writer(tmp_path, "x", 16, every_level=True) as writer,
    ):
        writer.add_all(read_png, [tmp_path / "a.png"])


def test_only_fitting_images_are_taken(tmp_path):
    writer = Writer(tmp_path, "x", 16, every_level=False)
    with pytest.raises(ValueError, match="expected uint8"):
        writer.add_all(as_it_is, PICTURES[:1, :8])
    with pytest.raises(UserError, match="found no usable image"):
        writer.finish(None, None, "", {})
    with pytest.raises(ValueError, match="power of two"):
        Writer(tmp_path, "y", 48, every_level=True)


def test_a_full_disk_is_a_user_error(tmp_path):
    writer = Writer(tmp_path, "x", 16, every_level=False)
    (tmp_path / "x-r04.tfrecords").unlink()
    (tmp_path / "x-r04.tfrecords").symlink_to("/dev/full")
    with pytest.raises(UserError, match="data set x: cannot be written"), writer:
        writer.add_all(as_it_is, PICTURES[:1])


def test_two_runs_give_the_same_bytes(tmp_path):
    labels = np.ones((40, 1), np.float32)
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        write(tmp_path / run / "data", labels=labels, names=["real"])
    assert contents(tmp_path / "a" / "data") == contents(tmp_path / "b" / "data")


def test_the_manifest_says_what_there_is(data_folder):
    manifest = json.loads((data_folder / "data.json").read_text())
    assert manifest["source_names"] == ["real", "fake"]
    assert manifest["source_counts"] == [30, 10]
    assert (manifest["count"], manifest["resolution"]) == (40, 16)
    assert manifest["command"] == "a command"
    assert manifest["settings"] == {"shuffle": False}
    assert {"python", "numpy", "pillow", "gan_fingerprints"} == set(manifest["versions"])
    assert set(manifest["files"]) == set(contents(data_folder)) - {"data.json"}
    for name, facts in manifest["files"].items():
        content = (data_folder / name).read_bytes()
        assert facts["bytes"] == len(content)
        assert facts["records"] == 40
        assert facts["blake3"] == blake3(content).hexdigest()


def test_default_name_is_never_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_name("datasets/celeba/") == "celeba"
    assert default_name(".") == tmp_path.name
    assert default_name("/") == "dataset"


# Reading


def test_reads_any_records_in_any_order(data_folder):
    data = DataSet.open(data_folder, "--data_dir", needs_labels=True)
    indices = np.array([3, 39, 0, 3])
    found = data.images(indices)
    assert found.dtype == np.uint8
    assert found.flags.writeable
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, PICTURES[indices])
    assert data.images(np.array([], int), 8).shape == (0, 8, 8, 3)
    assert data.source_names == ["real", "fake"]
    assert data.labels.dtype == np.float32


def test_reads_from_many_threads_without_holding_pixels(tmp_path):
    pictures = np.repeat(PICTURES, 8, axis=1).repeat(8, axis=2)
    data = DataSet.open(write(tmp_path / "data", pictures, every_level=False), "--data_dir")
    indices = [RNG.integers(0, 40, 16) for _ in range(100)]
    with ThreadPoolExecutor(8) as threads:
        for wanted, found in zip(indices, threads.map(data.images, indices), strict=True):
            np.testing.assert_array_equal(found, pictures[wanted])
    tracemalloc.start()
    data = DataSet.open(tmp_path / "data", "--data_dir")
    for number in range(40):
        data.images(np.array([number]))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < pictures[0].nbytes


def test_the_checksum_follows_the_content(data_folder, tmp_path):
    checksum = DataSet.open(data_folder, "--data_dir").checksum
    copy = Path(shutil.copytree(data_folder, tmp_path / "moved"))
    (copy / "data.json").unlink()
    assert DataSet.open(copy, "--data_dir").checksum == checksum
    other = write(tmp_path / "other", PICTURES[::-1])
    assert DataSet.open(other, "--data_dir").checksum != checksum


def test_a_folder_without_a_data_set(tmp_path):
    assert "found nothing, expected a folder" in message(tmp_path / "missing")
    assert "found an empty folder, expected a data set (files NAME-r" in message(tmp_path)
    (tmp_path / "a.png").touch()
    assert "found 1 image, expected a data set" in message(tmp_path)
    (tmp_path / "a.tfrecords").touch()
    assert "a.tfrecords: found this name, expected NAME-rNN.tfrecords" in message(tmp_path)


def test_two_data_sets_in_one_folder(data_folder):
    shutil.copy(data_folder / "data-r04.tfrecords", data_folder / "more-r04.tfrecords")
    assert "found 2 data sets (data, more), expected one" in message(data_folder)


def test_a_missing_level(data_folder):
    (data_folder / "data-r03.tfrecords").unlink()
    assert "data-r03.tfrecords: missing, but listed in data.json" in message(data_folder)
    (data_folder / "data.json").unlink()
    data = DataSet.open(data_folder, "--data_dir")
    data.require_level(4)
    for ask in (data.require_level, partial(data.images, np.array([0]))):
        with pytest.raises(UserError, match=r"data-r03\.tfrecords: missing.* 4x4, 16x16"):
            ask(8)


def test_a_file_cut_between_records(data_folder):
    path = data_folder / "data-r04.tfrecords"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = "data-r04.tfrecords: found 20 records, expected 40 as"
    assert f"{found} the manifest says" in message(data_folder)
    (data_folder / "data.json").unlink()
    assert f"{found} the other resolutions have" in message(data_folder)
    path.write_bytes(b"")
    assert "data-r04.tfrecords: found an empty file" in message(data_folder)


def test_a_file_cut_in_the_middle_of_a_record(data_folder):
    path = data_folder / "data-r04.tfrecords"
    path.write_bytes(path.read_bytes()[:-1])
    assert "data-r04.tfrecords: ends in the middle of record 39" in message(data_folder)


def test_published_data_cut_between_records(published):
    path = published / "tfr32-r05.tfrecords"
    path.write_bytes(path.read_bytes()[: 3127 * 60])
    assert "tfr32-r05.tfrecords: found 60 records, expected 64" in message(published)


def test_labels_that_do_not_fit(data_folder):
    path = data_folder / "data-rxx.labels"
    size = path.stat().st_size
    labels = DataSet.open(data_folder, "--data_dir").labels
    (data_folder / "data.json").unlink()

    def found(array):
        with open(path, "wb") as file:
            np.save(file, array)
        return message(data_folder)

    assert "data-rxx.labels: found 39 labels, expected 40 records" in found(labels[:39])
    assert "found int64 of shape [40, 2], expected float32" in found(labels.astype(int))
    assert "found float32 of shape [40], expected float32 [images, s" in found(labels[:, 0])
    path.write_bytes(pickle.dumps([1, 2]))
    assert "data-rxx.labels: cannot be read as a NumPy array" in message(data_folder)
    path.write_bytes(bytes(size))
    assert "data-rxx.labels: cannot be read as a NumPy array" in message(data_folder)
    path.unlink()
    assert "found no data-rxx.labels, expected labels" in message(data_folder, needs_labels=True)


def test_labels_are_never_unpickled(data_folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    with open(data_folder / "data-rxx.labels", "wb") as file:
        np.save(file, np.array([Evil()], object), allow_pickle=True)
    (data_folder / "data.json").unlink()
    assert "cannot be read as a NumPy array" in message(data_folder)
    assert not (tmp_path / "ran").exists()


def test_a_manifest_that_does_not_fit(data_folder):
    path = data_folder / "data.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"source_names": ["real"]}))
    assert "data.json: found 1 source names, expected 2" in message(data_folder)
    for text in ("{", "[]", "{}", '{"files": {"data-r04.tfrecords": {}}, "count": 1}'):
        path.write_text(text)
        assert "data.json: cannot be read as the manifest" in message(data_folder)
    manifest["files"]["data-rxx.labels"]["bytes"] += 1
    path.write_text(json.dumps(manifest))
    assert "data-rxx.labels: found 448 bytes, expected 449" in message(data_folder)
