"""Makes a folder of hostile and broken model files: `python3 hostile.py FOLDER`.

Every file that would run code makes a file named CANARY in the folder if it gets to.
"""

import io
import json
import pickle
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[4])

from tests.gan_fingerprints.networks.published.hostile_pickles import (
    Evil,
    broken_pickles,
    code_pickles,
    gigantic_pickles,
    network,
)
from tests.published import pickled

CANARY = "canary"


def npz_files(command: str) -> dict[str, bytes]:
    """Archives that are no snapshots."""

    def header(text: str, version: int = 1) -> bytes:
        length = struct.pack("<H" if version == 1 else "<I", len(text))
        return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode()

    def plain(kind: str = "<f4", shape: str = "(2,)") -> str:
        return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n"

    def member(content: bytes, name: str = "l1/W.npy", **kwargs) -> bytes:
        return archive([(name, content)], **kwargs)

    good = header(plain()) + bytes(8)
    objects, numbers = io.BytesIO(), io.BytesIO()
    np.savez(objects, **{"l1/W": np.array([Evil(eval, f"__import__('os').system({command!r})")])})
    np.savez_compressed(numbers, **{"l1/W": np.random.default_rng(0).normal(size=(8, 8))})
    numbers = numbers.getvalue()
    zeros = header(plain(shape="(75000000,)")) + bytes(300_000_000)
    files = {
        "objects": objects.getvalue(),
        "object_header": member(header(plain("|O")) + bytes(16)),
        "code_in_the_header": member(header("{'descr': __import__('os').system(" + repr(command)
                                            + "), 'fortran_order': False, 'shape': (2,), }\n")),
        "deep_header": member(header("(" * 60_000)),
        "structured": member(header("{'descr': [('a', '<f4')], 'fortran_order': False, "
                                    "'shape': (2,), }\n") + bytes(8)),
        "bomb": member(zeros),
        "declared_shape": member(header(plain(shape="(1000000, 1000000, 1000)")) + bytes(8)),
        "negative_shape": member(header(plain(shape="(-2,)")) + bytes(8)),
        "empty_shape": member(header(plain(shape="(0, 99999999)"))),
        "many_dimensions": member(header(plain(shape=f"({'1, ' * 9})")) + bytes(4)),
        "header_length": member(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(50)),
        "version": member(b"\x93NUMPY\x09\x00" + good[8:]),
        "no_header": member(b"hello"),
        "too_short": member(good[:-1]),
        "too_long": member(good + b"a"),
        "text_item": member(header(plain("<U9999999", "()")) + bytes(8)),
        "twice": archive([("l1/W.npy", good), ("l1/W.npy", good)]),
        "parent_path": member(good, "../../canary.npy"),
        "absolute_path": member(good, "/tmp/canary.npy"),
        "backslash_path": member(good, "..\\canary.npy"),
        "no_array": member(b"import os", "l1.py"),
        "pickle_member": member(pickle.dumps(Evil(eval, "1")), "l1/W.npy"),
        "bzip2": member(good, method=zipfile.ZIP_BZIP2),
        "lzma": member(good, method=zipfile.ZIP_LZMA),
        "many_members": archive([(f"a{i}.npy", good) for i in range(12_000)]),
        "long_name": member(good, "a" * 60_000 + ".npy"),
        "comment": numbers[:-2] + struct.pack("<H", 5) + b"hello",
        "no_directory": numbers[:-22],
        "trailing": numbers + b"abc",
        "other_arrays": numbers,
        "encrypted": _patched(numbers, 6, 8, struct.pack("<H", 1)),
        "declared_large": _patched(numbers, 22, 24, struct.pack("<I", 2**32 - 2)),
        "declared_more": _patched(numbers, 22, 24, struct.pack("<I", 700)),
        "zip64": numbers[:-22] + b"PK\x06\x07" + bytes(16) + numbers[-22:],
        "directory_elsewhere": numbers[:-6] + struct.pack("<I", 2**31) + numbers[-2:],
        "directory_large": numbers[:-10] + struct.pack("<I", 2**31) + numbers[-6:],
        "damaged": numbers[:150] + bytes([numbers[150] ^ 8]) + numbers[151:],
        "only_a_start": b"PK\x03\x04",
        "empty_archive": archive([]),
    }  # fmt: skip
    cuts = {f"cut_{i}": numbers[: i * len(numbers) // 8] for i in range(1, 8)}
    return files | cuts


def archive(members, method=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as content:
        warnings.simplefilter("ignore")
        for name, data in members:
            content.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def _patched(data: bytes, local: int, central: int, value: bytes) -> bytes:
    """Changes a field of the first member, in its own header and in the directory."""
    start = data.index(b"PK\x01\x02")
    data = data[: start + central] + value + data[start + central + len(value) :]
    return data[:local] + value + data[local + len(value) :]


def safetensors_files() -> dict[str, bytes]:
    """Files that begin as ours do."""

    def file(header: str, data: bytes = b"") -> bytes:
        return struct.pack("<Q", len(header)) + header.encode() + data

    def ours(**changes) -> bytes:
        header = {"network": "generator", "arguments": {"resolution": 8}, "input_range": [-1, 1],
                  "source_names": None, "provenance": {}, **changes}  # fmt: skip
        meta = {"__metadata__": {"gan_fingerprints": json.dumps(header)}}
        return file(json.dumps(meta))

    return {
        "length": struct.pack("<Q", 2**63) + b"{}",
        "length_4": struct.pack("<Q", 2**32) + b"{}",
        "deep": file('{"a":' * 100_000),
        "deep_inside": file(json.dumps({"__metadata__": {"gan_fingerprints": "[" * 200_000}})),
        "offsets": file('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99999999999]}}'),
        "shape": file('{"a":{"dtype":"F32","shape":[1099511627776,1099511627776],'
                      '"data_offsets":[0,4]}}', b"abcd"),
        "no_metadata": file("{}"),
        "list": file(json.dumps({"__metadata__": {"gan_fingerprints": "[]"}})),
        "no_checksum": ours(),
        "checksum": ours(sha256="0" * 64),
        "arguments": ours(arguments=[1]),
        "no_network": file(json.dumps({"__metadata__": {"gan_fingerprints": "{}"}})),
    }  # fmt: skip


def write(folder: Path, good: bytes) -> list[Path]:
    """Writes all files, and returns their paths. good: a published pickle, to damage."""
    folder.mkdir(parents=True, exist_ok=True)
    command = f"touch {folder / CANARY}"
    groups = {
        "code": (code_pickles(command), ".pkl"),
        "gigantic": (gigantic_pickles(), ".pkl"),
        "broken": (broken_pickles(good), ".pkl"),
        "npz": (npz_files(command), ".npz"),
        "ours": (safetensors_files(), ".safetensors"),
    }
    paths = []
    for group, (files, ending) in groups.items():
        for name, content in files.items():
            path = folder / f"{group}_{name[:100]}{ending}"
            path.write_bytes(content)
            paths.append(path)
    for name, content in sparse_files().items():
        path = folder / f"sparse_{name}"
        with path.open("wb") as file:
            file.write(content)
            file.truncate(2**33 if "huge" in name else 2**30)
        paths.append(path)
    return paths


def sparse_files() -> dict[str, bytes]:
    """Beginnings of files of 1 or 8 GiB that take no room on the disk."""
    arguments = {
        "resolution": 8,
        "num_sources": 2,
        "fmap_base": 8,
        "fmap_max": 8,
        "mode": "postpool",
        "switching_res": 4,
        "latent_res": -1,
        "fused_scale": False,
    }
    ours = json.dumps({"network": "classifier", "arguments": arguments, "input_range": [-1, 1],
                       "source_names": None, "provenance": {}, "sha256": "0" * 64})  # fmt: skip
    size = 2**28 - 256
    tensor = {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}
    text = json.dumps({"__metadata__": {"gan_fingerprints": ours}, "a": tensor}).ljust(1016)
    one_array = b"\x80\x04B" + struct.pack("<I", 2**30 - 8)
    return {
        "huge.pkl": b"\x80\x04",
        "huge.safetensors": struct.pack("<Q", len(text)) + text.encode(),
        "huge.npz": b"PK\x03\x04",
        "one_array.pkl": one_array,
        "one_array.safetensors": struct.pack("<Q", len(text)) + text.encode(),
        "one_array.npz": b"PK\x03\x04",
    }


if __name__ == "__main__":
    found = write(Path(sys.argv[1]), pickled((network(), network(), network())))
    print(f"wrote {len(found)} files to {sys.argv[1]}")
