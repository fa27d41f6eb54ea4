"""Work on all cores, by a pool of processes that ends with the program that started it.

Worker processes import it, so it needs nothing that is heavy.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import connection, forkserver, get_context, parent_process
from typing import TypeVar

PRELOADED = ["numpy", "PIL.Image", "concurrent.futures.process", "google_crc32c", "blake3"]
FEW = 64  # items that are done before a pool of processes has started
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None = None,
    chunk: int = 32,
) -> Generator[Result, None, None]:
    """Yields function(item) for each item, in order, computed by a pool of processes.

    As `parallel_chunks`, which see; results are pickled, so keep them small where speed counts.
    """
    with closing(parallel_chunks(partial(_for_each, function), items, workers, chunk)) as results:
        for part in results:
            yield from part


def _for_each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def parallel_chunks(
    function: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    workers: int | None = None,
    chunk: int = 32,
) -> Generator[Result, None, None]:
    """Yields function(chunk) for `items` cut into chunks, in order, by a pool of processes.

    Few items, or one worker, take a plain loop. At most three chunks per worker are ahead of the
    consumer, so memory does not grow with the data. An exception in a worker is raised here.

    Args:
        function: picklable, i.e. of the top level of a module, or a partial of such.
        workers: number of processes; all cores by default.
    """
    chunks = (items[start : start + chunk] for start in range(0, len(items), chunk))
    workers = workers or cores()
    if workers == 1 or len(items) < FEW:
        yield from map(function, chunks)
        return
    context = get_context("forkserver")  # faster than spawn, safe beside threads unlike fork
    _start_server([*PRELOADED, *_modules_of(function)])
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    waiting: deque[Future[Result]] = deque()
    try:
        for part in chunks:
            if len(waiting) == 3 * workers:
                yield waiting.popleft().result()
            waiting.append(_submit(pool, function, part))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_server(modules: list[str]) -> None:
    """Starts the process that workers are forked from, which imports modules once for all.

    It goes on for later pools.
    """
    forkserver.set_forkserver_preload(modules)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # where to find them
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _modules_of(function: Callable) -> list[str]:
    """Those of the library that define a function and, if it is a partial, what comes with it."""
    parts = [function.func, *function.args] if isinstance(function, partial) else [function]
    modules = {str(getattr(x, "__module__", "")) for x in parts}
    return sorted(x for x in modules if x.startswith(f"{__package__}."))


def _submit(pool: ProcessPoolExecutor, *call: object) -> Future:
    # A worker that this starts inherits the mask: Ctrl-C reaches the parent alone, which then
    # ends the pool, instead of a traceback from each of them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(*call)  # type: ignore[arg-type]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker() -> None:
    _keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _keep_freed_memory() -> None:
    # By default glibc gives freed megabytes back and gets them again, page by page, for the next
    # chunk: that took an eighth of a worker's time.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, 2**28)
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)


def _end_with_parent() -> None:
    """Ends this worker when its parent was killed; else it would wait for work forever."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
