"""What the subprojects of GAN Fingerprints share, and the way in from Python:

>>> from gan_fingerprints import Attributor
>>> attributor = Attributor.load("network-final.safetensors")
>>> for row in attributor.attribute("images/"):
...     print(row.path, row.predicted, row.reason)
"""

from typing import TYPE_CHECKING, Any

from gan_fingerprints.version import __version__

if TYPE_CHECKING:
    from gan_fingerprints.attribution.attributor import Attribution, Attributor, Rules

__all__ = ["Attribution", "Attributor", "Rules", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports NumPy, Pillow and what else attribution needs only for those who ask for it."""
    if name in ("Attribution", "Attributor", "Rules"):
        from gan_fingerprints.attribution import attributor

        return getattr(attributor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
