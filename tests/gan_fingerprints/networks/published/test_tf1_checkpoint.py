"""TensorFlow 1 checkpoints: read as TensorFlow reads them, found, and refused when damaged."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks.published import tf1_checkpoint, tf1_index
from gan_fingerprints.networks.stored import Refused
from gan_fingerprints.program import UserError

ARRAYS = {
    "generator/g_h0_lin/Matrix": np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32),
    "generator/g_res1.BN1.offset": np.arange(7, dtype=np.float32),
    "global_step": np.asarray(150000, np.int32),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "many": np.arange(20000, dtype=np.int64),
    "wide": np.asarray([[1.5]], np.float64),
}


def save(prefix: Path, arrays=ARRAYS) -> Path:
    prefix.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )  # fmt: skip
    return prefix


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("tf1") / "MMDGAN.model-150000")


def read(prefix: Path) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in tf1_checkpoint.arrays(prefix).items()}


def data_of(prefix: Path) -> Path:
    return Path(f"{prefix}.data-00000-of-00001")


def index_of(prefix: Path) -> Path:
    return Path(f"{prefix}.index")


def copy(prefix: Path, folder: Path) -> Path:
    for file in (data_of(prefix), index_of(prefix)):
        shutil.copy(file, folder)
    return folder / prefix.name


def test_what_tensorflow_wrote_is_read(checkpoint):
    found = read(checkpoint)
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("name", ["cramer_r32_g8", "mmd_r32_g8"])
def test_published_checkpoints_are_read_as_tensorflow_does(reference, name):
    prefix = tf1_checkpoint.newest(reference(f"gan/{name}/models"), "--checkpoint_dir")
    assert prefix.name == "MMDGAN.model-150000"
    found = read(prefix)
    reader = tf.train.load_checkpoint(str(prefix))
    assert set(found) == set(reader.get_variable_to_shape_map())
    for key, array in found.items():
        np.testing.assert_array_equal(array, reader.get_tensor(key), key)
    listed = json.loads(reference(f"gan/{name}/info.json").read_text())["checkpoint_variables"]
    assert len(listed) == len(found)


def test_hundreds_of_arrays_take_several_blocks(tmp_path):
    arrays = {f"layer_{i:04d}/{'x' * 60}": np.full(3, i, np.float32) for i in range(300)}
    found = read(save(tmp_path / "m-1", arrays))
    assert index_of(tmp_path / "m-1").stat().st_size > 2 * 4096
    assert all(found[name][0] == array[0] for name, array in arrays.items())


def test_the_newest_step_wins_anywhere_below(checkpoint, tmp_path):
    for name in ("b/MMDGAN.model-9000", "a/c/MMDGAN.model-20000", "best.model"):
        for kind in ("index", "data-00000-of-00001"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"{checkpoint}.{kind}", tmp_path / f"{name}.{kind}")
    (tmp_path / "MMDGAN.model-90000.index").touch()  # without its data: unfinished
    newest = tf1_checkpoint.newest(tmp_path, "--checkpoint_dir")
    assert newest == tmp_path / "a/c/MMDGAN.model-20000"
    for given in (newest, f"{newest}.index"):
        assert tf1_checkpoint.newest(given, "--checkpoint_dir") == newest
    for folder in ("a", "b"):
        shutil.rmtree(tmp_path / folder)
    assert tf1_checkpoint.newest(tmp_path, "--checkpoint_dir").name == "best.model"


def test_the_message_says_where_it_looked(tmp_path):
    for path, found in ((tmp_path, "a folder without one"), (tmp_path / "none", "nothing")):
        with pytest.raises(UserError, match=f"--checkpoint_dir {path}: found {found}"):
            tf1_checkpoint.newest(path, "--checkpoint_dir")


def test_the_graph_is_never_opened(checkpoint, tmp_path):
    """Not even looked into: a pipe without a writer would block whoever opens it."""
    copy(checkpoint, tmp_path)
    os.mkfifo(tmp_path / f"{checkpoint.name}.meta")
    reader = Path(__file__).with_name("read_hostile.py")
    done = subprocess.run(
        [sys.executable, reader], input=str(tmp_path), capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    report = json.loads(done.stdout)[str(tmp_path)]
    assert report["events"] == []
    assert report["status"] == "refused"  # its arrays are of no generator
    assert "arrays of no generator" in report["message"]


def test_every_damaged_byte_is_noticed(checkpoint, tmp_path):
    prefix = copy(checkpoint, tmp_path)
    good = index_of(prefix).read_bytes()
    kept = 0
    for place in range(len(good)):
        changed = bytearray(good)
        changed[place] ^= 1 << (place % 8)
        index_of(prefix).write_bytes(changed)
        try:
            found = read(prefix)
        except Refused as error:
            assert str(error)  # noqa: PT017
        else:  # only in the empty table about tables, and the padding, which nothing reads
            kept += 1
            assert set(found) == set(ARRAYS)
    assert kept < 60
    index_of(prefix).write_bytes(good)
    data = data_of(prefix).read_bytes()
    for place in range(0, len(data), 9973):
        changed = bytearray(data)
        changed[place] ^= 16
        data_of(prefix).write_bytes(changed)
        with pytest.raises(Refused, match="does not have its checksum"):
            read(prefix)


def test_cut_files_are_refused(checkpoint, tmp_path):
    prefix = copy(checkpoint, tmp_path)
    for file in (index_of(prefix), data_of(prefix)):
        good = file.read_bytes()
        for i in range(50):
            file.write_bytes(good[: i * len(good) // 50])
            with pytest.raises(Refused):
                read(prefix)
        file.write_bytes(good)
    data_of(prefix).unlink()
    with pytest.raises(Refused, match=r"data-00000-of-00001 is missing"):
        read(prefix)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def block(entries: dict[bytes, bytes]) -> bytes:
    """A table's block with its trailer, keys unshared."""
    content = b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in entries.items())
    content += struct.pack("<II", 0, 1)
    return content + b"\0" + struct.pack("<I", tf1_index.masked(content + b"\0"))


def index(entries: dict[bytes, bytes]) -> bytes:
    """An index whose checksums are right, whatever it says."""
    data = block(entries)
    handles = block({b"~": varint(0) + varint(len(data) - 5)})
    footer = varint(0) + varint(0) + varint(len(data)) + varint(len(handles) - 5)
    return data + handles + footer.ljust(40, b"\0") + tf1_index.MAGIC


def entry(kind=1, sizes=(2,), shard=0, offset=0, size=8, extra=b"") -> bytes:
    dims = b"".join(
        b"\x12" + varint(len(d)) + d for d in (b"\x08" + varint(size) for size in sizes)
    )
    return (
        b"\x08" + varint(kind) + b"\x12" + varint(len(dims)) + dims + b"\x18" + varint(shard)
        + b"\x20" + varint(offset) + b"\x28" + varint(size) + b"\x35" + bytes(4) + extra
    )  # fmt: skip


HOSTILE = {
    "huge shape": (entry(sizes=(2**62, 2**62), size=2**60), "shape is not made of sizes"),
    "wrong size": (entry(sizes=(2**40,), size=8), "8 bytes for shape"),
    "outside": (entry(offset=2**60), "outside of the data"),
    "behind the end": (entry(offset=5), "outside of the data"),
    "another shard": (entry(shard=9), "outside of the data"),
    "texts": (entry(kind=7), "of type 7"),
    "variants": (entry(kind=21), "of type 21"),
    "slices": (entry(extra=b"\x3a\x00"), "cut into slices"),
    "more than there is": (entry(sizes=(4,), size=16), "more bytes than"),
    "endless number": (b"\xff" * 20, "64 bits"),
    "group": (b"\x0b", "unknown kind"),
    "long text": (b"\x12" + varint(2**40), "cut off"),
    "text for a number": (b"\x0a\x01a", "where a number is expected"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_indices_that_lie_are_refused(tmp_path, name):
    content, message = HOSTILE[name]
    (tmp_path / "m-1.index").write_bytes(index({b"": b"\x08\x01", b"a": content}))
    (tmp_path / "m-1.data-00000-of-00001").write_bytes(bytes(8))
    with pytest.raises(Refused, match=message):
        read(tmp_path / "m-1")


def test_the_lies_are_otherwise_a_good_index(tmp_path):
    checksum = struct.pack("<I", tf1_index.masked(bytes(8)))
    good = entry().replace(b"\x35" + bytes(4), b"\x35" + checksum)
    (tmp_path / "m-1.index").write_bytes(index({b"": b"\x08\x01", b"a": good}))
    (tmp_path / "m-1.data-00000-of-00001").write_bytes(bytes(8))
    (array,) = read(tmp_path / "m-1").values()
    np.testing.assert_array_equal(array, [0, 0])


def test_sizes_and_shards_are_limited(tmp_path):
    (tmp_path / "m-1.index").write_bytes(index({b"": b"\x08" + varint(2**40), b"a": entry()}))
    with pytest.raises(Refused, match="expected 1 to"):
        tf1_checkpoint.arrays(tmp_path / "m-1")
    with (tmp_path / "m-1.index").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(Refused, match="expected at most"):
        tf1_checkpoint.arrays(tmp_path / "m-1")
