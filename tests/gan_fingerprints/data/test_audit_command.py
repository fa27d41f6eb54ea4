"""`gan-fingerprints audit`: what preparation would warn of, without a data set."""

import json

import pytest
from PIL import Image

from gan_fingerprints import __main__ as command
from gan_fingerprints.program import UserError


def test_a_jpeg_among_pngs_is_warned_of_and_nothing_is_written(tmp_path, photo_crops, capsys):
    photo_crops(tmp_path / "in" / "a", 40, 32, 1)
    for path in photo_crops(tmp_path / "b", 40, 32, 2).iterdir():
        (tmp_path / "in" / "b").mkdir(exist_ok=True)
        Image.open(path).save(tmp_path / "in" / "b" / f"{path.stem}.jpg", quality=70)
    before = sorted(tmp_path.rglob("*"))
    words = ["audit", "--in_dir", str(tmp_path / "in"), "--resolution", "32"]
    command.run(words)
    printed = capsys.readouterr().out
    assert "warning: " in printed
    assert "harmonize" in printed or "same processing" in printed
    assert sorted(tmp_path.rglob("*")) == before
    command.run([*words, "--out_json", str(tmp_path / "found.json")])
    with pytest.raises(UserError, match="already exists; name a new one, or add --overwrite"):
        command.run([*words, "--out_json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["sources"]["a"]["format"] == "PNG"
    assert found["sources"]["b"]["format"] == "JPEG"


def test_what_is_no_image_is_one_line(tmp_path, photo_crops):
    for name in "ab":
        photo_crops(tmp_path / name, 3, 32)
    (tmp_path / "a" / "x.png").write_text("no image")
    words = ["audit", "--in_dir", str(tmp_path)]
    with pytest.raises(UserError, match=r"x\.png.*leave such out by --skip_bad_images"):
        command.run(words)
    command.run([*words, "--skip_bad_images"])
    with pytest.raises(UserError, match="found nothing, expected a folder"):
        command.run(["audit", "--in_dir", str(tmp_path / "no")])


def test_the_folder_is_named_once_with_or_without_a_flag(tmp_path, photo_crops, capsys):
    for name in "ab":
        photo_crops(tmp_path / "in" / name, 6, 32)
    sources, out = str(tmp_path / "in"), str(tmp_path / "out")
    command.run(["audit", sources, "--resolution", "32"])
    told = capsys.readouterr().out
    command.run(["audit", "--in_dir", sources, "--resolution", "32"])
    assert capsys.readouterr().out == told
    for words in (["audit"], ["harmonize", "--out", out], ["prepare", "--out", out],
                  ["split", "--out", out]):  # fmt: skip
        with pytest.raises(UserError, match=r"^--in_dir is missing: name the folder that holds"):
            command.run(words)
        with pytest.raises(UserError, match=r"^--in_dir: found .*in and other, expected one fold"):
            command.run([*words, sources, "--in_dir", "other"])
    command.run(["harmonize", sources, "--out", out, "--audit", "0"])
    command.run(["prepare", out, "--out", f"{out}_set", "--audit", "0"])
    command.run(["split", out, "--out", f"{out}_parts", "--parts", "c=0.5", "d=0.5"])
    assert len(list((tmp_path / "out_parts").rglob("*.png"))) == 12
