import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.data.audit import looks, report
from gan_fingerprints.data.audit.copies import Known, digest_of, duplicates, known
from gan_fingerprints.data.audit.facts import (
    ImageFacts,
    block_pattern,
    facts_of,
    jpeg_quality,
    pixel_statistics,
)
from gan_fingerprints.data.audit.report import Gathered
from gan_fingerprints.data.audit.separability import (
    PROPERTIES,
    TOGETHER,
    Separability,
    separability,
)

FACTS = ImageFacts("PNG", "RGB", 64, 64, 2.0, 0, 0, 255, 110.0, 55.0, 40.0, 0.4, 1.1)


def many(n: int, seed: int, **changes) -> list[ImageFacts]:
    """Facts of n images whose continuous properties are drawn from one distribution."""
    rng = np.random.default_rng(seed)
    facts = []
    for _ in range(n):
        drawn = {
            "mean": rng.normal(110, 25),
            "contrast": rng.normal(55, 10),
            "saturation": rng.normal(40, 10),
            "colour_detail": rng.normal(0.4, 0.1),
            "blocks": rng.normal(1.1, 0.05),
            "bytes_per_pixel": rng.normal(2, 0.2),
            "low": int(rng.integers(0, 4)),
        }
        facts.append(FACTS._replace(**drawn | changes))
    return facts


def through_jpeg(image: np.ndarray, quality: int, subsampling: int = 2) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))


def texture(seed: int, side: int = 128) -> np.ndarray:
    """A smooth picture with fine detail of its own in every channel."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 190, (8, 8, 3), np.uint8)).resize((side, side))
    return np.clip(np.asarray(coarse) + rng.normal(0, 8, (side, side, 3)), 0, 255).astype(np.uint8)


def test_facts_of_a_png_and_a_jpeg(tmp_path):
    image = texture(0)
    png, jpeg = tmp_path / "a.png", tmp_path / "b.jpg"
    Image.fromarray(image).save(png)
    Image.fromarray(image[:64]).convert("L").save(jpeg, quality=60)
    small = image[::2, ::2]
    facts = facts_of(png.read_bytes(), image, small)
    assert facts[:6] == ("PNG", "RGB", 128, 128, png.stat().st_size / 128**2, 0)
    assert (facts.low, facts.high) == (small.min(), small.max())
    assert facts.blocks == block_pattern(image)
    facts = facts_of(jpeg.read_bytes(), image[:64], small)
    assert facts[:4] == ("JPEG", "L", 128, 64)
    assert abs(facts.jpeg_quality - 60) <= 1


def test_digests_are_of_the_pixels_alone():
    image = texture(0)
    assert len(digest_of(image)) == 16
    assert digest_of(image) == digest_of(image.copy())
    assert digest_of(image[::2, ::2]) == digest_of(image[::2, ::2].copy())
    changed = image.copy()
    changed[5, 5, 1] ^= 1
    assert digest_of(changed) != digest_of(image)


@pytest.mark.parametrize("quality", [15, 25, 49, 50, 51, 75, 90, 95])
def test_jpeg_quality_is_that_of_the_encoder(quality):
    file = io.BytesIO()
    Image.fromarray(texture(0, 16)).save(file, "JPEG", quality=quality)
    assert abs(jpeg_quality(Image.open(file).quantization) - quality) <= 1


def test_jpeg_quality_of_other_files_is_zero():
    assert jpeg_quality(None) == 0
    assert jpeg_quality({}) == 0


def test_pixel_statistics_of_closed_forms():
    image = np.empty((32, 32, 3), np.uint8)
    image[:] = [10, 40, 70]
    assert pixel_statistics(image) == pytest.approx((40, np.sqrt(600), 60, 0))
    image[:] = np.arange(32, dtype=np.uint8)[:, None]  # columns differ, rows and channels do not
    assert pixel_statistics(image) == pytest.approx((15.5, np.arange(32).std(), 0, 0))


def test_pixel_statistics_agree_with_all_pixels():
    image = texture(1)
    mean, contrast, saturation, detail = pixel_statistics(image)
    pixels = image.astype(float)
    assert mean == pytest.approx(pixels.mean(), abs=3)
    assert contrast == pytest.approx(pixels.std(), abs=3)
    assert saturation == pytest.approx(np.ptp(pixels, axis=2).mean(), abs=3)
    # The detail of red - green, independent and equally strong, is √2 that of green.
    assert detail == pytest.approx(np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("side", [4, 8, 9, 200])
def test_statistics_of_any_size_are_finite(side):
    image = texture(2, side)
    assert np.isfinite(pixel_statistics(image)).all()
    assert np.isfinite(block_pattern(image))


def test_jpeg_with_subsampled_colours_loses_colour_detail():
    image = texture(3)
    before = pixel_statistics(image)[3]
    assert pixel_statistics(through_jpeg(image, 95))[3] < 0.3 * before
    assert pixel_statistics(through_jpeg(image, 95, subsampling=0))[3] > 0.7 * before


def test_block_pattern_of_closed_forms():
    ramp = np.repeat(np.arange(128, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(128, axis=0)
    assert block_pattern(ramp) == pytest.approx(1)
    assert block_pattern(ramp // 8 * 8) == pytest.approx(8)
    assert block_pattern(np.full((40, 60, 3), 7, np.uint8)) == 0


@pytest.mark.parametrize("offset", [0, 3])
def test_jpeg_raises_the_block_pattern_wherever_the_grid_lies(offset):
    image = texture(4)
    assert block_pattern(image) < 1.2
    assert block_pattern(through_jpeg(image, 30)[:, offset:]) > 1.4


CUES = {
    "file format": {"format": "JPEG"},
    "image size": {"width": 178, "height": 218},
    "colour mode": {"mode": "RGBA"},
    "file size per pixel": {"bytes_per_pixel": 0.5},
    "JPEG quality": {"jpeg_quality": 75},
    "value range": {"low": 9},
    "mean brightness": {"mean": 250.0},
    "contrast": {"contrast": 5.0},
    "saturation": {"saturation": 0.0},
    "fine colour detail": {"colour_detail": 0.01},
    "8-pixel block pattern": {"blocks": 1.5},
}


@pytest.mark.parametrize("cue", PROPERTIES)
def test_one_cue_is_warned_about_and_nothing_else(cue):
    facts = {"real": many(60, 0), "gan_a": many(60, 1), "gan_b": many(60, 2, **CUES[cue])}
    found = {one.property: one for one in separability(facts)}
    warned = {name for name, one in found.items() if one.warning()}
    assert warned == {cue, TOGETHER}
    assert found[cue].accuracy == pytest.approx(2 / 3, abs=0.08)  # the other two stay mixed
    assert found[cue].chance == pytest.approx(1 / 3)
    assert found[cue].images == 180


def test_equal_distributions_are_not_warned_about():
    for seed in range(3):
        facts = {name: many(200, 10 * seed + i) for i, name in enumerate("abc")}
        for one in separability(facts, seed):
            assert one.warning() is None
            assert abs(one.accuracy - one.chance) < 0.08


def test_the_warning_has_the_numbers_in_it():
    one = Separability("image size", 0.983, 0.975, 0.989, 1 / 3, 900)
    assert one.warning() == (
        "image size alone can tell the sources apart (accuracy 98.3 % [97.5, 98.9], chance 33.3 %)"
    )
    weak = Separability("contrast", 0.5, 0.45, 0.55, 1 / 3, 900)
    assert "can partly tell" in weak.warning()
    assert Separability("contrast", 0.4, 0.38, 0.42, 1 / 3, 900).warning() is None


def test_sources_of_different_size_are_compared_at_the_smallest():
    found = separability({"a": many(500, 0), "b": many(20, 1)})
    assert {one.images for one in found} == {40}
    assert all(one.warning() is None for one in found)
    assert separability({"a": many(500, 0), "b": many(9, 1)}) == []


def test_separability_repeats_itself():
    facts = {"a": many(50, 0), "b": many(50, 1)}
    assert separability(facts) == separability(facts)


def test_duplicates_come_in_groups():
    digests = {"s/0": b"x", "s/1": b"y", "s/2": b"x", "s/3": b"z", "s/4": b"y", "s/5": b"x"}
    assert duplicates(digests) == [["s/0", "s/2", "s/5"], ["s/1", "s/4"]]


def test_digests_of_a_data_set_are_those_of_its_pixels():
    pixels = np.stack([texture(seed, 16) for seed in range(5)])
    data = SimpleNamespace(
        count=5, resolution=16, folder="x", images=lambda indices: pixels[indices]
    )
    there = known(data, chunk=2)
    assert there.records == {digest_of(pixels[i]): i for i in range(5)}
    np.testing.assert_array_equal(there.shapes, looks.shapes(looks.small(pixels)))
    assert there.name == "x"


def distinct(*sources: str, n: int = 20) -> dict[str, bytes]:
    files = [f"{source}/{i}.png" for source in sources for i in range(n)]
    return {file: file.encode() for file in files}


def test_copies_within_across_and_against_are_told_apart():
    facts = {"real": many(20, 0), "gan": many(20, 1)}
    digests = distinct("real", "gan")
    digests["real/3.png"] = digests["real/2.png"]
    digests["gan/5.png"] = digests["real/7.png"]
    against = Known("datasets/test", {digests["gan/9.png"]: 4, b"other": 0})
    result = report.examine(Gathered(facts, digests), against)
    assert result["copies"] == [["real/2.png", "real/3.png"], ["real/7.png", "gan/5.png"]]
    assert result["against"] == "datasets/test"
    assert result["also_there"] == {"gan/9.png": 4}
    across, within, shared = result["warnings"]
    assert "in several sources" in across
    assert across.endswith("1, e.g. real/7.png = gan/5.png")
    assert "more than once within a source: 1, e.g. real/2.png = real/3.png" in within
    assert "also in datasets/test: 1, e.g. gan/9.png = record 4" in shared


def test_a_clean_result_has_no_warnings_and_fits_json():
    facts = {"real": many(50, 0), "gan": many(50, 1)}
    result = report.examine(Gathered(facts, distinct("real", "gan")), Known("other", {}))
    assert result["warnings"] == []
    assert json.loads(json.dumps(result)) == result
    lines = report.text(result).splitlines()
    assert max(map(len, lines)) <= 120
    assert not any(line.startswith("warning") for line in lines)


def test_the_text_shows_each_source_each_property_and_each_warning():
    jpegs = many(30, 1, format="JPEG", jpeg_quality=90, width=150, height=150)
    mixed = [*many(15, 2), *many(15, 3, mode="L", width=32)]
    result = report.examine(Gathered({"real": jpegs, "gan": mixed}, distinct("real", "gan", n=77)))
    text = report.text(result)
    rows = [line.split()[:7] for line in text.splitlines()[2:4]]
    assert rows[0] == ["real", "77", "JPEG", "150×150", "RGB", "90", "0–255"]
    assert rows[1] == ["gan", "77", "PNG", "32–64×64", "L+RGB", "-", "0–255"]
    assert all(name in text for name in [*PROPERTIES, TOGETHER])
    assert text.count("\nwarning: ") == len(result["warnings"]) > 3
    assert "put every source through the same processing" in text


def test_too_few_images_are_said_to_be_too_few():
    text = report.text(report.examine(Gathered({"real": many(5, 0), "gan": many(50, 1)}, {})))
    assert "fewer than 10 images" in text


def test_the_jpeg_history_of_real_photos_is_noticed(reference):
    folders = {"real": reference("celeba64", "data"), "gan": reference("gan64/mmdgan", "data")}
    facts = {}
    for source, folder in folders.items():
        paths = sorted(folder.glob("*.png"))[:150]
        facts[source] = []
        for path in paths:
            pixels = images.read_image(path)
            facts[source].append(facts_of(path.read_bytes(), pixels, pixels))
    found = {one.property: one for one in separability(facts)}
    assert found["fine colour detail"].accuracy > 0.93
    assert "can tell" in found["fine colour detail"].warning()
    assert found["file format"].warning() is None
