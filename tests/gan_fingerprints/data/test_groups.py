"""Which images share their content: from names to manifests, and into parts."""

import json
import re
import time

import numpy as np
import pytest

from gan_fingerprints.data import groups
from gan_fingerprints.data import manifest as manifests
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer
from gan_fingerprints.program import UserError


@pytest.mark.parametrize(
    ("name", "by", "group"),
    [
        ("s020000_z017.png", r"z(\d+)", "017"),
        ("s020000_z017.png", r"z\d+", "z017"),
        ("000123.png", r"z(\d+)|^(\d+)", "000123"),  # the first that took part in the match
        ("Ann_Lee_0003.jpg", r"^(.+)_\d+\.", "Ann_Lee"),
        ("a/b.png", r"^[^/]+", "a"),
        ("x.png", r"z(\d+)", None),
        ("z.png", r"z(\d*)", None),  # nothing but the empty text
        ("z\x1b.png", r"z(.)", r"\x1b"),
    ],
)
def test_the_group_of_a_name(name, by, group):
    assert groups.group_of(name, re.compile(by)) == group


def test_a_file_without_a_group_is_named():
    with pytest.raises(UserError) as error:
        groups.groups_of(["in/z1.png", "in/b.png", "in/c.png"], re.compile(r"z\d"), "--group_by")
    assert str(error.value).startswith(
        r"--group_by z\d: found no group for 2 of 3 images, e.g. in/b.png, in/c.png, expected"
        " one in the name"
    )


def test_what_is_no_expression():
    with pytest.raises(Exception, match=r"found '\(', expected a regular expression \(missing \)"):
        groups.pattern("(")
    assert groups.pattern(r"z(\d+)").pattern == r"z(\d+)"


def test_numbers_stand_for_sorted_names():
    numbers, names = groups.numbers_of(["b", "a", "b", "c"])
    assert (numbers.tolist(), names) == ([1, 0, 1, 2], ["a", "b", "c"])
    assert numbers.dtype == np.int64


# In manifests


@pytest.mark.parametrize("count", [1, 2, 3, 4, 1000])
def test_packed_groups_come_back(count):
    numbers, names = groups.numbers_of([f"z{i % 7}" for i in range(count)])
    entry = json.loads(json.dumps(groups.packed(numbers, names, "z.")))
    np.testing.assert_array_equal(groups.unpacked(entry, count), numbers)
    nameless = groups.packed(numbers, None, None)
    np.testing.assert_array_equal(groups.unpacked(nameless, count), numbers)


def test_a_hundred_thousand_groups_are_small_and_quick():
    names = sorted(f"{i:06d}" for i in range(100_000))
    numbers = np.random.default_rng(0).permutation(100_000)
    entry = groups.packed(numbers, names, r"\d+")
    assert len(json.dumps(entry)) < 1_600_000
    start = time.process_time()
    np.testing.assert_array_equal(groups.unpacked(entry, 100_000), numbers)
    assert time.process_time() - start < 1
    # What a manifest has room for is known before anything is written.
    long = [f"{i:0200d}" for i in range(100_000)]
    with pytest.raises(UserError, match=r"--group_by x: found 100000 groups .* capture less"):
        groups.packed(numbers, long, "x")


def entries():
    good = groups.packed(np.array([0, 1, 0, 2]), ["a", "b", "c"], "z")
    yield "no object", []
    for key in good:
        yield f"no {key}", {name: x for name, x in good.items() if name != key}
    yield "one more", {**good, "more": 1}
    for names in (["a", "b"], ["a", "b", "b"], ["a", "b", ""], ["a", "b", 3], "abc", None, {}):
        yield f"names {names}", {**good, "names": names}
    yield "not printable", {**good, "names": ["a", "b", "\x1b"]}
    yield "by", {**good, "by": 3}
    yield "of other number", {**good, "of_images": groups.packed(np.zeros(3), [], "")["of_images"]}
    yield "no Base64", {**good, "of_images": "*" * 24}
    yield "not text", {**good, "of_images": 24}
    gap = groups.packed(np.array([0, 3, 0, 2]), ["a", "b", "c"], "z")
    yield "a gap", gap


@pytest.mark.parametrize("entry", [x[1] for x in entries()], ids=[x[0] for x in entries()])
def test_other_entries_are_refused(entry):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the manifest's
        groups.unpacked(entry, 4)


def write(folder, extra):
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    with Writer(folder, folder.name, 8, every_level=False) as writer:
        writer.add_all(lambda picture: (picture, None), pictures, workers=1)
        writer.finish(np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], ["a", "b"], "", extra)
    return DataSet.open(folder, "--data_dir")


def test_a_data_set_has_its_groups(tmp_path):
    entry = groups.packed(np.array([1, 0, 1, 2]), ["x", "y", "z"], "(.)")
    data = write(tmp_path / "data", {"groups": entry, "crops": None})
    assert data.groups.tolist() == [1, 0, 1, 2]
    assert (data.groups.dtype, data.group_names) == (np.int64, ["x", "y", "z"])
    for extra in ({}, {"groups": None}):
        data = write(tmp_path / f"old{len(extra)}", extra)  # as older ones
        assert (data.groups, data.group_names) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("groups", {"by": "z", "names": ["a"], "of_images": "AAAA"}),
        ("groups", 3),
        ("crops", 4),
        ("crops", {"per_image": -1, "seed": 0}),
        ("crops", {"per_image": 2}),
    ],
)
def test_a_manifest_is_refused(tmp_path, field, value):
    write(tmp_path / "data", {"groups": None})
    path = tmp_path / "data" / "data.json"
    facts = json.loads(path.read_text())
    del facts["blake3"]  # else that is what differs
    path.write_text(json.dumps(facts | {field: value}))
    with pytest.raises(UserError, match=rf"\({field}: found .*expected nothing, or"):
        manifests.read(tmp_path / "data", "data")


def test_groups_that_two_data_sets_share_are_refused(tmp_path):
    entry = groups.packed(np.array([1, 0, 1, 2]), ["x", "y", "z"], "(.)")
    data, where = write(tmp_path / "data", {"groups": entry}), f"--against {tmp_path}/data"
    groups.refuse_shared(["a", "b"], data.group_names, where)
    with pytest.raises(UserError) as error:
        groups.refuse_shared(["z", "b", "x"], data.group_names, where)
    said = str(error.value)
    assert said.startswith(f"--against {tmp_path}/data: found 2 groups that are in both data sets")
    assert "e.g. x, z, expected none" in said
    assert "Training on validation images (same content) is refused" in said
    nameless = groups.packed(np.array([1, 0, 1, 2]), None, None)
    data = write(tmp_path / "files", {"groups": nameless})
    groups.refuse_shared(["0", "1"], data.group_names, "")
    groups.refuse_shared(["x"], write(tmp_path / "none", {}).group_names, "")


# Into parts


def shares_of(counts, parts, number):
    have = np.stack([counts[parts == part].sum(axis=0) for part in range(number)])
    return have / counts.sum(axis=0)


def test_groups_of_any_size_are_balanced_by_source():
    rng = np.random.default_rng(0)
    counts = np.zeros((300, 4), int)
    for row in counts:  # a person has images in one to four sources
        row[rng.permutation(4)[: rng.integers(1, 5)]] = rng.geometric(0.1)
    wanted = [0.7, 0.15, 0.15]
    names = [f"person {i}" for i in range(300)]
    parts = groups.parts_of(counts, names, wanted)
    off = shares_of(counts, parts, 3) - np.array(wanted)[:, None]
    assert np.abs(off).max() < 0.005
    # Drawn by lot instead, they are off by more.
    lots = rng.choice(3, 300, p=wanted)
    assert np.abs(shares_of(counts, lots, 3) - np.array(wanted)[:, None]).max() > 0.02


def test_large_groups_are_not_all_in_the_large_part():
    counts = np.repeat([[30], [1]], [40, 400], axis=0)
    parts = groups.parts_of(counts, [str(i) for i in range(440)], [0.8, 0.2])
    assert np.bincount(parts[:40]).tolist() == [32, 8]
    assert np.bincount(parts[40:]).tolist() == [320, 80]


def test_parts_follow_from_seed_and_names_alone():
    counts = np.ones((50, 1), int)
    names = [f"z{i}" for i in range(50)]
    first = groups.parts_of(counts, names, [0.5, 0.5], seed=1)
    again = groups.parts_of(counts, names[::-1], [0.5, 0.5], seed=1)
    np.testing.assert_array_equal(first, again[::-1])
    other = groups.parts_of(counts, names, [0.5, 0.5], seed=2)
    assert 10 < (first != other).sum() < 40
    assert np.bincount(first).tolist() == [25, 25]


def test_every_part_gets_some_of_every_source_while_groups_last():
    counts = np.zeros((13, 2), int)
    counts[:10, 0], counts[10:, 1] = 10, 5
    names = [str(i) for i in range(13)]
    parts = groups.parts_of(counts, names, [0.94, 0.03, 0.03])
    assert sorted(np.bincount(parts[:10]).tolist()) == [1, 1, 8]
    assert sorted(parts[10:].tolist()) == [0, 1, 2]


def test_a_hundred_thousand_groups_take_seconds():
    counts = np.eye(5, dtype=int)[np.arange(100_000) % 5]
    start = time.process_time()
    parts = groups.parts_of(counts, [str(i) for i in range(100_000)], [0.7, 0.15, 0.15])
    assert time.process_time() - start < 5
    np.testing.assert_allclose(shares_of(counts, parts, 3)[:, 0], [0.7, 0.15, 0.15], atol=1e-4)
