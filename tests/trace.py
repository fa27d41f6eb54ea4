"""Runs a program and prints, last, the files of the project in which a function was called.

python3 tests/trace.py PROGRAM.py [ARGUMENT ...]      or -m MODULE
"""

import inspect
import json
import runpy
import sys
import threading
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
called: set[str] = set()


def note(frame: Any, event: str, argument: Any) -> None:
    # Bodies of modules and classes have no optimized code: they run when a file is imported.
    if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        file = frame.f_code.co_filename
        ours = file.startswith(f"{PROJECT}/") and "site-packages" not in file
        if ours and file not in called and not importing(frame):
            called.add(file)


def importing(frame: Any) -> bool:
    """Whether a call serves to import a module."""
    while frame := frame.f_back:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
    return False


def main() -> None:
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(PROJECT))
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        if sys.argv[0] == "-m":
            sys.argv = sys.argv[1:]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.setprofile(None)
    print(json.dumps(sorted(str(Path(file).relative_to(PROJECT)) for file in called)))


if __name__ == "__main__":
    main()
