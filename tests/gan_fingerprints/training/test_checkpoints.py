"""Checkpoints: every kind of damage, and the end of the process at every file operation."""

import fcntl
import io
import os
import shutil

import pytest
import tensorflow as tf

from gan_fingerprints import disk
from gan_fingerprints.program import UserError
from gan_fingerprints.training.checkpoints import Checkpoints

FILES = ["notes.json", "state.data-00000-of-00001", "state.index", "sums.json"]


class State:
    """Two variables, and the checkpoints of them in a folder."""

    def __init__(self, folder):
        self.parts = {"w": [tf.Variable(tf.zeros(100))], "n": [tf.Variable(0, dtype=tf.int64)]}
        self.folder, self.checkpoints = folder, Checkpoints(folder, self.parts)

    def save(self, number):
        self.parts["w"][0].assign(tf.fill([100], float(number)))
        self.parts["n"][0].assign(number)
        self.checkpoints.save(number, {"of": number})

    def restore(self):
        """Number and damage; the state must be whole, and of one checkpoint."""
        number, notes, damaged = self.checkpoints.restore()
        assert notes in ({"of": number}, {})
        assert set(self.parts["w"][0].numpy()) == {number}
        assert int(self.parts["n"][0]) == number
        return number, damaged


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    state = State(folder)
    for number in (5, 20, 100):
        state.save(number)
    return folder


@pytest.fixture
def folder(two, tmp_path):
    return shutil.copytree(two, tmp_path / "checkpoints")


def test_two_are_kept_each_whole(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint", "ckpt-100", "ckpt-20"]
    assert sorted(path.name for path in (folder / "ckpt-20").iterdir()) == FILES
    assert State(folder).restore() == (100, [])
    assert tf.train.latest_checkpoint(folder) == str(folder / "ckpt-100" / "state")
    assert State(folder / "none").checkpoints.restore() is None


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_and_no_cut_goes_unnoticed(folder, name, times, counted):
    file, state = folder / "ckpt-100" / name, State(folder)
    content = file.read_bytes()
    step = 1 + len(content) * 8 // times(1000, 16)
    faults = [flipped(content, bit) for bit in range(0, len(content) * 8, step)]
    faults += [content[:-2], content[: len(content) // 2], b"", content + b"\0", content * 2]
    for fault in faults:
        file.write_bytes(fault)
        number, damaged = state.restore()
        assert number == 20
        said = f"checkpoint 100 is damaged ({name} is not as it was written)"
        assert damaged == [said] or name == "sums.json"  # any file may not fit what that says
    assert len(faults) >= 15
    file.unlink()
    assert state.restore() == (20, [f"checkpoint 100 is damaged ({name}: {os.strerror(2)})"])
    file.mkdir()
    assert state.restore()[0] == 20
    file.rmdir()
    file.write_bytes(content)
    assert state.restore() == (100, [])
    counted(len(faults) + 2, len(faults) + 2)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b'model_checkpoint_path: "ckpt-7"'])
def test_the_pointer_is_not_needed(folder, content):
    (folder / "checkpoint").unlink()
    if content is not None:
        (folder / "checkpoint").write_bytes(content)
    assert State(folder).restore() == (100, [])


def test_when_none_is_intact_it_does_not_begin_anew(folder):
    for name in ("ckpt-20", "ckpt-100"):
        (folder / name / "state.index").write_bytes(b"")
    message = (
        r"^--resume: none of the checkpoints in .* is intact: checkpoint 100 is damaged \(state"
        r".index is not as it was written\); checkpoint 20 is .*; put a copy .* move the run's"
    )
    with pytest.raises(UserError, match=message):
        State(folder).checkpoints.restore()


def test_damaged_ones_go_and_good_ones_stay_after_the_next_save(folder):
    (folder / "ckpt-100" / "state.index").write_bytes(b"")
    state = State(folder)
    state.restore()
    state.save(100)  # the same moment again
    assert sorted(x.name for x in folder.glob("ckpt*")) == ["ckpt-100", "ckpt-20"]
    assert State(folder).restore() == (100, [])
    (folder / "ckpt-100" / "sums.json").unlink()
    state = State(folder)
    state.restore()
    state.save(50)
    assert sorted(x.name for x in folder.glob("ckpt*")) == ["ckpt-20", "ckpt-50"]


def test_those_of_earlier_versions_are_read_and_replaced(tmp_path, counted):
    state = State(tmp_path)
    old = tf.train.Checkpoint(**state.parts)
    manager = tf.train.CheckpointManager(old, str(tmp_path), max_to_keep=2)
    for number in (20, 100):
        state.parts["w"][0].assign(tf.fill([100], float(number)))
        state.parts["n"][0].assign(number)
        manager.save(checkpoint_number=number)
    (tmp_path / "checkpoint").unlink()
    assert State(tmp_path).restore() == (100, [])
    # A sixth of the bits of so short an index are padding, which TensorFlow does not read.
    tried = 0
    for name, padding in (("ckpt-100.data-00000-of-00001", 0), ("ckpt-100.index", 0.2)):
        content = (tmp_path / name).read_bytes()
        faults = [flipped(content, bit) for bit in range(0, len(content) * 8, 29)]
        harmless = 0
        faults += [b"", content[: len(content) // 2], None]
        for fault in faults:
            (tmp_path / name).unlink(missing_ok=True)
            if fault is not None:
                (tmp_path / name).write_bytes(fault)
            number, damaged = State(tmp_path).restore()
            # The index ends with padding; where a bit of that differs, the state is as saved.
            harmless += number == 100
            said = "checkpoint 100 is damaged (TensorFlow says: "
            assert [line[: len(said)] for line in damaged] == [said] * (number == 20)
        assert harmless <= padding * len(faults)
        tried += len(faults)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "ckpt-7_temp").mkdir()
    state = State(tmp_path)
    state.restore()
    for number in (200, 300):
        state.save(number)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint", "ckpt-200", "ckpt-300"]
    counted(tried, tried)


class Killed(BaseException):
    """No program goes on after it."""


@pytest.fixture
def death(monkeypatch):
    """Lets the process do a number of file operations, and none after these, until it is None."""
    remaining = [None]
    done = []

    def counted(function):
        def operate(*args, **kwargs):
            if remaining[0] is not None:
                done.append(function.__name__)
                remaining[0] -= 1
                if remaining[0] < 0:
                    raise Killed
            return function(*args, **kwargs)

        return operate

    for module, names in (
        (os, "mkdir open fsync replace rename unlink remove rmdir"), (io, "open"),
        (fcntl, "flock"),
    ):  # fmt: skip
        for name in names.split():
            monkeypatch.setattr(module, name, counted(getattr(module, name)))

    def after(number):
        remaining[0] = number
        done.clear()
        return done

    return after


def test_the_end_at_any_file_operation_of_a_save_loses_one_save_at_most(
    two, tmp_path, death, counted
):
    def begun(name):
        state = State(shutil.copytree(two, tmp_path / name))
        state.restore()
        return state

    state = begun("all")
    done = death(10**6)
    state.save(300)
    operations = [*done]
    death(None)
    assert set(operations) >= {"mkdir", "open", "fsync", "flock", "replace", "unlink", "rmdir"}
    assert len(operations) > 40
    ends = []
    for number in range(len(operations)):
        state = begun(str(number))
        death(number)
        with pytest.raises(Killed):
            state.save(300)
        death(None)
        after = State(state.folder)
        found, damaged = after.restore()
        assert not damaged
        ends.append(found)
        after.save(301)
        assert sorted(path.name for path in state.folder.iterdir()) == sorted(
            ["checkpoint", f"ckpt-{found}", "ckpt-301"]
        )
        assert State(state.folder).restore() == (301, [])
    assert ends == sorted(ends)  # 100 until it is there, 300 from then on
    assert {*ends} == {100, 300}
    counted(len(operations), len(ends))


def test_files_are_on_the_disk_before_the_checkpoint_has_its_name(folder, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def noted(first, *others, name=name, real=real):
            path = os.readlink(f"/proc/self/fd/{first}") if name == "fsync" else str(first)
            calls.append((name, path.rpartition("/")[2]))
            return real(first, *others)

        monkeypatch.setattr(os, name, noted)
    State(folder).save(300)
    expected = [("fsync", name) for name in sorted([*FILES, "ckpt-300"])]
    last = calls.index(("replace", "ckpt-300"))
    assert sorted(calls[:last]) == sorted(expected)
    assert calls[last + 1] == ("fsync", folder.name)


def test_a_full_disk_is_one_line_and_leaves_the_older_ones(folder, monkeypatch):
    def full(self, path):
        (folder / "part").write_bytes(b"0")
        raise tf.errors.ResourceExhaustedError(None, None, f"{path}; No space left on device")

    state = State(folder)
    state.restore()
    monkeypatch.setattr(tf.train.Checkpoint, "write", full)
    message = r"ckpt-300: the disk is full: it needs 416 bytes, [\d,]+ are free; make room .*resume"
    with pytest.raises(UserError, match=message):
        state.save(300)
    assert State(folder).restore() == (100, [])
    assert not list(folder.glob(f"{disk.PARTIAL}*"))
