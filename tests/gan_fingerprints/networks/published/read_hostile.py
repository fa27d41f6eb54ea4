"""Reads each file given on standard input in a process of its own; prints what happened as JSON.

A process may take 500 MiB more than its parent, and is watched by an audit hook: whatever would
run, import, write or connect is reported.
"""

import json
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[4])

from gan_fingerprints.networks import files  # noqa: E402
from gan_fingerprints.networks.published import tf1_checkpoint  # noqa: E402
from gan_fingerprints.networks.stored import Refused  # noqa: E402
from gan_fingerprints.program import UserError  # noqa: E402

MEMORY = 500 * 2**20
LOOKING = (  # what lists a folder; Python 3.12 announces rglob's walk too
    "os.listdir", "os.scandir", "pathlib.Path.glob", "pathlib.Path.rglob", "pathlib.Path.walk",
    "glob.glob",
)  # fmt: skip
HARMLESS = ("object.__getattr__", "sys._getframe", *LOOKING)


def watch(report: dict) -> None:
    """From now on, notes every event but reading files."""

    def hook(event: str, arguments: tuple) -> None:
        if (
            event == "open"
            and isinstance(arguments[2], int)
            and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            if str(arguments[0]).endswith(".meta"):
                report["events"].append(f"open {arguments[0]}")
        elif event not in HARMLESS:
            report["events"].append(f"{event} {str(arguments)[:100]}")

    sys.addaudithook(hook)


def read(path: str) -> dict:
    """Everything that a load needs of a file, but the network."""
    report = {"events": [], "status": "read", "message": ""}
    watch(report)
    before = peak()
    start = time.process_time()
    try:
        if Path(path).is_dir():
            with suppress(Refused):
                for array in tf1_checkpoint.arrays(tf1_checkpoint.newest(path, "")).values():
                    np.asarray(array)
        files.read(path, "--model_path")
    except UserError as error:
        report |= {"status": "refused", "message": str(error)}
    except BaseException as error:
        report |= {"status": "failed", "message": f"{type(error).__name__}: {str(error)[:300]}"}
    report["seconds"] = time.process_time() - start
    report["mebibytes"] = peak() - before
    return report


def peak() -> float:
    """Most memory of this process so far, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def in_child(path: str) -> dict:
    """`read` in a process with limits."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        os.write(theirs, json.dumps(read(path)).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(child, 0)
    ended = {"status": "failed", "message": f"ended with {status}", "seconds": 0, "mebibytes": 0}
    return json.loads(found) if found else {**ended, "events": []}


if __name__ == "__main__":
    for codec in ("unicode_escape", "cp437", "latin-1"):
        "".encode(codec)  # Python imports these modules when they are first used
    paths = sys.stdin.read().split("\n")
    print(json.dumps({path: in_child(path) for path in paths if path}))
