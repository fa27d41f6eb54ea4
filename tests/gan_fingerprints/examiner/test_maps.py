"""Maps of images as files: one for each image that has tiles, under names that do no harm."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.mapping import Tile
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.examiner import maps
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.pictures import tile_map
from gan_fingerprints.program import UserError

TILES = (Tile(0, 0, 40, 3.0, "real", 1.0), Tile(40, 0, 40, -1.5, "a_GAN", 1.0))


def jpeg():
    file = io.BytesIO()
    Image.new("RGB", (40, 20), "green").save(file, "JPEG")
    return file.getvalue()


def test_each_image_with_tiles_has_a_file(tmp_path):
    names = ["../../\x1b[2J.png", "no tiles.png", "=cmd().png"]
    with maps.written(tmp_path / "new" / "maps") as written:
        for name in names:
            path, row = Path(name), Attribution(Path(name), "real", {"real": 0.9, "a_GAN": 0.1})
            specimen = Specimen(path, None, (80, 40), thumbnail=jpeg())
            one = Examined(specimen, row, tiles=None if "no" in name else TILES)
            record = {"path": name, "verdict": "real", "most_probable": "real"}
            written.add(one, record)
        assert not (tmp_path / "new" / "maps").exists()
    files = maps.files(tmp_path / "new" / "maps")
    assert [Path(file).name for file in files] == ["000001.png", "000003.png", maps.LIST]
    with open(files[2], newline="", encoding="utf-8") as lines:
        assert list(csv.reader(lines)) == [
            ["map", "path", "verdict", "most_probable"],
            ["000001.png", r"../../\x1b[2J.png", "real", "real"],
            ["000003.png", "'=cmd().png", "real", "real"],
        ]
    with Image.open(files[0]) as picture:
        assert picture.size == (520, 260)


def test_colours_are_those_of_mean_ratios():
    places = [(0, 0, 20), (0, 0, 20), (20, 0, 20)]
    shown = tile_map.drawn(jpeg(), (40, 20), places, [6.0, 0.0, 0.0])  # a mean of 3 on the left
    grey = 0.587 * 128  # of green
    full = 0.35 * grey + 0.65 * tile_map.FOR
    np.testing.assert_allclose(shown[:, :250], np.broadcast_to(full, (260, 250, 3)), atol=2)
    np.testing.assert_allclose(shown[:, 270:], grey, atol=2)


def test_an_interrupted_run_leaves_no_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), maps.written(str(tmp_path / "maps")):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with maps.written(None) as nothing:
        assert nothing is None


def test_mistakes(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    new = str(tmp_path / "new")
    for message, mistake in {
        r"--maps: found --map 0, which makes none": (new, False, []),
        r"--maps .*full: already exists; name a new one": (str(tmp_path / "full"), True, []),
        r"--maps .*new: .*new/a would be in it; name another": (new, True, [f"{new}/a"]),
    }.items():
        with pytest.raises(UserError, match=message):
            maps.check(*mistake)
    maps.check(new, True, [f"{new}_1/a", "b"])
