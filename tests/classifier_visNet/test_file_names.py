"""Where visNet's pictures go: whatever sources, folders and images are called, into the folder."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from classifier_visNet import testing
from gan_fingerprints.program import UserError

HOSTILE = ["../../x", "/etc/x", "..", ".hidden", "a\0b", "a\x1b[31mb", "", "\ud800", "é" * 200]


def test_harmless_names_stay():
    names = ["CelebA_real_data", "ProGAN seed (0)", "a.b", "Käse", "A", "a", "x" * 100]
    assert testing.safe_names(names) == names


def test_hostile_names_become_different_plain_ones():
    found = testing.safe_names([*HOSTILE, "real", "a/b", "a\\b"])
    assert found[:4] == ["0__._.._x", "1__etc_x", "2__.", "3__hidden"]
    assert found[9:12] == ["real", "10_a_b", "11_a_b"]
    assert len(set(found)) == len(found)
    for name in found:
        assert name.isprintable()
        assert not set(name) & set("/\\")
        assert name[0] != "."
        assert 0 < len(name.encode()) <= 105


def test_an_index_that_makes_a_name_of_another_gives_all_one():
    assert testing.safe_names(["a/b", "0_a_b"]) == ["0_a_b", "1_0_a_b"]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", ".."])
def test_a_path_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"leads out of {tmp_path}"):
        testing.within(tmp_path, name)
    assert testing.within(tmp_path, "a/b.png") == tmp_path / "a/b.png"


def test_stems_of_harmless_images_are_theirs():
    paths = [Path(x) for x in ("t/a/x.png", "t/a/y.png", "t/b/x.png", "t/b/z.png", "t/b/z.jpg")]
    truth = ["a", "a", "b", "b", "b"]
    expected = ["a/x", "a/y", "b/x", "b/z_png", "b/z_jpg"]
    assert [str(x) for x in testing.stems(paths, truth)] == expected
    assert [str(x) for x in testing.stems(paths[1:3], None)] == ["y", "x"]


def test_stems_of_hostile_images_are_plain_and_different():
    names = ["...png", "\x1b.png", "\x07.png", "é" * 120 + ".png", "x.png", "x.jpg", "x_png.png"]
    paths = [Path("t", name) for name in names]
    for truth in (None, [".."] * 3 + ["a\x1b"] * 4):
        found = testing.stems(paths, truth, 90)
        assert len(set(found)) == len(found) == 7
        for stem in found:
            assert ".." not in stem.parts
            assert str(stem).isprintable()
            assert len(stem.parts) == (2 if truth else 1)
            assert all(len(part.encode()) < 100 for part in stem.parts)


def test_nothing_is_written_outside(tmp_path, counted):
    outside = tmp_path / "x.png"
    outside.write_text("not ours")
    rng = np.random.default_rng(0)
    models = rng.normal(size=(8, 8, 3, len(HOSTILE))).astype(np.float32)
    network = SimpleNamespace(
        arguments={"correlation": "inner"}, model_fingerprints=SimpleNamespace(scale=1.0)
    )
    attributor = SimpleNamespace(source_names=HOSTILE, model_fingerprints=models, network=network)
    paths = [Path("...png"), Path("\x1b[31m.png"), Path("é" * 120 + ".png")]
    with testing.fingerprint_folder(tmp_path / "in" / "out", attributor, paths, None) as folder:
        for _ in paths:
            folder.add(
                SimpleNamespace(fingerprint=models[..., 0], logits=models[0, 0, 0], row=None)
            )
        folder.attributor.source_names = [name.replace("\ud800", "") for name in HOSTILE]
    assert outside.read_text() == "not ours"
    assert sorted(x.name for x in tmp_path.iterdir()) == ["in", "x.png"]
    assert [x.name for x in (tmp_path / "in").iterdir()] == ["out"]
    written = list((tmp_path / "in" / "out").iterdir())
    assert all(path.is_file() for path in written)
    assert len(written) == len(HOSTILE) + len(paths) * (1 + len(HOSTILE)) + 1
    counted(len(HOSTILE) + len(paths), len(HOSTILE) + len(paths))
