"""Links to images: which, in which order, and into which split."""

import numpy as np
import pytest
from PIL import Image

from experiments.choose import chosen
from gan_fingerprints.program import UserError


@pytest.fixture
def photos(tmp_path):
    """Ten images whose colour is their number."""
    for i in range(10):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


def numbers(folder):
    return [int(np.asarray(Image.open(path))[0, 0, 0]) for path in sorted(folder.iterdir())]


def test_choices_with_one_seed_share_one_order(photos, tmp_path, run_script):
    def choose(name, *flags):
        run_script("experiments/choose.py", "--in_dir", photos, "--out_dir", tmp_path / name,
                   "--seed", 3, *flags)  # fmt: skip
        return numbers(tmp_path / name)

    order = np.random.default_rng(3).permutation(10).tolist()
    assert choose("first", "--num", 6) == order[:6]
    assert choose("rest", "--num", 4, "--first", 6) == order[6:]
    other = choose("other", "--num", 6, "--replace", 2, "--spare", 7)
    assert other == [*order[:4], *order[7:9]]


def test_without_a_seed_the_names_decide(photos):
    files = sorted(photos.iterdir())
    assert chosen(files, 3, 2, None) == files[2:5]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((11, 0, None), "found 10 images, expected 11"),
        ((5, 6, None), "expected 11 or more for --num 5 from --first 6"),
        ((5, 0, None, 2, 9), "expected 11"),
        ((5, 0, None, 2, 4), "outside 0 to 4"),
        ((2, 0, None, 3, 5), "at most 2"),
    ],
)
def test_what_cannot_be_chosen(photos, asked, message):
    with pytest.raises(UserError, match=message):
        chosen(sorted(photos.iterdir()), *asked)


def test_split(photos, tmp_path, run_script):
    run_script("experiments/split.py", "--out_dir", tmp_path / "set", "--training", 5,
               "--validation", 2, "--testing", 3, photos)  # fmt: skip
    found = {split.name: numbers(split / "photos") for split in (tmp_path / "set").iterdir()}
    assert found == {"training": [0, 1, 2, 3, 4], "validation": [5, 6], "testing": [7, 8, 9]}


def test_split_of_too_few(photos, tmp_path, run_script):
    done = run_script("experiments/split.py", "--out_dir", tmp_path / "set", "--training", 9,
                      "--validation", 1, "--testing", 1, photos, check=False)  # fmt: skip
    assert done.returncode == 2
    assert "found 10 images, expected 11" in done.stderr
    assert not (tmp_path / "set").exists()
