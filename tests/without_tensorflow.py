"""Runs a command of gan-fingerprints where TensorFlow cannot be imported and nothing can be sent.

python tests/without_tensorflow.py attribute …
"""

import os
import sys
from pathlib import Path

os.environ["GAN_FINGERPRINTS_RUNTIME"] = "light"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.modules |= dict.fromkeys(("tensorflow", "keras", "jax", "torch"))  # to import them is an error


def refuse(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg"):
        sys.stderr.write(f"{event}{arguments}\n")
        os._exit(99)


sys.addaudithook(refuse)

from gan_fingerprints.__main__ import main  # noqa: E402

sys.argv[0] = "gan-fingerprints"
main()
