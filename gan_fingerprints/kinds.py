"""Which class a network file is built with, by the kind that its header names.

The classes belong to the subprojects. The library stands below these and imports none of them: a
program that trains or tests with one network must not load the others, and nothing here may need
a subproject to be there. So the table holds names, and a class is imported when a file of its kind
is loaded, not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

CLASSES = {
    "classifier": "classifier.networks:Classifier",
    "visnet_autoencoder": "classifier_visNet.networks:AutoEncoder",
}
"""Of networks that attribute images: kind → module and class."""


def constructors(*kinds: str) -> dict[str, Callable[..., Any]]:
    """What `networks_io.load` builds networks of some kinds with, by default of all in CLASSES."""
    return {kind: partial(_construct, kind) for kind in kinds or CLASSES}


def _construct(kind: str, **arguments: Any) -> Any:
    module, _, name = CLASSES[kind].partition(":")
    return getattr(importlib.import_module(module), name)(**arguments)
