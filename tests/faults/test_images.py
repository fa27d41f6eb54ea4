"""Damaged images of every format: an image or one line of reason, soon, and no code is run."""

import io
import sys
import time

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import formats, images
from gan_fingerprints.formats import FORMATS, HEIF
from gan_fingerprints.images import ImageError

SLOWEST = 5  # seconds of a processor: a busy machine changes nothing
FORBIDDEN = ("exec", "compile", "import", "os.system", "subprocess.Popen", "socket.connect")
watching = False
events: list[str] = []


def hook(event: str, arguments: tuple) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
    if watching and (event in FORBIDDEN or writes):
        events.append(f"{event} {str(arguments)[:100]}")


sys.addaudithook(hook)


def originals() -> list[bytes]:
    """Small images of every format and several colour modes."""
    formats.heif()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8))
    made = []
    for name in (*FORMATS, HEIF):
        for mode in ("RGB", "L", "RGBA", "P", "I;16", "CMYK"):
            file = io.BytesIO()
            try:
                converted = picture.convert("L" if mode == "I;16" else mode).convert(mode)
                converted.save(file, name)
            except (OSError, ValueError, KeyError):
                continue  # this format has no such mode
            made.append(file.getvalue())
    return made


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Flips bits, overwrites, repeats, removes or cuts a part, or puts two files together."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place, length = int(rng.integers(len(data))), int(rng.integers(1, 16))
        match rng.integers(6):
            case 0:
                data[place] ^= 1 << rng.integers(8)
            case 1:
                data[place : place + length] = rng.bytes(length)
            case 2:
                data[place:place] = data[place : place + length]
            case 3 if len(data) > 40:
                del data[place : place + length]
            case 4 if place > 8:
                del data[place:]
            case _:
                data[place : place + 4] = (2**32 - 1).to_bytes(4, "big")
    return bytes(data)


def test_damaged_images(tmp_path, times, counted):
    global watching
    rng = np.random.default_rng(1)
    kinds = originals()
    assert len(kinds) >= 14
    for content in kinds:  # so that no decoder is imported for the first time below
        images.read_image("whole", content)
    number = times(2000, 300)
    slowest, survived, read = 0.0, 0, 0
    reasons: list[str] = []
    for i in range(number):
        content = damaged(kinds[i % len(kinds)], rng)
        start = time.process_time()
        watching = True
        try:
            # All of them in this process, which is watched.
            pixels = np.asarray(images.open_image("damaged", content))
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            read += 1
        except ImageError as error:
            reasons.append(str(error))
        finally:
            watching = False
        slowest = max(slowest, time.process_time() - start)
        survived += 1
    assert not events
    assert all(reason.startswith("damaged: ") for reason in reasons)
    assert slowest < SLOWEST
    assert 0 < read < number  # both happened
    counted(number, survived)


def test_the_watch_would_see_it(tmp_path):
    global watching
    watching = True
    try:
        exec("1")
    finally:
        watching = False
    assert events
    events.clear()


def test_other_files_are_no_images(times, counted):
    rng = np.random.default_rng(2)
    number = times(500, 50)
    for _ in range(number):
        with pytest.raises(ImageError):
            images.read_image("noise", rng.bytes(rng.integers(1, 200)))
    counted(number, number)
