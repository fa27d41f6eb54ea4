"""Random and randomly changed files: read, or refused; nothing else ever happens."""

import contextlib
import pickletools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_fingerprints.networks import files
from gan_fingerprints.networks.published.pickle_reader import HANDLERS
from gan_fingerprints.networks.stored import Refused
from gan_fingerprints.program import UserError
from tests.gan_fingerprints.networks.published import hostile
from tests.gan_fingerprints.networks.published.hostile_pickles import (
    GLOBALS,
    gigantic_pickles,
    network,
    text,
)
from tests.published import pickled

GOOD = pickled((network(), network(), network()))
QUICK = settings(
    max_examples=400, deadline=2000, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
SEEDS = [GOOD, pickled(network()), *gigantic_pickles().values()]
SEEDS = [seed for seed in SEEDS if len(seed) < 20_000]
ARCHIVES = [c for c in hostile.npz_files("true").values() if 0 < len(c) < 20_000]
WORDS = ["tfutil", "Network", "numpy", "dtype", "ndarray", "f4", "O8", "<", "variables"]

OPCODES = st.sampled_from(sorted(HANDLERS) + [bytes([code]) for code in range(256)])
TEXTS = st.sampled_from(WORDS).map(text)
WANTED = st.sampled_from([*GLOBALS, "tfutil.Network", "numpy.dtype", "numpy.ndarray",
                          "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar",
                          "numpy.core.numeric._frombuffer"])  # fmt: skip
NAMED = WANTED.map(lambda name: b"c" + "\n".join(name.rsplit(".", 1)).encode() + b"\n")
PROGRAMS = st.lists(st.one_of(OPCODES, TEXTS, NAMED, st.binary(max_size=9)), max_size=60)
EDITS = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(0, 12), st.binary(max_size=12)), max_size=8
)

STARTED = (
    "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "import",
    "pickle.find_class", "exec", "compile", "os.remove", "os.rename",
)  # fmt: skip

watched: dict[str, list[str]] = {}


def hook(event: str, arguments: tuple) -> None:
    """Notes what runs, connects or imports while a file is read."""
    if "events" in watched and event in STARTED:
        watched["events"].append(f"{event} {str(arguments)[:80]}")


def edited(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replaces pieces of a file: (where, how many bytes, by what)."""
    for place, length, piece in edits:
        place %= len(content) + 1
        content = content[:place] + piece + content[place + length :]
    return content


def read(content: bytes) -> list[str]:
    """Reads a file with every array in it; returns the messages of what was refused."""
    messages = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network")
        path.write_bytes(content)
        watched["events"] = []
        try:
            for stored in files.read(path, "--model_path"):
                for array in stored.arrays.values():
                    with contextlib.suppress(Refused):
                        assert np.asarray(array).shape == array.shape
        except UserError as error:
            messages.append(str(error))
        events = watched.pop("events")
        assert events == []
        assert [file.name for file in Path(folder).iterdir()] == ["network"]
        assert all(message.isprintable() for message in messages)
    return messages


@pytest.fixture(autouse=True, scope="module")
def audit():
    for codec in ("unicode_escape", "cp437", "latin-1"):
        "".encode(codec)  # Python imports these modules when they are first used
    sys.addaudithook(hook)


STARTS = st.sampled_from([b"", b"\x80\x04", b"PK\x03\x04", b"\x10" + bytes(7) + b"{"])


@QUICK
@given(st.binary(max_size=200), STARTS)
def any_bytes(content, start):
    read(start + content)


@QUICK
@given(PROGRAMS)
def any_program(program):
    read(b"\x80\x04" + b"".join(program) + b".")


@QUICK
@given(st.sampled_from(SEEDS), EDITS)
def any_change(seed, edits):
    read(edited(seed, edits))


@QUICK
@given(st.sampled_from(ARCHIVES), EDITS)
def any_archive(seed, edits):
    read(edited(seed, edits))


FUZZES = [any_bytes, any_program, any_change, any_archive]


@pytest.mark.parametrize("fuzz", FUZZES)
def test_nothing_else_happens(fuzz):
    fuzz()


@pytest.mark.slow
def test_nothing_else_happens_in_a_minute():
    end, rounds = time.monotonic() + 60, 0
    while time.monotonic() < end:
        for fuzz in FUZZES:
            fuzz()
        rounds += 1
    assert rounds >= 2


def test_the_fuzz_reaches_deep():
    """Positive control: unchanged, the seed is read; and it has most opcodes of the format."""
    assert read(GOOD) == []
    tried = {opcode.code.encode("latin-1") for opcode, _, _ in pickletools.genops(GOOD)}
    assert len(tried & set(HANDLERS)) >= 20
