"""In which arithmetic a network answers: float32, or bfloat16 where that is faster and agrees.

Weights are float32 in either; in bfloat16 the layers compute with 8 bits of each number instead of
24. That is worth it where a processor (AVX512-BF16, AMX) or GPU multiplies such numbers itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from gan_fingerprints import typed
from gan_fingerprints.program import option

FLOAT32, BFLOAT16, AUTO = "float32", "bfloat16", "auto"
ASKED = "as asked"
AGREED = 0.999  # of validation images must have the same name for AUTO to take bfloat16
OF_PROCESSORS = {"avx512_bf16", "amx_bf16"}  # flags as Linux calls them
OF_GPUS = (8, 0)  # compute capability from which they have it
CPU_INFO = Path("/proc/cpuinfo")
PRECISION = {
    "--precision": option(
        typed.one_of(FLOAT32, BFLOAT16, AUTO),
        FLOAT32,
        "arithmetic of the network's layers; auto: bfloat16 where this processor or GPU has it "
        f"and the network file says that {100 * AGREED:g} % of its answers are the same",
    )
}


class Choice(NamedTuple):
    """A precision, and why it was chosen, in words."""

    precision: str
    reason: str

    def __str__(self) -> str:
        return f"precision: {self.precision} ({self.reason})"


def chosen(asked: str, agreement: Mapping[str, int] | None, enrolled: bool = False) -> Choice:
    """What --precision comes to on this machine.

    Args:
        agreement: what a network file says of it, see `require`; None where it says nothing.
        enrolled: whether the network knows sources that it was not trained on.
    """
    if asked != AUTO:
        return Choice(asked, ASKED)
    if agreement is None:
        return Choice(FLOAT32, "the network file does not say how bfloat16 agrees")
    if enrolled:
        return Choice(FLOAT32, "of enrolled sources it is not known how bfloat16 agrees")
    equal, images = agreement["equal"], agreement["images"]
    said = f"{equal} of {images} validation images have the same name in both"
    if equal < AGREED * images:
        return Choice(FLOAT32, said)
    if not find_spec("tensorflow"):
        return Choice(FLOAT32, "without TensorFlow networks answer in that")
    if not machine_has_bfloat16():
        return Choice(FLOAT32, "neither this processor nor a GPU has bfloat16")
    return Choice(BFLOAT16, said)


def machine_has_bfloat16() -> bool:
    """Whether a GPU that TensorFlow sees, or else the processor, multiplies such numbers."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability")
        return bool(capability) and tuple(capability) >= OF_GPUS
    return processor_has_bfloat16(CPU_INFO)


def processor_has_bfloat16(info: Path) -> bool:
    """The same of the processor; info: what Linux says of it. False where nothing is said."""
    try:
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not OF_PROCESSORS.isdisjoint(flags.split())


def of(network: Any) -> str:
    """In which precision the layers of a network compute."""
    return str(getattr(network, "compute_dtype", FLOAT32))


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Layers that are made in here compute in that precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == BFLOAT16 else precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def require(agreement: Mapping[str, Any] | None) -> None:
    """ValueError unless it says of how many images how many have the same name, or is not there."""
    if agreement is None:
        return
    images: Any = agreement.get("images")
    equal: Any = agreement.get("equal")
    numbers = type(images) is int and type(equal) is int
    if not numbers or len(agreement) != 2 or not 0 <= equal <= images <= 2**53 or not images:
        raise ValueError(
            "bfloat16: expected whole numbers, images from 1 to 2^53 and equal from 0 to images"
        )
