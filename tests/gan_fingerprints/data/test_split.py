"""Folders of images into parts that share no content."""

import re

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import __main__ as commands
from gan_fingerprints.program import UserError


@pytest.fixture
def folders(tmp_path):
    """Two GANs' images of 40 latents in 3 snapshots each, and 100 photographs."""
    for source in ("gan_a", "gan_b"):
        (tmp_path / "in" / source).mkdir(parents=True)
        for latent in range(40):
            for snapshot in range(3):
                colour = (latent, snapshot, len(source))
                path = tmp_path / "in" / source / f"s{snapshot}_z{latent:03d}.png"
                Image.new("RGB", (4, 4), colour).save(path)
    (tmp_path / "in" / "real").mkdir()
    for i in range(100):
        Image.new("RGB", (4, 4), (i, 9, 9)).save(tmp_path / "in" / "real" / f"{i:06d}.png")
    return tmp_path


def split(folders, *flags, out="out"):
    words = ["--in_dir", folders / "in", "--out_dir", folders / out, *flags]
    commands.run(["split", *map(str, words)])
    return {
        part.name: {x.name: sorted(y.name for y in x.iterdir()) for x in part.iterdir()}
        for part in (folders / out).iterdir()
    }


BOTH = r"z\d+|^\d+"


def test_a_group_is_in_one_part_in_every_source(folders, capsys):
    found = split(folders, "--group_by", BOTH)
    assert set(found) == {"training", "validation", "testing"}
    latents = {
        part: {re.search("z...", name)[0] for gan in ("gan_a", "gan_b") for name in sources[gan]}
        for part, sources in found.items()
    }
    assert sum(map(len, latents.values())) == 40
    assert [len(latents[part]) for part in ("training", "validation", "testing")] == [28, 6, 6]
    assert all(sources["gan_a"] == sources["gan_b"] for sources in found.values())
    assert [len(found[part]["real"]) for part in found] == [
        {"training": 70, "validation": 15, "testing": 15}[part] for part in found
    ]
    assert capsys.readouterr().out.splitlines() == [
        "source  training     validation   testing",
        "gan_a   84 (70.0 %)  18 (15.0 %)  18 (15.0 %)",
        "gan_b   84 (70.0 %)  18 (15.0 %)  18 (15.0 %)",
        "real    70 (70.0 %)  15 (15.0 %)  15 (15.0 %)",
        "groups  98           21           21",
        f"340 images of 3 sources in 140 groups: {folders / 'out'}",
    ]


def test_links_lead_to_the_images_also_after_a_move(folders):
    found = split(folders, "--group_by", BOTH)
    name = found["testing"]["gan_a"][0]
    link = folders / "out" / "testing" / "gan_a" / name
    assert link.is_symlink()
    expected = [int(name[4:7]), int(name[1]), 5]
    assert np.asarray(Image.open(link))[0, 0].tolist() == expected
    (folders / "moved").mkdir()
    for each in ("in", "out"):
        (folders / each).rename(folders / "moved" / each)
    moved = folders / "moved" / "out" / "testing" / "gan_a" / name
    assert np.asarray(Image.open(moved))[0, 0].tolist() == expected


def test_the_seed_decides_and_other_sources_do_not_where_groups_are_their_own(folders):
    first = split(folders, "--group_by", BOTH, "--seed", 1, out="a")
    assert split(folders, "--group_by", BOTH, "--seed", 1, out="b") == first
    assert split(folders, "--group_by", BOTH, "--seed", 2, out="c") != first


def test_without_groups_every_image_is_by_itself(folders):
    found = split(folders, "--parts", "one=0.5", "two=0.5")
    assert {part: [len(x) for _, x in sorted(y.items())] for part, y in found.items()} == {
        "one": [60, 60, 50], "two": [60, 60, 50]
    }  # fmt: skip
    latents = [{name[3:7] for name in sources["gan_a"]} for sources in found.values()]
    assert latents[0] & latents[1]  # as it should not be
    assert found["one"]["gan_a"] != found["one"]["gan_b"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--group_by", "("], r"--group_by: found '\(', expected a regular expression \(missing"),
        (["--group_by", "z.*"], r"--group_by z\.\*: found no group for 100 of 100 images, e\.g\. "),
        (["--group_by", "s.|^0"], r"--in_dir: found too few groups in real: 1, expected 3 or more"),
        (["--parts", "a=0.5", "b=0.4"], r"--parts a=0\.5 b=0\.4: found .* add up to 0\.9, exp"),
        (["--parts", "a=0.5", "a=0.5"], "expected two parts or more, of different names"),
        (["--parts", "a=1"], "found 'a=1', expected NAME=SHARE with a share between 0 and 1"),
        (["--parts", "a=0.5", "b=x"], "found 'b=x', expected NAME=SHARE"),
        (["--parts", "../a=0.5", "b=0.5"], r"found '\.\./a=0\.5', expected NAME=SHARE"),
        (["--parts", "a=nan", "b=0.5"], "found 'a=nan', expected NAME=SHARE"),
        (["--seed", "-1"], "--seed: found '-1', expected a seed"),
    ],
)
def test_bad_input_is_one_error_and_no_output(folders, flags, said):
    with pytest.raises(UserError, match=said):
        split(folders, *flags)
    assert not (folders / "out").exists()


def test_thirds_are_shares(folders):
    found = split(folders, "--parts", "a=0.333", "b=0.333", "c=0.333")
    assert sorted(len(sources["real"]) for sources in found.values()) == [33, 33, 34]


def test_an_output_that_exists_is_left_alone(folders):
    (folders / "out").mkdir()
    (folders / "out" / "kept").touch()
    with pytest.raises(UserError, match="already exists"):
        split(folders)
    assert [x.name for x in (folders / "out").iterdir()] == ["kept"]


def test_what_was_written_is_removed_when_it_fails(folders, monkeypatch):
    from gan_fingerprints.data import links

    def link(files, *_):
        if files[0].parent.name == "gan_b":
            raise OSError("no more inodes")

    monkeypatch.setattr(links, "link", link)
    with pytest.raises(OSError, match="no more inodes"):
        split(folders, "--group_by", BOTH)
    assert sorted(x.name for x in folders.iterdir()) == ["in"]


def test_the_command_teaches(run_script):
    printed = run_script("gan_fingerprints", "split", "--help").stdout
    for word in ("latent", "photograph", "person", "--group_by", "--parts", "--seed", "NAME=SHARE"):
        assert word in printed
