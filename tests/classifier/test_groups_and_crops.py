"""Data sets that know which images show the same, and native crops of large images."""

import re
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.data import preparation
from gan_fingerprints.data.crops import Crops
from gan_fingerprints.data.writing import Writer, shuffled_order
from gan_fingerprints.program import UserError
from tests.classifier.test_data_preparation import everything, pictures, write
from tests.gan_fingerprints.data.audit.pictures import clouds

# Groups


@pytest.fixture
def latents(tmp_path):
    """Two GANs' images of six latents in three snapshots each."""

    def make(name, first=0):
        for source in ("gan_a", "gan_b"):
            (tmp_path / name / source).mkdir(parents=True)
            for i, pixels in enumerate(pictures(18, seed=first + len(source))):
                path = tmp_path / name / source / f"s{i % 3}_z{first + i // 3:02d}.png"
                Image.fromarray(pixels).save(path)
        return tmp_path / name

    return make


def test_groups_are_kept_with_the_records(prepare, latents, tmp_path, capsys):
    in_dir = latents("in")
    data = prepare(in_dir, tmp_path / "out", "--group_by", r"z(\d+)")
    files = [path for source in ("gan_a", "gan_b") for path in sorted((in_dir / source).iterdir())]
    expected = [files[i].stem[-2:] for i in shuffled_order(36)]
    assert [data.group_names[number] for number in data.groups] == expected
    assert data.manifest["groups"]["by"] == r"z(\d+)"
    assert data.manifest["crops"] is None
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"36 images in 6 groups of 2 sources, 16x16: {tmp_path / 'out'}"
    )
    # The same files as without groups: only the manifest says more.
    plain = prepare(in_dir, tmp_path / "plain")
    assert (plain.groups, plain.group_names) == (None, None)
    assert plain.checksum == data.checksum.replace("out", "plain")


def test_groups_of_what_was_skipped_are_left_out(prepare, latents, tmp_path):
    in_dir = latents("in")
    for path in in_dir.rglob("*_z00.png"):
        path.write_text("no image")
    flags = ("--group_by", r"z\d+", "--skip_bad_images", "--shuffle", 0)
    data = prepare(in_dir, tmp_path / "out", *flags)
    assert data.group_names == ["z01", "z02", "z03", "z04", "z05"]
    assert np.bincount(data.groups).tolist() == [6] * 5


def test_bad_groups_are_errors_before_any_work(prepare, latents, tmp_path):
    in_dir = latents("in")
    Image.new("RGB", (16, 16)).save(in_dir / "gan_a" / "other.png")

    def fails(expected, *flags):
        with pytest.raises(UserError, match=expected):
            prepare(in_dir, tmp_path / "out", *flags)
        assert not (tmp_path / "out").exists()

    fails(r"--group_by z\(\\d\): found no group for 1 of 37 images, e\.g\. .*other\.png",
          "--group_by", r"z(\d)")  # fmt: skip
    fails(r"--group_by: found '\(z', expected a regular expression", "--group_by", "(z")
    long = "^(?=(.*))" + "(?:)" * 3
    assert prepare(in_dir, tmp_path / "fine", "--group_by", long).count == 37


def test_a_data_set_that_shares_groups_is_refused(prepare, latents, tmp_path, capsys):
    by = ("--group_by", r"z(\d+)")
    training, validation, other = latents("training"), latents("validation", 4), latents("other", 6)
    prepare(validation, tmp_path / "v", *by)
    with pytest.raises(UserError) as error:
        prepare(training, tmp_path / "t", *by, "--against", tmp_path / "v")
    assert str(error.value).startswith(
        f"--against {tmp_path / 'v'}: found 2 groups that are in both data sets, e.g. 04, 05, exp"
    )
    assert "Training on validation images (same content) is refused" in str(error.value)
    assert not (tmp_path / "t").exists()
    prepare(other, tmp_path / "o", *by)
    capsys.readouterr()
    prepare(training, tmp_path / "t", *by, "--against", tmp_path / "o")
    assert "groups" not in capsys.readouterr().out.replace("in 6 groups", "").replace(
        "group by", ""
    )
    # Where one of them has none they cannot be compared, which is said.
    for flags, which in (((), "this"), (by, "that")):
        there = tmp_path / ("v" if which == "this" else "plain")
        if which == "that":
            prepare(validation, there)
        capsys.readouterr()
        prepare(training, tmp_path / which, *flags, "--against", there)
        printed = capsys.readouterr().out
        assert f"groups are not compared with {there}: {which} data set has none" in printed


def test_nearly_the_same_image_in_the_other_split_is_warned_about(prepare, tmp_path, capsys):
    real, gan = clouds(30, 1), clouds(30, 2)
    write(tmp_path / "v" / "real", real)
    write(tmp_path / "v" / "gan", gan)
    write(tmp_path / "t" / "real", clouds(30, 3))
    write(tmp_path / "t" / "gan", clouds(28, 4))
    Image.fromarray(gan[5][:, ::-1]).save(tmp_path / "t" / "gan" / "x.jpg", quality=80)
    Image.fromarray(real[6]).save(tmp_path / "t" / "gan" / "y.png")
    prepare(tmp_path / "v", tmp_path / "validation", "--shuffle", 0)
    capsys.readouterr()
    with pytest.raises(UserError, match=r"1 images that are in both .*e\.g\. gan/y\.png"):
        prepare(tmp_path / "t", tmp_path / "training", "--against", tmp_path / "validation")
    printed = capsys.readouterr().out
    assert "also in" in printed
    assert "1, e.g. gan/y.png = record 36" in printed
    assert "nearly the same as one in" in printed
    assert "1, e.g. gan/x.jpg ≈ record 5" in printed


# Crops


@pytest.fixture
def large(tmp_path):
    """Images of several sizes of two sources, 40 pixels and more."""
    for source, seed in (("a", 0), ("b", 100)):
        (tmp_path / "in" / source).mkdir(parents=True)
        for i, (width, height) in enumerate([(90, 70), (40, 40), (64, 33), (32, 32), (200, 32)]):
            pixels = np.random.default_rng(seed + i).integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / source / f"{i}.png")
    return tmp_path / "in"


def test_crops_are_native_pixels_of_their_file(prepare, large, tmp_path, capsys):
    data = prepare(large, tmp_path / "out", "--resolution", 32, "--crops", 4, "--shuffle", 0)
    numbers = [4, 4, 4, 1, 4]  # of 40×40 and 64×33 there are places enough, of 32×32 one
    assert data.count == 2 * sum(numbers)
    assert np.bincount(data.groups).tolist() == numbers * 2
    assert data.group_names is None
    assert data.manifest["crops"] == {"per_image": 4, "seed": 0}
    assert data.manifest["source_counts"] == [17, 17]
    assert data.manifest["groups"]["by"] is None
    files = sorted(large.rglob("*.png"))
    for group, record in zip(data.groups, everything(data), strict=True):
        pixels = np.asarray(Image.open(files[group]))
        views = np.lib.stride_tricks.sliding_window_view(pixels, (32, 32, 3))[::8, ::8, 0]
        assert (views == record).all(axis=(2, 3, 4)).sum() == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"34 crops of 10 images (2 had no room for all) of 2 sources, 32x32: {tmp_path / 'out'}"
    )


def test_crops_repeat_themselves_and_follow_the_seed(prepare, large, tmp_path):
    flags = ("--resolution", 32, "--crops", 2)
    first = prepare(large, tmp_path / "x" / "out", *flags)
    again = prepare(large, tmp_path / "y" / "out", *flags)
    other = prepare(large, tmp_path / "z" / "out", *flags, "--seed", 1)
    assert first.checksum == again.checksum != other.checksum
    assert other.manifest["crops"] == {"per_image": 2, "seed": 1}


def test_crops_on_many_cores_are_those_of_one(prepare, tmp_path):
    for source, seed in (("a", 1), ("b", 2)):
        write(tmp_path / "in" / source, pictures(40, side=20, seed=seed))
    (tmp_path / "in" / "a" / "007.png").write_text("no image")
    flags = ("--resolution", 8, "--crops", 3, "--skip_bad_images")
    data = prepare(tmp_path / "in", tmp_path / "out", *flags)  # 80 files: on all cores
    assert data.count == 3 * 79
    assert np.bincount(data.groups).tolist() == [3] * 79
    assert data.manifest["skipped"] == 1
    order = [i for i in shuffled_order(80) if i != 7]
    stacks = np.concatenate([pictures(40, side=20, seed=seed) for seed in (1, 2)])
    for group, record in zip(data.groups, everything(data), strict=True):
        view = np.lib.stride_tricks.sliding_window_view(stacks[order[group]], (8, 8, 3))
        assert (view[::8, ::8, 0] == record).all(axis=(2, 3, 4)).sum() == 1
    np.testing.assert_array_equal(data.labels.argmax(axis=1)[::3], [i >= 40 for i in order])


def test_groups_by_name_hold_for_crops_too(prepare, large, tmp_path):
    flags = ("--resolution", 32, "--crops", 2, "--group_by", r"(\d)", "--shuffle", 0)
    data = prepare(large, tmp_path / "out", *flags)
    assert data.group_names == list("01234")
    assert data.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 4] * 2


def test_copies_are_found_crop_by_crop(prepare, large, tmp_path, capsys):
    Image.open(large / "a" / "0.png").save(large / "b" / "copy.bmp")
    flags = ("--resolution", 32, "--crops", 2)
    prepare(large, tmp_path / "out", *flags)
    printed = capsys.readouterr().out
    assert "images that occur in several sources, under contradicting labels: 2, e.g." in printed
    assert re.search(r"a/0\.png at \d+,\d+ = b/copy\.bmp at \d+,\d+", printed)
    with pytest.raises(UserError, match="images that are in both data sets"):
        prepare(large, tmp_path / "again", *flags, "--against", tmp_path / "out")
    assert "also in" in capsys.readouterr().out


def test_images_too_small_for_a_crop(prepare, large, tmp_path):
    Image.new("RGB", (31, 90)).save(large / "a" / "small.png")
    flags = ("--resolution", 32, "--crops", 2)
    with pytest.raises(UserError, match=r"small\.png: found 31x90 pixels, expected 32x32 or more"):
        prepare(large, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()
    data = prepare(large, tmp_path / "out", *flags, "--skip_bad_images")
    assert data.manifest["skipped"] == 1


def test_crops_need_a_resolution(prepare, large, tmp_path):
    with pytest.raises(UserError, match="--crops 2: found no --resolution, expected the side of"):
        prepare(large, tmp_path / "out", "--crops", 2)
    with pytest.raises(UserError, match="--crops: found '0', expected a whole number of 1 or mo"):
        prepare(large, tmp_path / "out", "--crops", 0)


@pytest.mark.slow
def test_memory_does_not_grow_with_crops(tmp_path):
    """Of 40 images of 1 megapixel, 60 crops of 64 pixels each; all together take 29 MB."""
    ramp = np.mgrid[:1024, :1024].sum(axis=0)[..., None] // 8 + np.zeros(3, int)
    for source in "ab":
        (tmp_path / "in" / source).mkdir(parents=True)
        for i in range(20):
            picture = Image.fromarray((ramp % (60 + i)).astype(np.uint8))
            picture.save(tmp_path / "in" / source / f"{i}.png")
    jobs = preparation.list_jobs(images.list_sources(tmp_path / "in", "").values(), 100.0, True)
    reader = preparation.Reader(64, None, True, Crops(60, 0))
    tracemalloc.start()
    with Writer(tmp_path, "out", 64, every_level=False) as writer:
        outcomes = writer.add_all(reader, jobs, each=60, workers=1)
        assert writer.count == 2400
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(len(outcome.corners) for outcome in outcomes) == 2400
    assert peak < 24 * 2**20
