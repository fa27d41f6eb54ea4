"""How much reading images may take: pixels at once, and apart from this process memory and time.

Ordinary images are read in any thread. Large ones wait until the pixels that are decoded at once
are few enough. What may take far more than it shows (see `images`) is read by a process of its
own, one at a time: it may fail, be killed or take too long, and the next image is read by another.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

PIXELS = 50_000_000  # decoded at once, by all threads together
SMALL = 1_000_000  # pixels of an image that is not worth counting
MANY_BYTES = 2**25  # of a file that is read apart
MEMORY = 768 * 2**20  # bytes for an image that is read apart
SECONDS = 4.0  # of a processor, for the same
# The images come first, as the memory that the module takes itself does not count.
PROGRAM = "from gan_fingerprints import images, limits; limits.main()"

Result = TypeVar("Result")


class ExceededError(Exception):
    """What reading an image takes too much of, in a few words."""


class CostlyError(Exception):
    """Raised by `announce` to be done again when there is room."""

    def __init__(self, pixels: int, apart: bool) -> None:
        super().__init__(pixels, apart)
        self.pixels, self.apart = pixels, apart


class _Budget:
    """Pixels that threads take before they decode, and give back."""

    def __init__(self, pixels: int) -> None:
        self.all = self._free = pixels
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


class _Apart:
    """The process that costly images are read by; it starts when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # another one's pipes are not to be used after a fork

    def call(self, request: bytes) -> Any:
        """What the pickled function returns for the pickled arguments, or its exception."""
        if not self._process or self._owner != os.getpid() or self._process.poll() is not None:
            self._process, self._owner = _start(), os.getpid()
        try:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(request)
            self._process.stdin.flush()
            returned, value = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise ExceededError(_cause_of_death(self._process.wait())) from None
        except BaseException:
            self._process.kill()  # else its answer would be taken for the next one's
            raise
        if returned:
            return value
        raise value


def _start() -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    root = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = f"{root}{os.pathsep}{environment['PYTHONPATH']}"
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
    )  # fmt: skip


def _cause_of_death(status: int) -> str:
    if -status == signal.SIGPROF:
        return f"takes more than {SECONDS:g} seconds to read"
    return f"its reading ended with status {status}, perhaps for lack of memory"


_BUDGET, _APART, _HERE = _Budget(PIXELS), _Apart(), threading.local()


def within(function: Callable[..., Result], *arguments: Any) -> Result:
    """function(*arguments), which reads an image and calls `announce` before it decodes.

    It is called again, where there is room for what was announced. Within another call of this
    function it is just called.

    Args:
        function, arguments: picklable, or what should be read apart is read here.

    Raises:
        ExceededError: the image takes too much.
    """
    if hasattr(_HERE, "granted"):
        return function(*arguments)
    _HERE.granted = False
    try:
        return function(*arguments)
    except CostlyError as error:
        cost = error
    finally:
        del _HERE.granted
    request = _pickled(function, *arguments) if cost.apart else None
    with _BUDGET.taken(_BUDGET.all if cost.apart else min(cost.pixels, _BUDGET.all)):
        return _APART.call(request) if request else _granted(function, *arguments)


def _granted(function: Callable[..., Result], *arguments: Any) -> Result:
    _HERE.granted = True
    try:
        return function(*arguments)
    finally:
        del _HERE.granted


class _Pickler(pickle.Pickler):
    """Refuses what is defined in the program itself: the other process lacks its names."""

    def reducer_override(self, value: Any) -> Any:
        if getattr(value, "__module__", None) in ("__main__", "__mp_main__"):  # a worker's name
            raise pickle.PicklingError
        return NotImplemented


def _pickled(*call: Any) -> bytes | None:
    request = io.BytesIO()
    try:
        _Pickler(request).dump(call)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return request.getvalue()


def announce(pixels: int, apart: bool = False) -> None:
    """To be called before so many pixels are decoded: what `within` needs to know.

    apart: in a process of its own.
    """
    if (pixels > SMALL or apart) and not getattr(_HERE, "granted", True):
        raise CostlyError(pixels, apart)


def main() -> None:
    """Reads images for another process, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is interrupted, too
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit_memory()
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            _answer(requests, answers)


def _answer(requests: IO[bytes], answers: IO[bytes]) -> None:
    function, *arguments = pickle.load(requests)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # then its signal ends this process
    try:
        answer = pickle.dumps((True, _granted(function, *arguments)))
    except MemoryError:
        error = ExceededError(f"takes more than {MEMORY >> 20} MiB of memory to read")
        answer = pickle.dumps((False, error))
    except Exception as error:  # anything, to be raised where it was asked for
        answer = pickle.dumps((False, error))
    signal.setitimer(signal.ITIMER_PROF, 0)
    answers.write(answer)
    answers.flush()


def _limit_memory() -> None:
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))
    except (ImportError, OSError, ValueError):
        pass  # not on this system: the number of pixels still bounds it
