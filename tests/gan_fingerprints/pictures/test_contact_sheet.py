"""One picture with a row of samples per source."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.pictures import contact_sheet
from gan_fingerprints.program import UserError
from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Three sources, one colour each; the images of the second get brighter."""
    folder = tmp_path_factory.mktemp("sheet")
    for name, colour in (("a", (200, 0, 0)), ("b", (0, 0, 0)), ("real", (0, 0, 200))):
        (folder / name).mkdir()
        for i in range(5):
            pixels = np.full((8, 8, 3), colour, np.uint8)
            pixels[..., 1] = 20 * i if name == "b" else 0
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "gan_fingerprints", "contact_sheet", *map(str, arguments)],
        cwd=PROJECT, capture_output=True, text=True,
    )  # fmt: skip


def test_samples_are_spread_over_the_folder(sources):
    samples = contact_sheet.samples_of(sources, 3, 4)
    assert list(samples) == ["a", "b", "real"]
    assert samples["b"].shape == (3, 4, 4, 3)
    np.testing.assert_array_equal(samples["b"][:, 0, 0, 1], [0, 40, 80])


def test_sources_that_are_left_out_are_not_in_the_picture(sources, tmp_path):
    every, some = tmp_path / "every.png", tmp_path / "some.png"
    assert run(sources, every).stdout == f"wrote {every}\n"
    assert run(sources, some, "--without", "real", "--num", "2").returncode == 0
    with Image.open(every) as picture:
        assert (0, 0, 200) in picture.convert("RGB").get_flattened_data()
    with Image.open(some) as picture:
        colours = set(picture.convert("RGB").get_flattened_data())
    assert (200, 0, 0) in colours
    assert (0, 0, 200) not in colours


def test_leaving_out_every_source_says_so(sources, tmp_path):
    with pytest.raises(UserError, match=r"--without leaves none of .*: a, b, real"):
        contact_sheet.samples_of(sources, 3, 4, ["a", "b", "real"])
    done = run(sources, tmp_path / "none.png", "--without", "a", "b", "real")
    assert done.returncode == 2
    assert not (tmp_path / "none.png").exists()
