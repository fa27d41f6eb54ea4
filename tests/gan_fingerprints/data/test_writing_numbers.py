"""What is written, level by level: pictures larger than the cache, one level, labels' shapes."""

import numpy as np
import pytest

from gan_fingerprints.data import layout, writing


def halved(image):
    """Means of 2×2 in double precision; image [C, H, W]."""
    return (
        image[:, ::2, ::2] + image[:, 1::2, ::2] + image[:, ::2, 1::2] + image[:, 1::2, 1::2]
    ) / 4


@pytest.mark.parametrize(("side", "number"), [(512, 2), (64, 50)])
def test_every_level_is_the_mean_of_the_picture_rounded_last(side, number):
    pictures = np.random.default_rng(0).integers(0, 256, (number, side, side, 3), np.uint8)
    sides = [side, side // 2, side // 4]
    blocks, _ = writing.encode(pictures, number + 3, sides)
    levels = [picture.transpose(2, 0, 1).astype(float) for picture in pictures]
    for block, resolution in zip(blocks, sides, strict=True):
        assert len(block) == number
        np.testing.assert_array_equal(block["pixels"], np.rint(levels))
        assert block.dtype == layout.record_layout(resolution).dtype
        levels = [halved(level) for level in levels]


@pytest.mark.parametrize(("every_level", "sides"), [(True, [32, 16, 8, 4]), (False, [32])])
def test_levels_of_a_writer(tmp_path, every_level, sides):
    with writing.Writer(tmp_path, "x", 32, every_level=every_level) as writer:
        assert list(writer.resolutions) == sides
    assert len(list(tmp_path.iterdir())) == len(sides)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (4, 2), (3, 2, 1)])
def test_labels_are_one_row_for_each_image(tmp_path, shape):
    with pytest.raises(ValueError, match=r"expected \[3, sources\]"):
        writing.write_labels(tmp_path / "labels", np.zeros(shape), 3)
    facts = writing.write_labels(tmp_path / "labels", np.eye(3), 3)
    assert facts["records"] == 3
