"""All sources through the same processing: what comes out, and that the audit has less to say."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.__main__ import run
from gan_fingerprints.data.audit.facts import jpeg_quality
from gan_fingerprints.data.harmonize import Processing, power_of_two
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import UserError
from tests.gan_fingerprints.data.audit.pictures import clouds

RNG = np.random.default_rng(0)


def harmonize(in_dir, out_dir, *flags):
    run(["harmonize", "--in_dir", str(in_dir), "--out_dir", str(out_dir), *map(str, flags)])
    return out_dir


def noise(height, width):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def save(folder, **pictures):
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
        stem, suffix = name.rsplit("_", 1)
        Image.fromarray(pixels).save(folder / f"{stem}.{suffix}")


def pixels_of(path):
    return np.asarray(Image.open(path))


@pytest.fixture
def sources(tmp_path):
    """Three images of each of two sources, the smallest of 40 pixels."""
    for name in ("a", "b"):
        save(tmp_path / "in" / name, x_png=noise(40, 64), y_jpg=noise(70, 50), z_bmp=noise(64, 64))
    return tmp_path / "in"


def contents(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_what_the_audit_warned_of_is_gone_or_named(tmp_path, capsys):
    gan, real = clouds(120, 1), clouds(120, 2)
    (tmp_path / "in" / "gan").mkdir(parents=True)
    (tmp_path / "in" / "real").mkdir()
    for i in range(120):
        Image.fromarray(gan[i]).save(tmp_path / "in" / "gan" / f"{i:03d}.png")
        larger = Image.fromarray(np.pad(real[i], [(8, 8), (8, 8), (0, 0)], mode="wrap"))
        larger.save(tmp_path / "in" / "real" / f"{i:03d}.jpg", quality=85 + i % 9)
    harmonize(tmp_path / "in", tmp_path / "plain", "--by", "crop")
    said = capsys.readouterr().out
    gone = re.search("no longer does: (.*)", said)[1].split(", ")
    assert {"file format", "image size", "JPEG quality"} <= set(gone)
    # The grid and the colours of the earlier JPEG are left, and what to do about that is said.
    assert re.search("What still does: .*fine colour detail.*--jpeg_quality", said)
    assert re.search("What still does: grid of a JPEG; an earlier JPEG cannot be undone", said)
    harmonize(tmp_path / "in", tmp_path / "out", "--by", "crop", "--jpeg_quality", 30)
    said = capsys.readouterr().out
    gone = re.search("no longer does: (.*)", said)[1].split(", ")
    assert {"file format", "image size", "JPEG quality", "grid of a JPEG"} <= set(gone)
    assert {"fine colour detail", "file size per pixel", "all together"} <= set(gone)
    assert "What still does" not in said
    tables = re.findall(r"fine colour detail +([\d.]+) %", said)
    assert float(tables[0]) > 95  # before
    assert float(tables[1]) < 65  # after
    assert said.index("Before\nData audit") < said.index("After\nData audit")
    assert said.endswith(f"240 images, png of 64x64 pixels, JPEG quality 30: {tmp_path / 'out'}\n")


def test_by_default_squares_are_shrunk_to_the_smallest_power_of_two(sources, tmp_path, capsys):
    out = harmonize(sources, tmp_path / "out", "--audit", 0)
    assert f"size: 32, which {sources / 'a' / 'x.png'} has room for" in capsys.readouterr().out
    names = [f"{source}/{stem}.png" for source in "ab" for stem in "xyz"]
    assert sorted(contents(out)) == names
    wide = Image.fromarray(pixels_of(sources / "a" / "x.png")[:, 12:52])
    np.testing.assert_array_equal(
        pixels_of(out / "a" / "x.png"), np.asarray(wide.resize((32, 32), Image.Resampling.LANCZOS))
    )
    high = Image.fromarray(pixels_of(sources / "b" / "y.jpg")[10:60])
    np.testing.assert_array_equal(
        pixels_of(out / "b" / "y.png"), np.asarray(high.resize((32, 32), Image.Resampling.LANCZOS))
    )


def test_crops_begin_at_whole_blocks_of_the_image_as_it_is_looked_at(sources, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = noise(48, 70)
    Image.fromarray(stored).save(sources / "a" / "turned.png", exif=exif)
    out = harmonize(sources, tmp_path / "out", "--by", "crop", "--size", 20, "--audit", 0)
    # (64 - 20) / 2 = 22 → 16, (40 - 20) / 2 = 10 → 8
    np.testing.assert_array_equal(
        pixels_of(out / "a" / "x.png"), pixels_of(sources / "a" / "x.png")[8:28, 16:36]
    )
    upright = np.rot90(stored, -1)  # 70 high, 48 wide: 25 → 24, 14 → 8
    np.testing.assert_array_equal(pixels_of(out / "a" / "turned.png"), upright[24:44, 8:28])
    assert not Image.open(out / "a" / "turned.png").getexif()


def test_qualities_follow_from_seed_and_name_alone(sources, tmp_path, capsys):
    flags = ("--jpeg_quality", "30-90", "--format", "jpg", "--audit", 0, "--size", 32)
    out = contents(harmonize(sources, tmp_path / "1", *flags))
    assert "jpg of 32x32 pixels, JPEG quality 30 to 90" in capsys.readouterr().out
    way = Processing(32, "resize", (30, 90), "jpg", 0)
    originals = {"x": "x.png", "y": "y.jpg", "z": "z.bmp"}
    drawn = {}
    for name, content in out.items():
        source, stem = name.removesuffix(".jpg").split("/")
        drawn[name] = way.quality(f"{source}/{originals[stem]}")
        assert abs(jpeg_quality(Image.open(io.BytesIO(content)).quantization) - drawn[name]) <= 1
    assert len(set(drawn.values())) > 3
    assert all(30 <= quality <= 90 for quality in drawn.values())
    save(sources / "a", more_png=noise(40, 40))
    again = contents(harmonize(sources, tmp_path / "2", *flags))
    assert {name: again[name] for name in out} == out
    other = contents(harmonize(sources, tmp_path / "3", *flags, "--seed", 1))
    assert sum(other[name] != out[name] for name in out) > 3
    # As PNG, the same pixels.
    flags = tuple("png" if flag == "jpg" else flag for flag in flags)
    plain = harmonize(sources, tmp_path / "4", *flags)
    for name, content in out.items():
        expected = np.asarray(Image.open(io.BytesIO(content)))
        found = pixels_of(plain / name.replace(".jpg", ".png"))
        np.testing.assert_array_equal(found, expected)


def test_qualities_of_a_range_are_drawn_evenly():
    way = Processing(32, "crop", (60, 79), "png", 5)
    drawn = [way.quality(f"real/{i}.png") for i in range(4000)]
    counts = np.bincount(drawn)[60:]
    assert counts.sum() == 4000
    assert counts.min() > 140  # of 200 each, by four deviations
    assert counts.max() < 260
    assert Processing(32, "crop", None, "png", 5).quality("x") is None


def test_bad_images_and_bad_flags_leave_nothing(sources, tmp_path, capsys):
    def fails(expected, *flags, out=tmp_path / "out"):
        with pytest.raises(UserError, match=expected):
            harmonize(sources, out, *flags)
        assert not (tmp_path / "out").exists()

    fails("--jpeg_quality is missing: --format jpg needs it", "--format", "jpg")
    for quality in ("0", "101", "90-60", "60-", "-60", "x"):
        fails("--jpeg_quality: found .*expected a quality from 1 to 100, or LOW-HIGH",
              f"--jpeg_quality={quality}")  # fmt: skip
    fails("already exists", out=sources)
    fails(r"x\.png: found 64x40 pixels, expected 50 or more", "--size", 50, "--audit", 0)
    save(sources / "a", x_bmp=noise(64, 64))
    fails(r"x\.bmp and .*x\.png, which would both become a/x\.png")
    (sources / "a" / "x.bmp").unlink()
    save(sources / "a", small_png=noise(8, 64))
    fails(r"small\.png: found 8 pixels at its shorter side, expected 16 or more")
    (sources / "b" / "bad.png").write_text("no image")
    fails("bad.png", "--audit", 0)
    flags = ("--size", 32, "--skip_bad_images")
    out = harmonize(sources, tmp_path / "fine", *flags)
    assert len(contents(out)) == 6
    said = capsys.readouterr().out
    assert "skipped: " in said
    assert re.search(r"skipped: .*small\.png: found 64x8 pixels", said)
    assert "6 images, png of 32x32 pixels" in said
    for path in (sources / "b").iterdir():
        path.write_text("no image")
    fails("found no usable image in b", *flags, "--audit", 0)


def test_animations_are_told(sources, tmp_path, capsys):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(sources / "b" / "film.gif", save_all=True, append_images=frames[1:])
    out = harmonize(sources, tmp_path / "out", "--audit", 0)
    assert "several pictures (animations, pages): 1; the first was" in capsys.readouterr().out
    assert (pixels_of(out / "b" / "film.png") == [255, 0, 0]).all()


def test_power_of_two():
    assert [power_of_two(n) for n in (1, 2, 3, 4, 127, 128, 129)] == [1, 2, 2, 4, 64, 128, 128]


def test_nothing_is_enlarged():
    way = Processing(64, "resize", None, "png", 0)
    with pytest.raises(ImageError, match="p: found 63x90 pixels, expected 64 or more"):
        way.fitted(Image.new("RGB", (63, 90)), "p")
