"""The rooms (ProGAN, classifier, …) and how this package, which stands below them, reaches them.

In a checkout they lie beside `gan_fingerprints`. In an installed package they lie in this folder,
so that it brings one top-level name: `import classifier` of somebody else never meets ours. Either
way a room's module can be imported in two ways, and a process uses one of them:

- as `classifier.run` where one of our programs runs, which has the rooms' folder on its path. They
  import one another by these names, as they are written to be read in a checkout;
- as `gan_fingerprints.rooms.classifier.networks` where somebody's program uses `Attributor`: by the
  `__path__` below, and nothing is put on the path of imports. Only the networks of `files.KINDS`
  are imported so, which is why what they import of their own rooms begins with a dot.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent
FOLDER = _HERE if (_HERE / "classifier").is_dir() else _HERE.parents[1]
"""Where the rooms lie."""

__path__ = [str(FOLDER)]


def enter() -> None:
    """Lets this process import the rooms by their short names: only for programs of ours."""
    if not _entered():
        sys.path.insert(0, str(FOLDER))  # before whatever else has such a name


def module(name: str) -> ModuleType:
    """Imports a module that a table of the library names: of a room, e.g. `classifier.networks`,
    in the way that fits the process, or of the library itself."""
    short = _entered() or name.startswith("gan_fingerprints.")
    return importlib.import_module(name if short else f"{__name__}.{name}")


def scripts() -> list[Path]:
    """The programs in the rooms, in their order by name."""
    rooms = ("CramerGAN", "MMDGAN", "ProGAN", "SNGAN", "classifier", "classifier_visNet")
    found = [path for room in (*rooms, "experiments") for path in FOLDER.glob(f"{room}/**/*.py")]
    is_program = '\nif __name__ == "__main__":'
    return sorted(path for path in found if is_program in path.read_text(encoding="utf-8"))


def _entered() -> bool:
    return any(Path(entry).resolve() == FOLDER for entry in sys.path)
