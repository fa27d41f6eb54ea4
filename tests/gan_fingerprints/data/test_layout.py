import os

import numpy as np
import pytest

from gan_fingerprints.data import layout, writing
from gan_fingerprints.data.records import RecordFile
from gan_fingerprints.program import UserError

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
PLANES = PICTURES.transpose(0, 3, 1, 2)
SIZE = layout.record_layout(16).dtype.itemsize
EVERY = np.arange(40)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data-r04.tfrecords"
    writing.encode(PICTURES, 40, [16])[0][0].tofile(path)
    return path


def example(planes, **more):
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature["shape"].int64_list.value.extend(planes.shape)
    example.features.feature["data"].bytes_list.value.append(planes.tobytes())
    for name, value in more.items():
        example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString(deterministic=True)


def write_with_tensorflow(path, examples):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in examples:
            writer.write(one)


def bitwise_crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("content", "crc"),  # RFC 3720, B.4
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_crc32c_of_known_texts(content, crc):
    assert layout.crc32c(np.frombuffer(content, np.uint8)[None]) == [crc]


@pytest.mark.parametrize("length", [4, 5, 289, 290, 291, 580, 4641, 5685, 5686, 12345])
def test_crc32c_of_any_length(length):
    rows = RNG.integers(0, 256, (3, length), dtype=np.uint8)
    assert layout.crc32c(rows).tolist() == [bitwise_crc32c(row.tobytes()) for row in rows]


@pytest.mark.parametrize("resolution", [4, 16, 64])
def test_tensorflow_writes_the_same_bytes(tmp_path, resolution):
    pictures = RNG.integers(0, 256, (3, resolution, resolution, 3), dtype=np.uint8)
    path = tmp_path / "theirs.tfrecords"
    write_with_tensorflow(path, [example(picture.transpose(2, 0, 1)) for picture in pictures])
    assert writing.encode(pictures, 3, [resolution])[0][0].tobytes() == path.read_bytes()


def test_levels_are_rounded_means_of_floats():
    levels, _ = writing.encode(PICTURES, 50, [16, 8, 4])
    for resolution, level in zip((16, 8, 4), levels, strict=True):
        side = 16 // resolution
        blocks = PLANES.astype(float).reshape(40, 3, resolution, side, resolution, side)
        np.testing.assert_array_equal(level["pixels"], np.rint(blocks.mean(axis=(3, 5))))


def test_reads_any_records_in_any_order(path):
    file = RecordFile(path, 16)
    assert file.count == 40
    indices = np.array([3, 39, 0, 3])
    np.testing.assert_array_equal(file.read(indices), PICTURES[indices])
    assert file.read(np.array([], int)).shape == (0, 16, 16, 3)


def test_reads_records_that_another_program_wrote_differently(path):
    write_with_tensorflow(path, [example(x, name=b"n" * i) for i, x in enumerate(PLANES)])
    np.testing.assert_array_equal(RecordFile(path, 16).read(EVERY[::-1]), PICTURES[::-1])


@pytest.mark.parametrize("place", [0, 9, 30, 500, SIZE - 1])
def test_a_damaged_record_is_an_error_when_it_is_read(path, place):
    content = bytearray(path.read_bytes())
    content[17 * SIZE + place] ^= 1
    path.write_bytes(content)
    file = RecordFile(path, 16)
    file.read(np.delete(EVERY, 17))
    with pytest.raises(UserError, match=r"data-r04\.tfrecords: record 17 is damaged"):
        file.read(EVERY)


@pytest.mark.parametrize(("cut", "number"), [(1, 39), (300, 39), (SIZE - 1, 39), (SIZE + 1, 38)])
def test_a_file_cut_in_the_middle_of_a_record(path, cut, number):
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match=rf"data-r04\.tfrecords: ends in the .* record {number},"):
        RecordFile(path, 16)


def test_a_file_that_shrinks_while_it_is_read(path):
    file = RecordFile(path, 16)
    os.truncate(path, 1000)
    with pytest.raises(UserError, match="ends in the middle of the record at byte"):
        file.read(EVERY)


def test_a_file_without_records(path):
    path.write_bytes(b"")
    with pytest.raises(UserError, match="found an empty file, expected records"):
        RecordFile(path, 16)


def test_a_file_that_is_no_tfrecord_file(path):
    for length in (5000, 40 * SIZE, 3):
        path.write_bytes(RNG.bytes(length))
        with pytest.raises(UserError, match=r"data-r04\.tfrecords: "):
            RecordFile(path, 16)


def test_records_of_another_shape(path):
    with pytest.raises(UserError) as error:
        RecordFile(path, 32)
    assert "record 0 holds 768 bytes of shape [3, 16, 16], expected uint8" in str(error.value)
    write_with_tensorflow(path, [b"no example"])
    with pytest.raises(UserError, match=r"record 0 holds 0 bytes of shape \[\]"):
        RecordFile(path, 16)
