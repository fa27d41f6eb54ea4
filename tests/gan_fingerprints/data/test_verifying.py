"""Data that are not what was prepared: refused, or told apart by their checksum."""

import argparse
import json
import os
import re
import shutil
import time

import numpy as np
import pytest
from blake3 import blake3

from gan_fingerprints.data import digests
from gan_fingerprints.data.folder import open_images
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer
from gan_fingerprints.program import UserError, write_json
from gan_fingerprints.training.begin import check_folder, data_facts
from gan_fingerprints.training.classifying import open_splits
from tests.gan_fingerprints.data import faults

# Of 24 images in records of two sizes and three sources, as the first release of this format wrote
# and hashed them; the runs of then are continued, and their networks compared, by it.
CHECKSUM = "5241a348a8bffcffd8a3d82a564fff60d5217613ac446a8afc83bc5642320eb6"
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Digests are remembered in a folder of the test, at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLED", -(10**9))
    return tmp_path / "cache" / "gan_fingerprints" / "digests"


@pytest.fixture
def folder(tmp_path):
    return faults.write(tmp_path / "data")


@pytest.fixture
def computed(monkeypatch):
    """Files whose content is read, as descriptors."""
    seen, compute = [], digests._computed
    monkeypatch.setattr(digests, "_computed", lambda *x: seen.append(x[0]) or compute(*x))
    return seen


def change(folder, damage):
    files = faults.contents(folder)
    before = dict(files)
    damage(files, RNG)
    for name in before.keys() - files.keys():
        (folder / name).unlink()
    for name, content in files.items():
        if before.get(name) != content:
            (folder / name).write_bytes(content)


def swap(folder, name=faults.LARGEST):
    """Puts the records of a file in another order: the same size and sound records."""
    records = faults.records_of(faults.contents(folder), name)
    (folder / name).write_bytes(records[::-1].tobytes())


def refused(folder, **options):
    with pytest.raises(UserError) as error:
        DataSet.open(folder, "--data_dir", **options)
    return str(error.value)


# What is refused


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_no_fault_goes_unnoticed(fault, tmp_path, times, counted):
    tries = times(520, 400 if fault == "flipped_bit" else 12)
    counts = faults.survey(tmp_path / "data", tries, only=[fault])[fault]
    assert set(counts) <= {"refused", "harmless", "same"}
    assert counts["refused"] >= 0.9 * (tries - counts["same"])
    counted(tries, sum(counts.values()))


def test_harmless_changes_are_no_faults(folder, tmp_path):
    intact = faults.everything(folder)
    path = folder / "data.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    (folder / "data-audit.json").write_text("{}")
    (folder / "notes.txt").write_text("")
    shutil.copytree(folder, tmp_path / "moved")
    for place in (folder, tmp_path / "moved"):
        assert faults.everything(place) == intact


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("another shuffle", r"data-r0[23]\.tfrecords: found other content \(BLAKE3 [0-9a-f]{64}\), "
         r"expected [0-9a-f]{64} as data\.json says; copy it again or prepare the data set again"),
        ("label of another source", r"data\.json: its source_counts is \[8, 8, 8\], expected \["),
        ("nan in labels", r"data-rxx\.labels: label \d+ is \[.*nan.*\], expected one 1 and zero"),
        ("missing", r"data-r.*: missing, but listed in data\.json; copy it again"),
        ("cut between records", r"data-r0[23]\.tfrecords: found (\d+ records|an empty file), exp"),
    ],
)  # fmt: skip
def test_what_is_said(folder, fault, said):
    change(folder, faults.FAULTS[fault])
    assert re.match(re.escape(f"{folder}/") + said, refused(folder))


def test_files_of_a_manifest_of_another_name(folder):
    for name in (faults.LARGEST, "data-r02.tfrecords", "data-rxx.labels"):
        (folder / name).rename(folder / name.replace("data", "other"))
    said = "data.json: found the manifest of files of other names, expected other.json; give the"
    assert said in refused(folder)
    (folder / "data.json").unlink()
    assert DataSet.open(folder, "").source_names == ["source_0", "source_1", "source_2"]


def test_files_besides_those_of_the_manifest(folder):
    shutil.copy(folder / faults.LARGEST, folder / "data-r04.tfrecords")
    assert "data-r04.tfrecords: found this file, expected only those that" in refused(folder)
    (folder / "data-r04.tfrecords").unlink()
    (folder / "more-rxx.labels").write_bytes(b"")
    assert "found 2 data sets (data, more), expected one" in refused(folder)


def test_pipes_folders_and_what_cannot_be_read(folder):
    path = folder / faults.LARGEST
    path.unlink()
    for make in (os.mkfifo, os.mkdir):
        make(path)
        assert f"{path}: cannot be read (not a file), expected records" in refused(folder)
        path.unlink() if path.is_fifo() else path.rmdir()


@pytest.mark.parametrize("place", ["count", "name", "source_names", "files"])
def test_manifests_without_a_checksum_are_checked_as_far_as_they_can_be(folder, place):
    path = folder / "data.json"
    facts = json.loads(path.read_text())
    del facts["blake3"]
    path.write_text(json.dumps(facts))
    assert DataSet.open(folder, "").checksum == CHECKSUM
    path.write_text(json.dumps({x: y for x, y in facts.items() if x != place}))
    said = f"data.json: cannot be read as the manifest of a data set ({place}: found nothing, exp"
    assert said in refused(folder)


def test_labels_that_nothing_describes(folder):
    (folder / "data.json").unlink()
    for fault in ("label of no source", "label of two sources", "nan in labels", "2 in labels"):
        files = faults.contents(folder)
        change(folder, faults.FAULTS[fault])
        assert "data-rxx.labels: label " in refused(folder)
        change(folder, lambda now, _, before=files: now.update(before))


# The checksum


def test_the_checksum_is_that_of_the_files(folder):
    parts = sorted(folder.glob("data-r*"))
    recomputed = blake3("".join(blake3(x.read_bytes()).hexdigest() for x in parts).encode())
    for remains in ("manifest", "no manifest"):
        data = DataSet.open(folder, "")
        assert (remains, data.checksum) == (remains, CHECKSUM)
        (folder / "data.json").unlink(missing_ok=True)
    assert recomputed.hexdigest() == CHECKSUM


def test_without_a_manifest_other_content_has_another_checksum(folder):
    (folder / "data.json").unlink()
    assert DataSet.open(folder, "").checksum == CHECKSUM
    swap(folder)
    assert DataSet.open(folder, "").checksum != CHECKSUM


def test_a_run_is_not_continued_on_swapped_data(folder, tmp_path):
    def begin(resume):
        settings = {"data": data_facts(DataSet.open(folder, ""))}
        begun = check_folder(tmp_path / "run", "--out_model_dir", settings, resume)
        if not begun:
            write_json(tmp_path / "run" / "settings.json", settings)
        return begun

    begin(resume=False)
    assert begin(resume=True)
    swap(folder)
    with pytest.raises(UserError, match=r"data-r03\.tfrecords: found other content"):
        begin(resume=True)
    shutil.rmtree(folder)
    faults.write(folder, seed=1)  # whole, with its own manifest
    said = rf"--resume .*run: .*\(data\.checksum was {CHECKSUM}, now [0-9a-f]{{64}}\); repeat"
    with pytest.raises(UserError, match=said):
        begin(resume=True)


def test_who_knows_trusts_the_manifest(folder, computed):
    swap(folder)
    assert DataSet.open(folder, "", verify=False).checksum == CHECKSUM
    assert open_images("x", str(folder), "", 8, 1, verify=False).checksum == CHECKSUM
    given = argparse.Namespace(training_data_dir=folder, validation_data_dir=folder, verify=False)
    with pytest.raises(UserError, match="8 pixels, expected 16 or more"):
        open_splits(given, 1, 1)
    assert not computed
    with pytest.raises(UserError, match="found other content"):
        open_images("x", str(folder), "", 8, 1)
    given.verify = True
    with pytest.raises(UserError, match="found other content"):
        open_splits(given, 1, 1)
    change(folder, faults.FAULTS["nan in labels"])
    assert "expected one 1 and zeros" in refused(folder, verify=False)


@pytest.mark.parametrize("lacking", [0, 1])
def test_training_needs_images_of_every_source_in_both(tmp_path, lacking):
    for number, split in enumerate(("training", "validation")):
        whole = number != lacking
        pictures = np.random.default_rng(number).integers(0, 256, (6, 16, 16, 3), np.uint8)
        (tmp_path / split).mkdir()
        with Writer(tmp_path / split, "x", 16, every_level=False) as writer:
            writer.add_all(lambda picture: (picture, None), pictures, workers=1)
            labels = np.eye(3, dtype=np.float32)[np.arange(6) % (3 if whole else 2)]
            writer.finish(labels, ["a", "b", "c"], "test", {})
    given = argparse.Namespace(
        training_data_dir=tmp_path / "training", validation_data_dir=tmp_path / "validation",
        verify=True,
    )  # fmt: skip
    flag = ("training", "validation")[lacking]
    with pytest.raises(UserError, match=rf"--{flag}_data_dir .*{flag}: found no image of c, exp"):
        open_splits(given, 1, 1)


# What is remembered


def test_content_is_read_once(folder, computed, tmp_path):
    DataSet.open(folder, "")
    assert len(computed) == 2
    assert DataSet.open(folder, "").checksum == CHECKSUM
    assert len(computed) == 2
    shutil.copytree(folder, tmp_path / "copy")
    DataSet.open(tmp_path / "copy", "")
    assert len(computed) == 4


@pytest.mark.parametrize("hidden", [False, True])
def test_changed_content_of_the_same_size_is_read_again(folder, computed, hidden):
    DataSet.open(folder, "")
    path = folder / faults.LARGEST
    before = path.stat()
    time.sleep(0.02)  # a tick of the clock of file systems
    swap(folder)
    if hidden:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)
    assert "data-r03.tfrecords: found other content" in refused(folder)
    assert "data-r03.tfrecords: found other content" in refused(folder)
    assert len(computed) == 3


def test_files_that_changed_just_now_are_not_remembered(folder, computed, monkeypatch, cache):
    monkeypatch.setattr(digests, "SETTLED", 60 * 10**9)
    for _ in range(2):
        DataSet.open(folder, "")
    assert len(computed) == 4
    assert not cache.exists()


def test_what_is_remembered_is_not_believed_when_damaged_or_of_another_file(
    folder, computed, cache
):
    DataSet.open(folder, "")
    notes = sorted(cache.iterdir())
    whole = [note.read_bytes() for note in notes]
    assert len(whole) == 2
    lies = [b"", b"\xff", whole[0][:64], whole[0][:-9], b"0" * 64 + whole[0][64:], whole[1]]
    for lie in lies:
        notes[0].write_bytes(lie)
        assert DataSet.open(folder, "").checksum == CHECKSUM
        assert notes[0].read_bytes() == whole[0]
    assert len(computed) == 2 + len(lies)


def test_without_a_place_to_remember_in(folder, computed, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file"), "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert DataSet.open(folder, "").checksum == CHECKSUM
    assert len(computed) == 4
    assert not (tmp_path / "relative").exists()
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for _ in range(2):
        DataSet.open(folder, "")
    assert len(computed) == 6
    assert len(list((tmp_path / "home" / ".cache").rglob("*-*"))) == 2


def test_a_bar_is_shown_only_for_what_takes_long(folder, capsys, monkeypatch):
    DataSet.open(folder, "")
    assert capsys.readouterr().err == ""
    path = folder / "large"
    path.write_bytes(bytes(3 * digests.AT_ONCE))
    real = digests.blake3

    class Slow:
        AUTO = real.AUTO

        def __init__(self, **options):
            self.hexdigest = (made := real(**options)).hexdigest
            self.update = lambda part: (time.sleep(0.5), made.update(part))

    monkeypatch.setattr(digests, "blake3", Slow)
    monkeypatch.setattr(digests, "_remember", lambda *_: None)
    with path.open("rb") as file:
        found = digests.of_files({path: file.fileno()})
    assert found == {"large": real(path.read_bytes()).hexdigest()}
    assert "verifying: " in capsys.readouterr().err
