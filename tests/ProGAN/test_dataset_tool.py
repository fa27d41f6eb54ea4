import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images, program
from gan_fingerprints.data.reading import DataSet
from ProGAN import dataset_tool

RNG = np.random.default_rng(0)
SCRIPT = Path(dataset_tool.__file__)


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a command; returns its exit status, and what it printed to stdout and to stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dataset_tool.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            program.run(dataset_tool.main)
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos", 8)


def make_photos(folder, count, shape=(16, 16, 3)):
    folder.mkdir()
    for number in range(count):
        image = RNG.integers(0, 256, shape, dtype=np.uint8)
        images.write_png(folder / f"{number:03d}.png", image)
    return folder


def read_all(folder):
    return np.stack([images.read_image(path) for path in images.list_images(folder, "")])


def failure(result, tmp_path, before):
    """The one line of an error; nothing else may have been printed or left behind."""
    status, out, err = result
    assert status == 2
    assert not out
    lines = [line for line in re.split(r"[\r\n]+", err) if line.strip() and "image/s" not in line]
    assert len(lines) == 1
    assert set(tmp_path.rglob("*")) == before
    return lines[0]


# Creating


def test_creates_what_the_published_tool_created(tool, reference, tmp_path):
    status, out, _ = tool("create_from_images", tmp_path / "out", reference("data/png32"))
    assert status == 0
    assert out == f"wrote 64 images, 4x4 to 32x32, to {tmp_path / 'out'} (0.3 MB)\n"
    status, out, _ = tool("compare", tmp_path / "out", reference("data/tfr32"))
    assert (status, out) == (0, "64 identical images, 0 different\n")
    assert DataSet.open(tmp_path / "out", "").resolutions == [4, 8, 16, 32]


def test_runs_as_a_command_from_its_own_folder(run_script, photos, tmp_path):
    arguments = ("create_from_images", f"{tmp_path}/out/", photos)
    done = run_script("ProGAN/dataset_tool.py", *arguments, cwd=SCRIPT.parent)
    assert done.stdout.startswith("wrote 8 images, 4x4 to 16x16, to ")
    assert (tmp_path / "out" / "out-r04.tfrecords").exists()


def test_can_keep_the_order_of_names(tool, photos, tmp_path):
    tool("create_from_images", tmp_path / "out", photos, "--shuffle", "0")
    data = DataSet.open(tmp_path / "out", "")
    np.testing.assert_array_equal(data.images(np.arange(8)), read_all(photos))


def test_the_same_input_gives_the_same_bytes(tool, photos, tmp_path):
    for run in ("a", "b"):
        assert tool("create_from_images", tmp_path / run / "out", photos)[0] == 0
    names = sorted(path.name for path in (tmp_path / "a" / "out").iterdir())
    assert names == ["out-r02.tfrecords", "out-r03.tfrecords", "out-r04.tfrecords", "out.json"]
    for name in names:
        a, b = (tmp_path / run / "out" / name for run in ("a", "b"))
        assert a.read_bytes() == b.read_bytes()
    assert str(tmp_path) not in (tmp_path / "a" / "out" / "out.json").read_text()


def test_resizes_the_centre_square(tool, tmp_path):
    folder = make_photos(tmp_path / "photos", 3, (20, 26, 3))
    tool("create_from_images", tmp_path / "out", folder, "--resolution", 8, "--shuffle", 0)
    expected = np.stack([
        np.asarray(Image.fromarray(image[:, 3:23]).resize((8, 8), Image.Resampling.LANCZOS))
        for image in read_all(folder)
    ])  # fmt: skip
    np.testing.assert_array_equal(DataSet.open(tmp_path / "out", "").images(np.arange(3)), expected)


def test_crops_celeba(tool, tmp_path):
    folder = make_photos(tmp_path / "celeba", 2, (218, 178, 3))
    assert tool("create_celeba", tmp_path / "out", folder, "--shuffle", 0)[0] == 0
    data = DataSet.open(tmp_path / "out", "")
    np.testing.assert_array_equal(data.images(np.arange(2)), read_all(folder)[:, 57:185, 25:153])


def test_takes_the_first_of_lsun(tool, tmp_path):
    folder = make_photos(tmp_path / "photos", 6, (20, 26, 3))
    with lmdb.open(str(tmp_path / "lmdb")) as database, database.begin(write=True) as transaction:
        for path in reversed(images.list_images(folder, "")):
            transaction.put(path.stem.encode(), path.read_bytes())
    for source in ("lmdb", "photos"):
        out = tmp_path / f"from_{source}"
        options = ("--resolution", 16, "--max_images", 4, "--shuffle", 0)
        assert tool("create_lsun", out, tmp_path / source, *options)[0] == 0
        expected = [images.resize(image[:, 3:23], 16) for image in read_all(folder)[:4]]
        np.testing.assert_array_equal(DataSet.open(out, "").images(np.arange(4)), expected)


def test_skips_and_lists_bad_images(tool, photos, tmp_path):
    (photos / "003.png").write_text("not an image")
    images.write_png(photos / "005.png", np.zeros((10, 12, 3), np.uint8))
    options = ("--shuffle", 0, "--skip_bad_images")
    status, out, _ = tool("create_from_images", tmp_path / "out", photos, *options)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "skipped 2 images:"
    assert "003.png: found something else than" in lines[1]
    assert "005.png: found 12x10 pixels, expected 16x16" in lines[2]
    assert lines[3].startswith("wrote 6 images")
    data = DataSet.open(tmp_path / "out", "")
    (photos / "003.png").unlink()
    (photos / "005.png").unlink()
    np.testing.assert_array_equal(data.images(np.arange(6)), read_all(photos))
    assert json.loads((tmp_path / "out" / "out.json").read_text())["skipped"] == 2


# Bad input


def test_each_bad_image_is_named(tool, photos, tmp_path):
    photo = photos / "004.png"
    good = photo.read_bytes()
    jpeg = tmp_path / "truncated.jpg"
    Image.new("RGB", (16, 16)).save(jpeg)
    for content, found in (
        (b"text", "found something else than a PNG"),
        (good[:-20], "truncated"),
        (jpeg.read_bytes()[:-200], "truncated"),
    ):
        photo.write_bytes(content)
        before = set(tmp_path.rglob("*"))
        result = tool("create_from_images", tmp_path / "out", photos)
        line = failure(result, tmp_path, before)
        assert line.startswith(f"error: {photo}: ")
        assert found.lower() in line.lower()
        assert "--skip_bad_images" in line


@pytest.mark.parametrize("odd", ["000.png", "004.png", "007.png"])
def test_one_odd_sized_image_among_many(tool, photos, tmp_path, odd):
    images.write_png(photos / odd, np.zeros((32, 32, 3), np.uint8))
    before = set(tmp_path.rglob("*"))
    line = failure(tool("create_from_images", tmp_path / "out", photos), tmp_path, before)
    assert f"{photos / odd}: found 32x32 pixels, expected 16x16; --resolution N" in line


def test_other_bad_input(tool, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "nested" / "a").mkdir(parents=True)
    (tmp_path / "file").touch()
    make_photos(tmp_path / "odd", 2, (12, 12, 3))
    out = tmp_path / "out"
    before = set(tmp_path.rglob("*"))
    for arguments, found in (
        ((out, tmp_path / "empty"), "found an empty folder, expected images"),
        ((out, tmp_path / "nested"), "found 1 subfolder, no images, expected images"),
        ((out, tmp_path / "missing"), "found nothing, expected a folder"),
        ((out, tmp_path / "odd"), "found images of 12x12 pixels, expected square ones"),
        ((out, photos, "--resolution", "48"), "--resolution: found '48', expected a power"),
        ((out, photos, "--resolution", "8192"), "found 8192, expected 4096 or less"),
        ((tmp_path / "file" / "out", photos), "is a file, expected a folder"),
        ((photos, photos), "already exists"),
        ((out, photos, "--skip_bad"), "--skip_bad"),
        ((out,), "IN"),
    ):
        line = failure(tool("create_from_images", *arguments), tmp_path, before)
        assert line.startswith("error: ")
        assert found in line
    line = failure(tool("create_celeba", out, photos), tmp_path, before)
    assert "found 16x16 pixels, expected 178x218" in line
    (tmp_path / "data.mdb").write_text("no database")
    before = set(tmp_path.rglob("*"))
    line = failure(tool("create_lsun", out, tmp_path), tmp_path, before)
    assert "cannot be read as an LMDB database" in line


# Looking at data sets


@pytest.fixture
def data_folder(tool, photos, tmp_path):
    tool("create_from_images", tmp_path / "data", photos, "--shuffle", 0)
    return tmp_path / "data"


def test_displays(tool, data_folder, photos):
    status, out, _ = tool("display", data_folder)
    assert status == 0
    assert out.splitlines()[0] == "8 images, sizes 4x4, 8x8, 16x16"
    assert "(all files agree with the manifest)" in out
    sheet = images.read_image(f"{data_folder}.png")
    np.testing.assert_array_equal(sheet, images.grid(read_all(photos)))


def test_displays_sources_without_a_manifest(tool, reference, tmp_path):
    source = reference("data/classifier_tfr32")
    status, out, _ = tool("display", source, "--number", 5, "--out", tmp_path / "sheet.png")
    assert status == 0
    assert "sources: source_0 (20), source_1 (20), source_2 (20)" in out
    assert "(no manifest to compare with)" in out
    assert images.read_image(tmp_path / "sheet.png").shape == (64, 96, 3)


def test_displaying_finds_damage(tool, data_folder):
    path = data_folder / "data-r03.tfrecords"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status, _, err = tool("display", data_folder)
    assert status == 2
    assert "data-r03.tfrecords: found other content (BLAKE3 " in err


def test_extracts(tool, data_folder, photos, tmp_path):
    status, out, _ = tool("extract", data_folder, tmp_path / "png")
    assert status == 0
    assert out == f"wrote 8 images of 16x16 pixels to {tmp_path / 'png'}\n"
    names = [path.name for path in images.list_images(tmp_path / "png", "")]
    assert names == [f"img{number:08d}.png" for number in range(8)]
    np.testing.assert_array_equal(read_all(tmp_path / "png"), read_all(photos))
    tool("extract", data_folder, tmp_path / "small", "--resolution", 8)
    means = np.rint(read_all(photos).reshape(8, 8, 2, 8, 2, 3).mean((2, 4), dtype=np.float32))
    np.testing.assert_array_equal(read_all(tmp_path / "small"), means)


def test_compares(tool, data_folder, photos, tmp_path):
    copy = Path(shutil.copytree(data_folder, tmp_path / "copy"))
    assert tool("compare", data_folder, copy)[:2] == (0, "8 identical images, 0 different\n")
    images.write_png(photos / "005.png", np.zeros((16, 16, 3), np.uint8))
    make_photos(photos / "more", 1)
    shutil.move(photos / "more" / "000.png", photos / "008.png")
    tool("create_from_images", tmp_path / "other", photos, "--shuffle", 0)
    status, out, _ = tool("compare", data_folder, tmp_path / "other")
    assert status == 1
    assert out.splitlines()[:2] == [
        "7 identical images, 1 different",
        "the first that differs is number 5",
    ]
    tool("create_from_images", tmp_path / "small", photos, "--resolution", 8)
    assert tool("compare", data_folder, tmp_path / "small")[:2] == (1, "16x16 and 8x8 pixels\n")


def test_a_data_set_that_is_not_whole(tool, data_folder, tmp_path):
    for command in (("extract", data_folder, tmp_path / "png"), ("display", data_folder)):
        before = set(tmp_path.rglob("*"))
        line = failure(tool(*command, "--resolution", 32), tmp_path, before)
        assert "data-r05.tfrecords: missing, the data set holds 4x4, 8x8, 16x16" in line
    path = data_folder / "data-r04.tfrecords"
    path.write_bytes(path.read_bytes()[:-100])
    for command in (
        ("extract", data_folder, tmp_path / "png"),
        ("display", data_folder),
        ("compare", data_folder, data_folder),
    ):
        line = failure(tool(*command), tmp_path, before)
        assert "data-r04.tfrecords: ends in the middle of record 7" in line


# The program


def test_help_teaches_without_tensorflow(run_script):
    done = run_script("ProGAN/dataset_tool.py", "--help")
    assert "python3 dataset_tool.py create_from_images datasets/celeba/" in done.stdout
    done = run_script("ProGAN/dataset_tool.py", "create_lsun", "--help")
    assert "--shuffle 0|1" in done.stdout
    code = "import ProGAN.dataset_tool, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parents[1]).returncode == 0


@pytest.fixture
def long_run(tmp_path):
    """A run that is in the middle of its work, in a process group of its own."""
    source = make_photos(tmp_path / "photos", 1, (128, 128, 3)) / "000.png"
    for number in range(1, 20000):
        os.link(source, source.with_name(f"{number}.png"))
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "create_from_images", "out", "photos"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Programs started in the background ignore it, and so would this one if the tests do.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not any(path.stat().st_size for path in tmp_path.glob(".*partial*/out/*r07*")):
        assert process.poll() is None
        time.sleep(0.02)
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_the_end_of_all(process, seconds=10):
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0)
            assert time.monotonic() < deadline, "a worker goes on"
            time.sleep(0.05)


def test_an_interrupt_leaves_nothing(long_run, tmp_path):
    os.killpg(long_run.pid, signal.SIGINT)  # as Ctrl-C does: the workers get it too
    _, err = long_run.communicate(timeout=20)
    assert long_run.returncode == 130
    assert "Traceback" not in err
    assert err.endswith("interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    wait_for_the_end_of_all(long_run)


def test_workers_end_when_their_parent_is_killed(long_run, tmp_path):
    long_run.kill()
    long_run.wait()
    wait_for_the_end_of_all(long_run)
    assert not (tmp_path / "out").exists()
