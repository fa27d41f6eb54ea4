"""TensorFlow without its start-up notices."""

from __future__ import annotations

import os
import sys
import tempfile


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up notices; a failing import shows all it said."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as notices:
        stderr = os.dup(2)
        os.dup2(notices.fileno(), 2)
        failed = True
        try:
            import tensorflow  # noqa: F401

            failed = False
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if failed:
                notices.seek(0)
                sys.stderr.write(notices.read().decode(errors="replace"))
