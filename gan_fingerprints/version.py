"""The version of this software, and of what it runs on."""

from __future__ import annotations

import platform

__version__ = "0.1.0"
PACKAGES = ("tensorflow", "keras", "onnxruntime", "numpy", "pillow", "safetensors")


def versions() -> dict[str, str]:
    """Python's version, and those of the main packages that are installed."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **found}


def _version(package: str) -> str | None:
    import importlib.metadata  # here, as workers need it not, and it takes long

    for name in (package, f"{package}-cpu", f"{package}-gpu"):  # other builds of the same
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
