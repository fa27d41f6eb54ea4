"""A page to drop images on; `app` is it as an ASGI application, to be mounted elsewhere:

>>> from gan_fingerprints.page import app  # its models: $GAN_FINGERPRINTS_MODEL
>>> from gan_fingerprints.page.application import application  # or these
>>> app = application(["network-final.safetensors"], hosts=["images.example.org"])
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.applications import Starlette

    app: Starlette

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    """Makes the application when it is first asked for: it needs the extra `page`."""
    if name == "app":
        from gan_fingerprints.page.application import of_environment

        globals()["app"] = of_environment()
        return globals()["app"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
