"""What our programs say where the Python they run on, or a package, is missing: one line.

Programs call `explain` before they import anything else, so this file must be readable for
Python 3.8, as the programs themselves, and need nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import TracebackType

OLDEST, NEWEST = (3, 11), (3, 13)
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
EXTRAS = {
    "train": (
        "tensorflow", "keras", "tensorboard", "lmdb", "skimage", "pywt", "imageio_ffmpeg", "yaml",
    ),
    "measure": ("sklearn", "scipy", "matplotlib"),
    "page": ("starlette", "uvicorn"),
}  # fmt: skip
"""Extra → what is imported of its packages."""


def explain() -> None:
    """Ends the process where Python is too old; from now on, says how missing packages are had.

    For programs only: the second changes what is said of every error that nobody catches.
    """
    if sys.version_info[:2] < OLDEST:
        supported = f"{_text(OLDEST)} to {_text(NEWEST)}"
        print(
            f"error: this is Python {_text(sys.version_info[:2])}, expected {supported}; start it "
            f"with python{_text(OLDEST)}, say, or install one of these",
            file=sys.stderr,
        )
        sys.exit(2)
    sys.excepthook = _say


def require(extra: str) -> None:
    """ModuleNotFoundError where a package of an extra is missing, before work that would be lost.

    extra: a name in `EXTRAS`.
    """
    for package in EXTRAS[extra]:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    name = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    if not name or name.partition(".")[0] == "gan_fingerprints":
        sys.__excepthook__(kind, error, trace)
        return
    package = name.partition(".")[0]
    extra = "".join(f"[{x}]" for x, packages in EXTRAS.items() if package in packages)
    installed = f"'gan-fingerprints{extra}'" if extra else "gan-fingerprints"
    what = f"-r {REQUIREMENTS}" if REQUIREMENTS.is_file() else installed
    print(
        f"error: the Python package {package} is missing in {sys.executable}; "
        f"install what is needed: {sys.executable} -m pip install {what}",
        file=sys.stderr,
    )
    sys.exit(2)
