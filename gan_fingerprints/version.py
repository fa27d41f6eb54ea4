"""The version of this software, and of what it runs on."""

from __future__ import annotations

import platform

__version__ = "0.1.0"
PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "safetensors")


def versions() -> dict[str, str]:
    """Python's and the main packages' versions."""
    found = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def _version(package: str) -> str:
    import importlib.metadata  # here, as workers need it not, and it takes long

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version(f"{package}-cpu")  # TensorFlow's smaller distribution
