"""Data sets of shards: the records of single files, readers that know them, and interruptions."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from gan_fingerprints.data import unfinished
from gan_fingerprints.data.pipeline import minibatches
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.program import UserError
from tests.classifier.conftest import training_arguments

SIDE, COUNT, SHARDS = 16, 15, 4
SCRIPT = "classifier/data_preparation.py"


def fill(folder: Path, count: int = COUNT, side: int = SIDE, broken: bool = False) -> Path:
    rng = np.random.default_rng(count)
    for source in ("gan", "real"):
        (folder / source).mkdir(parents=True)
        for i in range(count):
            picture = rng.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(picture).save(folder / source / f"z{i:03d}.png")
    if broken:
        (folder / "gan" / "z007.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def sources(tmp_path):
    return fill(tmp_path / "in")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def records(folder: Path, level: str = "r04") -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob(f"*-{level}*.tfrecords")))


@pytest.mark.parametrize("flags", [
    (), ("--group_by", r"z(\d)", "--shuffle", 0),
    ("--resolution", 8, "--crops", 2, "--skip_bad_images"),
])  # fmt: skip
def test_shards_hold_the_records_of_the_single_file_one_after_the_other(prepare, tmp_path, flags):
    sources = fill(tmp_path / "in", broken="--skip_bad_images" in flags)
    single = prepare(sources, tmp_path / "a" / "data", *flags)
    shards = prepare(sources, tmp_path / "b" / "data", *flags, "--shards", SHARDS, "--workers", 1)
    level = f"data-r{single.resolution.bit_length() - 1:02d}"
    names = {f"{level}-{i:05d}-of-00004.tfrecords" for i in range(SHARDS)}
    a, b = contents(single.folder), contents(shards.folder)
    assert b.keys() - a.keys() == names
    assert a.keys() - b.keys() == {f"{level}.tfrecords"}
    assert records(single.folder, level[5:]) == records(shards.folder, level[5:])
    assert all(a[name] == b[name] for name in ("data-rxx.labels", "data-audit.json"))
    one, other = single.manifest, shards.manifest
    differ = {name for name in one if one[name] != other[name]}
    assert differ == {"files", "blake3"}
    assert sum(other["files"][name]["records"] for name in names) == single.count == shards.count
    np.testing.assert_array_equal(single.groups, shards.groups)
    assert single.group_names == shards.group_names
    np.testing.assert_array_equal(single.record_checksums(), shards.record_checksums())
    order = np.random.default_rng(0).permutation(single.count)
    np.testing.assert_array_equal(single.images(order), shards.images(order))
    assert not unfinished.hidden(shards.folder).exists()


def test_shards_give_the_minibatches_of_the_single_file(prepare, sources, tmp_path):
    data = [prepare(sources, tmp_path / str(n), *n) for n in ((), ("--shards", 3))]
    streams = [minibatches(x, 8, seed=1, start=0).take(5) for x in data]
    for one, other in zip(*streams, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_level_of_a_growing_gan_is_sharded(sources, tmp_path, run_script):
    for name, more in (("one", ()), ("many", ("--shards", 5))):
        out = tmp_path / name / "faces"
        run_script("ProGAN/dataset_tool.py", "create_from_images", out, sources / "gan", *more)
    one, many = tmp_path / "one" / "faces", tmp_path / "many" / "faces"
    assert len(list(many.glob("*.tfrecords"))) == 15
    for level in ("r02", "r03", "r04"):
        assert records(one, level) == records(many, level)
    done = run_script("ProGAN/dataset_tool.py", "compare", one, many)
    assert done.stdout.startswith("15 identical images, 0 different")


def test_images_of_one_set_are_found_in_another_of_shards(prepare, sources, tmp_path):
    other = prepare(sources, tmp_path / "validation", "--shards", 7).folder
    with pytest.raises(UserError, match="found 30 images that are in both data sets"):
        prepare(sources, tmp_path / "training", "--shards", 2, "--against", other)
    assert not unfinished.hidden(tmp_path / "training").exists()


@contextmanager
def interrupted() -> Iterator[None]:
    """Preparation in here is interrupted when one more shard is finished."""
    keep = unfinished.Kept.keep

    def kept(self, shard, part):
        keep(self, shard, part)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(unfinished.Kept, "keep", kept)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_goes_on_at_the_next_shard_to_the_same_bytes(prepare, tmp_path, capsys):
    sources = fill(tmp_path / "in", broken=True)
    other = prepare(fill(tmp_path / "others", 8), tmp_path / "other").folder
    flags = ("--resolution", 16, "--group_by", r"z(\d\d)", "--against", other)
    flags = (*flags, "--skip_bad_images", "--shards", SHARDS)
    whole = tmp_path / "a" / "data"
    (sources / "gan" / "z003.png").write_bytes((sources / "gan" / "z004.png").read_bytes())
    undisturbed = contents(prepare(sources, whole, *flags).folder)
    out = tmp_path / "b" / "data"
    hidden = unfinished.hidden(out)
    for finished in (1, 2, 3):
        with interrupted():
            prepare(sources, out, *flags)
        assert not out.exists()
        assert len(list((hidden / "parts").glob("*.json"))) == finished
        assert "the same command goes on" in capsys.readouterr().err
        (hidden / "data" / f"data-r04-{finished:05d}-of-00004.tfrecords").write_bytes(b"half")
    stayed = {x.name: x.stat().st_mtime_ns for x in (hidden / "data").glob("*0-of*")}
    found = prepare(sources, out, *flags)
    assert "3 of 4 shards are there" in capsys.readouterr().out
    assert contents(found.folder) == undisturbed
    assert {name: (out / name).stat().st_mtime_ns for name in stayed} == stayed
    assert not hidden.exists()


def test_other_flags_and_other_images_are_refused_with_what_differs(prepare, sources, tmp_path):
    out = tmp_path / "out"
    with interrupted():
        prepare(sources, out, "--shards", SHARDS)
    for flags, said in (
        (("--shards", 5), r"shards: was 4, is 5\)"),
        ((), r"shards: was 4, is None\)"),
        (("--shards", 4, "--shuffle", 0, "--audit", 0), "shuffle: was True, is False; audit: was"),
        (("--shards", 4, "--group_by", "z"), "group_by: was None, is z"),
    ):
        with pytest.raises(UserError, match=f"--out_dir {out}: was begun with other set.*{said}"):
            prepare(sources, out, *flags)
    gan = sources / "gan"
    Image.new("RGB", (SIDE, SIDE)).save(gan / "z900.png")
    (gan / "z000.png").unlink()
    Image.new("RGB", (SIDE, SIDE)).save(gan / "z001.png")
    with pytest.raises(UserError) as refused:
        prepare(sources, out, "--shards", SHARDS)
    for what, file in (("new", "z900"), ("gone", "z000"), ("changed", "z001")):
        assert f"1 inputs {what}, e.g. {gan / file}.png" in str(refused.value)
    hidden = unfinished.hidden(out)
    assert f"remove {hidden} to begin again" in str(refused.value)
    shutil.rmtree(hidden)
    assert prepare(sources, out, "--shards", 5).count == 2 * COUNT


def test_bad_images_leave_nothing_behind(prepare, tmp_path):
    sources = fill(tmp_path / "in", broken=True)
    with pytest.raises(UserError, match=r"z007\.png"):
        prepare(sources, tmp_path / "out", "--shards", 10, "--resolution", 16)
    with pytest.raises(UserError, match="--shards: found 31 for 30 images"):
        prepare(sources, tmp_path / "out", "--shards", 31, "--resolution", 16)
    assert [x.name for x in tmp_path.iterdir()] == ["in"]


@pytest.mark.slow
def test_ten_kills_at_any_moment_change_nothing(prepare, tmp_path, start_script):
    sources = fill(tmp_path / "in", 300, 64)
    flags = ("--resolution", 128, "--shards", 40, "--workers", 1)
    undisturbed = contents(prepare(sources, tmp_path / "a" / "data", *flags).folder)
    out, rng = tmp_path / "b" / "data", np.random.default_rng(0)
    words = ("--in_dir", sources, "--out_dir", out, *flags)
    kills = 0
    while kills < 10 and not out.exists():
        started = start_script(SCRIPT, *words)
        time.sleep(rng.uniform(0.3, 1.2))
        started.kill()
        kills += 1
    if not out.exists():
        prepare(sources, out, *flags)
    assert kills > 3
    assert contents(out) == undisturbed


@pytest.fixture
def sharded(prepare, sources, tmp_path):
    return prepare(sources, tmp_path / "data", "--shards", SHARDS).folder


def test_what_is_wrong_with_shards_is_said(sharded):
    paths = sorted(sharded.glob("*.tfrecords"))
    content = [path.read_bytes() for path in paths]
    manifest = sharded / "data.json"

    def refused(said: str, keep_manifest: bool = True) -> None:
        text = manifest.read_bytes()
        if not keep_manifest:
            manifest.unlink()
        with pytest.raises(UserError, match=said):
            DataSet.open(sharded, "--data")
        manifest.write_bytes(text)
        for path, of_it in zip(paths, content, strict=True):
            path.write_bytes(of_it)

    paths[1].unlink()
    refused("data-r04-00001-of-00004.tfrecords: missing, but listed")
    paths[1].unlink()
    refused("data-r04-00001-of-00004.tfrecords: missing, and 0 other", keep_manifest=False)
    paths[2].write_bytes(content[2][: len(content[2]) // 7 * 6 - 1])
    refused("00002-of-00004.tfrecords: ends in the middle of")
    size = len(content[0]) // 7
    paths[0].write_bytes(content[0][:size])
    refused("00000-of-00004.tfrecords: found 1 records, expected 7 as the manifest says")
    changed = bytearray(content[3])
    changed[size + 100] ^= 1
    paths[3].write_bytes(changed)
    refused(r"00003-of-00004.tfrecords: found other content \(BLAKE3")
    paths[3].write_bytes(changed)
    manifest_text = manifest.read_bytes()
    manifest.unlink()
    with pytest.raises(UserError, match=r"00003-of-00004\.tfrecords: record 1 is damaged"):
        DataSet.open(sharded, "--data").images(np.arange(30))
    manifest.write_bytes(manifest_text)
    paths[3].write_bytes(content[3])
    for name, said in (
        ("data-r04.tfrecords", "too, expected one file, or the shards of one number"),
        ("data-r04-00000-of-00002.tfrecords", "too, expected one file, or the shards of one"),
        ("data-r04-00004-of-00004.tfrecords", "found this number, expected 0 to 3"),
        ("data-r04-0-of-4.tfrecords", "found this name, expected NAME-rNN"),
    ):
        (sharded / name).write_bytes(content[0])
        refused(said, keep_manifest=False)
        (sharded / name).unlink()
    assert DataSet.open(sharded, "--data").count == 30


def test_many_shards_are_more_files_than_a_process_may_usually_have_open(prepare, tmp_path):
    import resource

    sources = fill(tmp_path / "in", 200, 8)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        data = prepare(sources, tmp_path / "out", "--shards", 400, "--audit", 0)
        assert data.images(np.arange(400)).shape == (400, 8, 8, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_training_on_shards_gives_the_weights_of_the_single_file(folders, tmp_path, run_script):
    weights = []
    for name, more in (("one", ()), ("many", ("--shards", 6))):
        root = tmp_path / name
        for split in ("train", "test"):
            words = ("--in_dir", folders / split, "--out_dir", root / split, *more)
            run_script(SCRIPT, *words)
        words = training_arguments(root, root / "model", "--total_kimg", 0.2)
        run_script("classifier/run.py", *words)
        network = root / "model" / "network-final.safetensors"
        weights.append(load_file(network))
        counts = json.loads((root / "train" / "train.json").read_text())["source_counts"]
        card = run_script("gan_fingerprints", "card", network)
        assert f"{counts[0]} training" in card.stdout
    one, many = weights
    assert one.keys() == many.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, many[name])
