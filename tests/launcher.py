"""Runs programs of the project as users do, but with one start of TensorFlow for all of them.

A process that has imported TensorFlow, and nothing of the project, forks for every program: each
runs alone, with its own arguments, folder and output, some seconds sooner. Run as a program, this
file is that process: it reads a JSON line per program and answers with its exit status.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


class Launcher:
    """The process that forks, started with the first program; `close` ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, words: list[str], cwd: str | Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs [script.py or "-m", module, argument, …]; TimeoutExpired as subprocess.run."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
            )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            outputs = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            call = {"words": words, "cwd": str(cwd), "outputs": outputs, "timeout": timeout,
                    "environment": dict(os.environ)}  # fmt: skip
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                self._process.stdin.write(json.dumps(call) + "\n")
                self._process.stdin.flush()
                status = json.loads(self._process.stdout.readline())
            except BaseException:  # a test's own time limit, say: its answer is nobody else's
                self._process.kill()
                self._process = None
                raise
            texts = [Path(path).read_bytes().decode() for path in outputs]
        if status is None:
            raise subprocess.TimeoutExpired(words, timeout, *texts)
        return subprocess.CompletedProcess(words, status, *texts)

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def serve() -> None:
    """Answers calls until standard input ends."""
    with contextlib.suppress(ImportError):
        import tensorflow  # noqa: F401
    for line in sys.stdin:
        call = json.loads(line)
        child = os.fork()
        if child == 0:
            play(call)
        print(json.dumps(wait(child, call["timeout"])), flush=True)


def wait(child: int, timeout: float) -> int | None:
    """The exit status; None, and the process is killed, when it takes too long."""
    import signal
    import time

    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def play(call: dict[str, Any]) -> None:
    """In the forked process: becomes the program, and ends."""
    status: Any = 1
    try:
        for place, path in enumerate(call["outputs"], 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), place)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(call["environment"])
        os.chdir(call["cwd"])
        first, *rest = call["words"]
        if first == "-m":
            sys.argv, sys.path[0] = rest, call["cwd"]
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = call["words"], str(Path(first).parent)
            runpy.run_path(first, run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)


if __name__ == "__main__":
    serve()
