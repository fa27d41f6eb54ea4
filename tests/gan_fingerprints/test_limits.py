"""Images built to take much memory or time: what is read, what is refused, what it takes."""

import os
import pickle
import resource
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from classifier import perturb
from gan_fingerprints import images, limits, perturbations, truncation
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.seeing import Whole
from gan_fingerprints.data import databases, folder, preparation
from gan_fingerprints.examiner import evidence
from gan_fingerprints.pictures import contact_sheet
from ProGAN import dataset_tool
from tests.conftest import PROJECT

RNG = np.random.default_rng(0)
STARTING = 2  # seconds of a processor that a process takes before it can read, at most
# The timer that ends it counts whole ticks (of 10 ms or less) that found the process running, while
# `getrusage` counts exactly. Between others the process runs for parts of ticks: of 400 the number
# found is off by 20 in the standard deviation, 0.2 seconds, and by four of these hardly ever.
TICKS = 0.8
TENSORFLOW = 720 * 2**20  # bytes that a process has in memory when TensorFlow is loaded


def tiff_of(pages: int) -> bytes:
    """Grey pages of 4×4 pixels, which share their pixels."""
    entries = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 4),
               (279, 16)]  # fmt: skip
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    size = 2 + len(fields) + 4
    first = 8 + 16
    folders = [
        struct.pack("<H", len(entries)) + fields
        + struct.pack("<I", first + size * (i + 1) if i + 1 < pages else 0)
        for i in range(pages)
    ]  # fmt: skip
    return b"II*\0" + struct.pack("<I", first) + bytes(range(16)) + b"".join(folders)


def gif_of(frames: int) -> bytes:
    """A black pixel, again and again."""
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    colours = b"GIF89a" + struct.pack("<2H3B", 1, 1, 0x80, 0, 0) + bytes(6)
    return colours + frame * frames + b"\x3b"


def lying_jpeg(path: Path, width: int, height: int) -> None:
    """A JPEG of 64×64 pixels whose header states another size."""
    pixels = Image.fromarray(RNG.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64))
    pixels.save(path, "JPEG")
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    red = (200, 30, 40)
    Image.new("RGB", (10000, 9800), red).save(folder / "98.webp", quality=0, method=0)
    Image.new("RGB", (7000, 6700), red).save(folder / "47.webp", quality=0, method=0)
    Image.new("RGB", (10000, 9800), red).save(folder / "98.png", compress_level=1)
    Image.new("RGB", (7000, 7000), red).save(folder / "49.jpg", progressive=True)
    Image.new("RGB", (5000, 4000), red).save(folder / "20.avif", quality=30, speed=10)
    Image.new("RGB", (5000, 4000), red).save(folder / "20.jp2")
    flat = Image.new("P", (10000, 9800))
    flat.putpalette(red)
    flat.save(folder / "98.gif")
    (folder / "pages.tif").write_bytes(tiff_of(20_000))
    (folder / "frames.gif").write_bytes(gif_of(50_000))
    lying_jpeg(folder / "lie.jpg", 11000, 9000)
    with open(folder / "large.png", "wb") as file:
        file.truncate(2**30)  # no room on the disk, but in memory
    return folder


def apart_pid():
    assert limits._APART._process
    return limits._APART._process.pid


@pytest.fixture
def patient(monkeypatch):
    """What is read apart may take as long as it likes: what comes of it depends on no load."""
    monkeypatch.setattr(limits, "PROGRAM", PATIENT)
    monkeypatch.setattr(limits, "_APART", apart := limits._Apart())
    yield
    apart._process.kill()
    apart._process.wait()


def cpu() -> float:
    """Seconds of a processor that this process and the one apart have taken."""
    fields = Path(f"/proc/{apart_pid()}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def cost(function, *arguments, **options):
    """What a call returns, and the seconds of a processor that it took."""
    before = cpu()
    return function(*arguments, **options), cpu() - before


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
EXPECTED = {
    "98.webp": "found 10000x9800 pixels, expected at most 48 megapixels",
    "47.webp": None,
    "98.png": None,
    "49.jpg": None,
    "20.avif": None,
    "20.jp2": None,
    "98.gif": None,
    "pages.tif": None,
    "frames.gif": None,
    "lie.jpg": "cannot be read as an image (its header states more pixels than its bytes can hold)",
    "large.png": f"takes more than {limits.MEMORY >> 20} MiB of memory to read",
}


PATIENT = limits.PROGRAM.replace("limits.main", "limits.SECONDS = 1000; limits.main")
# A bomb may take as long as ordinary images of 128 megapixels, 4 seconds on a core that has nothing
# else to do; on a busy one, both take longer.
ORDINARY, AS_MANY = (4000, 4000), 8


@pytest.mark.slow
@needs_proc
def test_each_bomb_becomes_an_image_or_a_reason_as_soon_as_ordinary_images(
    bombs, tmp_path, patient, counted
):
    pixels = Image.fromarray(RNG.integers(0, 256, (200, 200, 3), np.uint8)).resize(ORDINARY)
    pixels.save(tmp_path / "ordinary.png", compress_level=1)
    evidence.read(bombs / "pages.tif", Whole(16))  # starts the process
    for name, error in EXPECTED.items():
        _, before = cost(evidence.read, tmp_path / "ordinary.png", Whole(16))
        found, own = cost(evidence.read, bombs / name, Whole(16), thumbnail=True)
        _, after = cost(evidence.read, tmp_path / "ordinary.png", Whole(16))
        assert own < AS_MANY * max(before, after)
        assert found.error == error
        assert found.sha256
        if found.error is None and name not in ("pages.tif", "frames.gif"):
            assert np.abs(found.pixels.astype(int) - (200, 30, 40)).max() < 6
    counted(len(EXPECTED), len([*bombs.iterdir()]))


def test_many_pages_are_not_counted_to_the_end(tmp_path):
    path = tmp_path / "pages.tif"
    path.write_bytes(tiff_of(20_000))
    found = evidence.read(path, Whole(16))
    assert found.header.frames == evidence.MOST_FRAMES + 1
    assert evidence.preprocessing(found.header, 16)["frame"] == "1 of more than 1000"
    assert "first of more than 1000 pictures taken" in evidence._steps(found.header, 16, None)[1]
    np.testing.assert_array_equal(found.pixels[0, ::4, ::4, 0].shape, (4, 4))


PROGRAM = """
import sys
from pathlib import Path
from gan_fingerprints import limits, workers
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.seeing import Whole
from functools import partial
workers.cores = lambda: 8
limits.PROGRAM = sys.argv[2]
read = partial(answering.read, seeing=Whole(64))
paths = sorted(Path(sys.argv[1]).iterdir()) * 2
rows = list(answering.answered(read, paths, lambda pixels: [0] * len(pixels), 64))
def peak(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
answers = sum(a == 0 for picture, a in rows)
print(len(rows), answers, peak("self"), peak(limits._APART._process.pid))
"""


@pytest.mark.slow
@needs_proc
def test_eight_threads_of_bombs_stay_below_one_and_a_half_gibibytes(bombs, counted):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, bombs, PATIENT], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows, answers, here, apart = map(int, done.stdout.split())
    print(f"{here >> 20} MiB here, {apart >> 20} apart")
    assert (rows, answers) == (22, 16)
    assert apart <= limits.MEMORY + 100 * 2**20
    # What is read apart has the whole budget, so the two peaks do not fall together.
    assert TENSORFLOW + max(here, apart) < 1.5 * 2**30
    counted(rows, rows)


@pytest.mark.slow
def test_what_dies_or_never_ends_is_a_reason_and_the_next_is_read():
    apart = limits._Apart()

    def ask(*call):
        return apart.call(pickle.dumps(call))

    assert ask(abs, -3) == 3
    with pytest.raises(limits.ExceededError, match="ended with status 7"):
        ask(os._exit, 7)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(limits.ExceededError, match="takes more than 4 seconds"):
        ask(eval, "any(0 for _ in iter(int, 1))")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert 4 - TICKS < spent < 4 + TICKS + STARTING  # of a processor, however long that took
    with pytest.raises(limits.ExceededError, match="takes more than 768 MiB"):
        ask(bytearray, 10**9)
    with pytest.raises(ValueError, match="invalid literal"):
        ask(int, "x")
    assert ask(len, bytearray(3 * 10**8)) == 3 * 10**8
    apart._process.stdin.close()  # as when this process ends
    assert apart._process.wait(10) == 0


def test_threads_wait_until_there_is_room():
    here, most = [0], [0]
    lock = threading.Lock()

    def read(pixels):
        limits.announce(pixels)
        with lock:
            here[0] += pixels
            most[0] = max(most[0], here[0])
        time.sleep(0.02)
        with lock:
            here[0] -= pixels
        return pixels

    def one(pixels):
        return limits.within(read, pixels)

    sizes = [24_000_000, 20_000_000, 60_000_000, 2_000_000] * 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, sizes)) == sizes
    assert 44_000_000 <= most[0] <= 62_000_000  # one that is larger than all has nothing beside it
    assert limits._BUDGET._free == limits.PIXELS
    assert limits.within(lambda: limits.within(read, 3_000_000)) == 3_000_000


def test_what_cannot_be_sent_is_read_here(tmp_path):
    path = tmp_path / "pages.tif"
    path.write_bytes(tiff_of(3))
    found = answering.read(path, Whole(4), change=lambda pixels, _: 255 - pixels)
    np.testing.assert_array_equal(found.pixels[0, ..., 0], 255 - np.arange(16).reshape(4, 4))


def test_no_name_keeps_an_image_from_being_read_apart(tmp_path, monkeypatch):
    """Only what the program itself defines does."""
    path = tmp_path / "__main__.tif"
    path.write_bytes(tiff_of(3))
    requests, call = [], limits._APART.call
    monkeypatch.setattr(limits._APART, "call", lambda *x: requests.append(x) or call(*x))
    for module, apart in ((images.__name__, 1), ("__main__", 0), ("__mp_main__", 0)):
        monkeypatch.setattr(images._changed, "__module__", module)
        monkeypatch.setitem(sys.modules, "__mp_main__", images)
        requests.clear()
        assert images.read_image(path).shape == (4, 4, 3)
        assert len(requests) == apart


def test_what_every_tool_reads_is_within_the_limits(tmp_path, monkeypatch):
    """Images that cost much are read by the other process, and come out as they are."""
    source = tmp_path / "in" / "a"
    source.mkdir(parents=True)
    path, grey = source / "pages.tif", np.arange(16).reshape(4, 4, 1).repeat(3, 2)
    path.write_bytes(tiff_of(3))
    with lmdb.open(str(tmp_path / "lmdb")) as database, database.begin(write=True) as transaction:
        transaction.put(b"key", path.read_bytes())
    lsun, attack = (
        databases.Lmdb(tmp_path / "lmdb", "IN"),
        perturbations.Perturbation("noise", 0, 0),
    )

    def attacked():
        perturb.attack_one(attack, tmp_path, False, perturb.Job(path, "out.png"))
        return np.asarray(Image.open(tmp_path / "out.png"))

    calls, call = [], limits._APART.call
    monkeypatch.setattr(limits._APART, "call", lambda *x: calls.append(x) or call(*x))
    for read, expected in (
        (lambda: images.read_image(path), grey),
        (lambda: folder.square_image(path, 4), grey),
        (lambda: folder.lsun_image(b"key", 4, lsun), grey),
        (lambda: dataset_tool.read_fitted(4, path)[0], grey),
        (lambda: dataset_tool.read_exact((4, 4), "", path)[0], grey),
        (lambda: dataset_tool.read_key(4, lsun, b"key")[0], grey),
        (lambda: dataset_tool.usual_size([path]), 4),
        (lambda: preparation.common_size([str(path)], False)[0], 4),
        (lambda: contact_sheet.samples_of(tmp_path / "in", 1, 4)["a"][0], grey),
        (attacked, grey),
    ):
        np.testing.assert_array_equal(read(), expected)
        assert len(calls) == 1
        calls.clear()


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_whose_data_ends_before_the_image_is_refused(tmp_path, mode, options):
    path = tmp_path / "a.jpg"
    image = Image.fromarray(RNG.integers(0, 256, (8, 9, 3), np.uint8)).resize((90, 80))
    image.convert(mode).save(path, **options)
    content = path.read_bytes()
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(images.read_image(path), expected)
    path.write_bytes(content[: len(content) * 3 // 4] + truncation.JPEG_END)
    with pytest.raises(images.ImageError, match="image file is truncated"):
        images.read_image(path)
    lying_jpeg(path, 64, 128)
    with pytest.raises(images.ImageError, match="image file is truncated"):
        images.read_image(path)
    for grey in (127, 128):
        Image.new(mode, (90, 80), (grey,) * len(Image.new(mode, (1, 1)).getbands())).save(path)
        assert images.read_image(path).shape == (80, 90, 3)
