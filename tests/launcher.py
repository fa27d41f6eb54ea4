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
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


class Program:
    """A program that runs while the test goes on, as a subprocess.Popen of the same names."""

    def __init__(self, launcher: Launcher, pid: int) -> None:
        self._launcher, self.pid, self.returncode = launcher, pid, None

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._launcher.ask({"ended": self.pid})
        return self.returncode

    def kill(self) -> None:
        """Ends it as a failure of power does, and waits for its end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            while self.poll() is None:
                time.sleep(0.01)


class Launcher:
    """The process that forks, started with the first program; `close` ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, words: list[str], cwd: str | Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs [script.py or "-m", module, argument, …]; TimeoutExpired as subprocess.run."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            call = self._call(words, cwd, outputs)
            status = self.ask({**call, "timeout": timeout})
            texts = [Path(path).read_bytes().decode() for path in outputs]
        if status is None:
            raise subprocess.TimeoutExpired(words, timeout, *texts)
        return subprocess.CompletedProcess(words, status, *texts)

    def start(self, words: list[str], cwd: str | Path) -> Program:
        """The same without waiting for its end; what it prints is thrown away."""
        pid = self.ask({**self._call(words, cwd, [os.devnull] * 2), "timeout": None})
        return Program(self, pid)

    def _call(self, words: list[str], cwd: str | Path, outputs: list[str]) -> dict[str, Any]:
        return {"words": words, "cwd": str(cwd), "outputs": outputs, "environment": {**os.environ}}

    def ask(self, call: dict[str, Any]) -> Any:
        """What the process answers to a call, see `serve`."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(call) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except BaseException:  # a test's own time limit, say: its answer is nobody else's
            self._process.kill()
            self._process = None
            raise

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def serve() -> None:
    """Answers calls until standard input ends: to run a program, to start one, whether one ended.

    With its exit status, or None when it was ended after `timeout` seconds; with its process id
    where there is no such limit; with its exit status, or None while it runs.
    """
    with contextlib.suppress(ImportError):
        import tensorflow  # noqa: F401
    for line in sys.stdin:
        call = json.loads(line)
        if "ended" in call:
            answer = status_of(call["ended"])
        elif (child := os.fork()) == 0:
            play(call)
        else:
            answer = child if call["timeout"] is None else wait(child, call["timeout"])
        print(json.dumps(answer), flush=True)


def status_of(child: int) -> int | None:
    """The exit status of a process that has ended; None while it runs. To be asked until then."""
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def wait(child: int, timeout: float) -> int | None:
    """The exit status; None, and the process is killed, when it takes too long."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if (status := status_of(child)) is not None:
            return status
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
