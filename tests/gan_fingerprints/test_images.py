import math
import operator
import struct
import subprocess
import sys
import time
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from gan_fingerprints import formats, images, workers
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import UserError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = RGB[..., 0]
ALPHA = RGB[..., 1]
formats.heif()


def saved(path, image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_reads_rgb_exactly(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", RGB, **({"lossless": True} if suffix == "webp" else {}))
    image = images.read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, RGB)


def test_reads_jpeg_as_pillow_does(tmp_path):
    path = saved(tmp_path / "a.jpg", RGB, quality=90)
    np.testing.assert_array_equal(images.read_image(path), np.asarray(Image.open(path)))


def test_drops_alpha_instead_of_compositing(tmp_path):
    rgba = np.dstack([RGB, ALPHA])
    grey_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)])
    np.testing.assert_array_equal(images.read_image(saved(tmp_path / "a.png", rgba)), RGB)
    np.testing.assert_array_equal(
        images.read_image(saved(tmp_path / "b.png", grey_alpha)), np.dstack([GREY] * 3)
    )


# How far lossy ones are from the original at most; the others keep every level.
EXACTLY = {"gif": 0, "jp2": 0, "j2k": 0, "jpx": 0, "avif": 4, "heic": 2, "heif": 2, "jfif": 20}
BEST = {
    "avif": {"quality": 100, "subsampling": "4:4:4"},
    "heic": {"quality": -1, "chroma": 444},
    "heif": {"quality": -1, "chroma": 444},
    "jfif": {"format": "JPEG", "quality": 100, "subsampling": 0},
    "jpx": {"format": "JPEG2000"},
}


@pytest.mark.parametrize("suffix", EXACTLY)
def test_reads_later_formats(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix.upper()}", RGB // 64 * 64, **BEST.get(suffix, {}))
    image = images.read_image(path)
    assert np.abs(image.astype(int) - RGB // 64 * 64).max() <= EXACTLY[suffix]
    assert images.find_images(tmp_path) == [path]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif", "tif", "heic"])
def test_of_several_pictures_the_first_is_read(tmp_path, suffix):
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("#c00000", "#00c000", "#0000c0")]
    pictures[0].save(tmp_path / f"3.{suffix}", save_all=True, append_images=pictures[1:])
    pictures[0].save(tmp_path / f"1.{suffix}")
    for number, several in ((3, True), (1, False)):
        image = images.open_image(tmp_path / f"{number}.{suffix}")
        assert np.abs(np.asarray(image, int) - [192, 0, 0]).max() <= 6
        assert image.info[formats.FIRST] is several


def test_formats_of_expensive_decoders_may_have_fewer_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MOST_PIXELS", {"AVIF": 53, "HEIF": 53, "JPEG2000": 53})
    for suffix in ("avif", "heic", "jp2"):
        with pytest.raises(ImageError, match="found 9x6 pixels, expected at most"):
            images.read_image(saved(tmp_path / f"a.{suffix}", RGB))
    assert images.read_image(saved(tmp_path / "a.gif", RGB)).shape == RGB.shape


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", True),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heix", True),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", False),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1heix", False),  # behind the brands
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf", False),
        (b"\xff\xd8\xff\xe0", False),
        (b"", False),
    ],
)
def test_heic_is_known_by_its_brands(head, expected):
    assert formats.is_heif(head) is expected


def test_without_its_package_heic_is_an_error_that_names_it(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.heic", RGB)
    formats.heif.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"a\.heic: .*HEIC needs .* pip install pillow-heif"):
        images.read_image(path)
    monkeypatch.undo()
    assert images.read_image(path).shape == RGB.shape


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255])])
def test_drops_the_transparency_of_a_palette(tmp_path, recwarn, transparency):
    palette = Image.fromarray(RGB).quantize(16)
    path = saved(tmp_path / "a.png", palette, transparency=transparency)
    np.testing.assert_array_equal(images.read_image(path), np.asarray(palette.convert("RGB")))
    assert not recwarn.list


@pytest.mark.parametrize("mode", ["L", "1", "CMYK"])
def test_converts_other_modes(tmp_path, mode):
    image = Image.fromarray(RGB).convert(mode)
    path = saved(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(images.read_image(path), np.asarray(image.convert("RGB")))


def test_grey_of_16_bits_becomes_the_nearest_of_8(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = images.read_image(saved(tmp_path / "a.png", values))
    np.testing.assert_array_equal(image, np.dstack([np.rint(values / 257)] * 3))


def test_refuses_pixels_of_more_than_16_bits(tmp_path):
    too_deep = Image.fromarray(np.full((4, 4), 70000, np.int32))
    for name, image in (("a.tif", too_deep), ("b.tif", Image.new("F", (4, 4)))):
        with pytest.raises(ImageError, match=f"{name}: .*expected 8 or 16"):
            images.read_image(saved(tmp_path / name, image))


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, RGB),
        (2, RGB[:, ::-1]),
        (3, RGB[::-1, ::-1]),
        (4, RGB[::-1]),
        (5, RGB.transpose(1, 0, 2)),
        (6, RGB.transpose(1, 0, 2)[::-1]),
        (7, RGB[::-1, ::-1].transpose(1, 0, 2)),
        (8, RGB.transpose(1, 0, 2)[:, ::-1]),
    ],
)
def test_applies_the_exif_orientation(tmp_path, orientation, stored):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(images.read_image(path), RGB)


@pytest.mark.parametrize("missing", [1, 12, 20, 0.5])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif", "jp2", "j2k", "heic"])
def test_truncated_files_are_named_errors(tmp_path, recwarn, suffix, missing):
    path = saved(tmp_path / f"a.{suffix}", RGB)
    content = path.read_bytes()
    length = len(content) // 2 if missing == 0.5 else len(content) - missing
    path.write_bytes(content[:length])
    with pytest.raises(ImageError) as error:
        images.read_image(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert not recwarn.list


def test_what_is_no_image_is_a_named_error(tmp_path):
    text, empty = tmp_path / "text.png", tmp_path / "empty.png"
    text.write_text("not an image")
    empty.touch()
    icon = saved(tmp_path / "icon.png", Image.new("L", (4, 4)), format="ICO")
    for path in (text, empty, icon, tmp_path, tmp_path / "missing.png"):
        with pytest.raises(ImageError, match=f"^{path}: "):
            images.read_image(path)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, recwarn):
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 10000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"0000")
    with pytest.raises(ImageError, match="20000x10000 pixels, expected at most 100 megapixels"):
        images.read_image(path)
    assert not recwarn.list


def test_reads_content_from_elsewhere(tmp_path):
    content = saved(tmp_path / "a.png", RGB).read_bytes()
    np.testing.assert_array_equal(images.read_image("x", content), RGB)
    with pytest.raises(ImageError, match=r"^database: image 7: "):
        images.read_image("database: image 7", content[:50])


def test_ignores_a_colour_profile(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    path = saved(tmp_path / "a.png", RGB, icc_profile=profile)
    np.testing.assert_array_equal(images.read_image(path), RGB)


def test_finds_images_by_suffix_sorted(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.TIFF", "notes.txt", ".hidden.png", "d.webp", "e.bmp"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in images.list_images(tmp_path, "--in_dir")]
    assert names == ["a.jpg", "b.PNG", "c.TIFF", "d.webp", "e.bmp"]


def test_a_folder_without_images_is_described(tmp_path):
    def message():
        with pytest.raises(UserError) as error:
            images.list_images(tmp_path, "--in_dir")
        return str(error.value)

    assert message().startswith(f"--in_dir {tmp_path}: found an empty folder, expected images")
    for name in ("x", "y", "z"):
        (tmp_path / name).mkdir()
    assert "found 3 subfolders, no images, expected" in message()
    (tmp_path / "notes.txt").touch()
    assert "found 3 subfolders and 1 other file, no images, expected" in message()
    with pytest.raises(UserError, match="found nothing, expected a folder"):
        images.list_images(tmp_path / "missing", "--in_dir")


def test_sources_are_sorted_subfolders(tmp_path):
    for name in ("B/2.png", "B/1.png", "A/1.png", ".cache/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    sources = images.list_sources(tmp_path, "--in_dir")
    assert {name: [path.name for path in paths] for name, paths in sources.items()} == {
        "A": ["1.png"],
        "B": ["1.png", "2.png"],
    }
    assert list(sources) == ["A", "B"]
    (tmp_path / "C").mkdir()
    (tmp_path / "C" / "notes.txt").touch()
    with pytest.raises(UserError, match="C: found 1 other file, no images"):
        images.list_sources(tmp_path, "--in_dir")
    with pytest.raises(UserError, match="A: found 1 image, expected one subfolder"):
        images.list_sources(tmp_path / "A", "--in_dir")


def test_empty_folders_and_those_of_macos_are_no_sources(tmp_path, capsys):
    for name in ("A/1.png", "B/1.png", "C/.DS_Store", "__MACOSX/A/1.png", "__MACOSX/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "D").mkdir()
    assert list(images.list_sources(tmp_path, "--in_dir")) == ["A", "B"]
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"left out: {tmp_path / 'C'}, which has nothing in it",
        f"left out: {tmp_path / 'D'}, which has nothing in it",
        f"left out: {tmp_path / '__MACOSX'}, which has no images but what macOS adds",
    ]


def test_resize_takes_the_whole_image_with_lanczos():
    expected = np.asarray(Image.fromarray(RGB).resize((8, 8), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(images.resize(RGB, 8), expected)
    assert images.resize(expected, 8) is expected


def test_center_square():
    np.testing.assert_array_equal(images.center_square(RGB), RGB[:, 1:7])
    np.testing.assert_array_equal(images.center_square(RGB.transpose(1, 0, 2)).shape, [6, 6, 3])
    for pixels in (RGB, RGB.transpose(1, 0, 2)):
        found = np.asarray(images.center_image(Image.fromarray(np.ascontiguousarray(pixels))))
        np.testing.assert_array_equal(found, images.center_square(pixels))


def test_value_ranges():
    levels = np.arange(256, dtype=np.uint8)
    floats = images.from_uint8(levels)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats[[0, 51, 255]], [-1, -0.6, 1], atol=1e-7)
    np.testing.assert_array_equal(images.to_uint8(floats), levels)
    wild = np.array([-7, -1.001, -0.999, 0.003, 1.001, 7], np.float32)
    np.testing.assert_array_equal(images.to_uint8(wild), [0, 0, 0, 128, 255, 255])


def test_writes_png_whole(tmp_path):
    images.write_png(tmp_path / "new" / "a.png", RGB)
    np.testing.assert_array_equal(images.read_image(tmp_path / "new" / "a.png"), RGB)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_grid_goes_row_by_row():
    cells = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((2, 3, 3), np.uint8)
    expected = np.kron([[1, 2, 3], [4, 5, 0]], np.ones((2, 3), np.uint8))
    np.testing.assert_array_equal(images.grid(cells)[..., 0], expected)
    assert images.grid(cells, columns=5).shape == (2, 15, 3)


def test_parallel_keeps_the_order():
    assert list(workers.parallel(math.sqrt, range(200), workers=2, chunk=7)) == [
        math.sqrt(i) for i in range(200)
    ]
    assert list(workers.parallel(math.sqrt, [4.0, 9.0])) == [2, 3]
    assert list(workers.parallel(math.sqrt, [])) == []


def test_an_exception_in_a_worker_arrives_as_itself():
    results = workers.parallel(partial(operator.truediv, 6), [*range(1, 90), 0, 1], workers=2)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_workers_do_not_import_tensorflow():
    question = "'tensorflow' in __import__('sys').modules"
    assert list(workers.parallel(eval, [question] * 64, workers=2)) == [False] * 64


def test_workers_have_imported_what_their_work_needs_when_they_start(tmp_path):
    root = str(Path(workers.__file__).parents[1])
    program = (
        f"import os, sys; sys.path[0] = {root!r}\n"
        "from functools import partial; from gan_fingerprints import workers\n"
        "from gan_fingerprints.data import crops\n"
        "before = os.environ.get('PYTHONPATH')\n"
        "workers._start_server(workers._modules_of(partial(max, crops.Crops(1, 2))))\n"
        "assert os.environ.get('PYTHONPATH') == before\n"
        'asked = \'"gan_fingerprints.data.crops" in __import__("sys").modules\'\n'
        "print(set(workers.parallel(eval, [asked] * 64, workers=2)))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "{True}\n"


def test_workers_do_not_run_far_ahead(tmp_path):
    names = [str(tmp_path / str(i)) for i in range(400)]
    touch = [f"open({name!r}, 'x').close()" for name in names]
    results = workers.parallel(eval, touch, workers=2, chunk=10)
    next(results)
    time.sleep(0.5)
    done = len(list(tmp_path.iterdir()))
    assert 10 <= done <= (3 * 2 + 1) * 10
    results.close()
    assert len(list(tmp_path.iterdir())) < 400
