"""NumPy arrays in a pickle, rebuilt from type, shape and bytes without calling NumPy for it."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints.networks.stored import (
    Refused,
    StoredArray,
    clipped,
    in_file,
    plain_dtype,
    plain_shape,
)


class Known(enum.Enum):
    """The globals that a file may name; none of them is ever imported or called."""

    NETWORK = "tfutil.Network"
    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    SCALAR = "numpy.core.multiarray.scalar"
    FROM_BUFFER = "numpy.core.numeric._frombuffer"
    ARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"


@dataclass(frozen=True)
class Bytes:
    """Bytes that stay in the file."""

    offset: int
    length: int


@dataclass
class ArrayType:
    """A NumPy type under construction; the byte order comes after the kind."""

    code: str
    order: str = "<"

    @property
    def dtype(self) -> np.dtype:
        return plain_dtype(self.order + self.code)


@dataclass
class Array:
    """An array under construction."""

    content: StoredArray | None = None


def known_global(module: Any, name: Any) -> Known:
    """The global of that name; Refused with its name unless it is one of the admitted few."""
    if type(module) is not str or type(name) is not str:
        raise Refused("a global whose name is not a text")
    full = f"{module}.{name}"
    try:
        # NumPy 2 writes numpy._core where NumPy 1 wrote numpy.core.
        return Known(full.replace("numpy._core.", "numpy.core.", 1))
    except ValueError:
        raise Refused(
            f"it wants {clipped(full)}; only tfutil.Network and NumPy's arrays are admitted"
        ) from None


def described(value: Any) -> str:
    """What a value is, for messages."""
    return value.value if isinstance(value, Known) else f"a value ({type(value).__name__})"


def _new_type(path: Path, arguments: tuple) -> ArrayType:
    code = arguments[0] if arguments else None
    if type(code) is not str:
        raise Refused("an array type without a code")
    plain_dtype(code)
    return ArrayType(code.lstrip("<>|="))


def set_byte_order(target: ArrayType, state: Any) -> None:
    if type(state) is not tuple or not 5 <= len(state) <= 9 or state[1] not in ("<", ">", "|", "="):
        raise Refused("an array type with an unknown state")
    if any(part is not None for part in state[2:5]):
        raise Refused("an array type with fields or a subarray")
    target.order = state[1]


def _new_array(path: Path, arguments: tuple) -> Array:
    if len(arguments) != 3 or arguments[0] is not Known.ARRAY:
        raise Refused(f"_reconstruct of {described(arguments[0]) if arguments else 'nothing'}")
    return Array()


def array_from_state(path: Path, state: Any) -> StoredArray:
    """The state of an array: (version, shape, type, whether in Fortran's order, bytes)."""
    if type(state) is not tuple or len(state) != 5:
        raise Refused("an array with an unknown state")
    return _stored(path, state[4], state[2], state[1], bool(state[3] is True))


def _scalar(path: Path, arguments: tuple) -> Array:
    if len(arguments) != 2:
        raise Refused("a NumPy scalar without its two arguments")
    return Array(_stored(path, arguments[1], arguments[0], ()))


def _from_buffer(path: Path, arguments: tuple) -> Array:
    if len(arguments) != 4:
        raise Refused("a NumPy buffer without its four arguments")
    buffer, kind, shape, order = arguments
    return Array(_stored(path, buffer, kind, shape, order == "F"))


def _stored(path: Path, data: Any, kind: Any, shape: Any, fortran: bool = False) -> StoredArray:
    # As many bytes must be there as shape and type ask for, before anything is made of them.
    shape = plain_shape(shape)
    if type(kind) is not ArrayType:
        raise Refused(f"an array of type {described(kind)}")
    expected = math.prod(shape) * kind.dtype.itemsize
    if type(data) is not Bytes or data.length != expected:
        found = f"{data.length:,} bytes" if type(data) is Bytes else described(data)
        raise Refused(f"an array of shape {shape} and {kind.code} with {found}")
    return in_file(path, data.offset, shape, kind.dtype, fortran)


REDUCTIONS: dict[Known, Callable[[Path, tuple], Any]] = {
    Known.DTYPE: _new_type,
    Known.RECONSTRUCT: _new_array,
    Known.SCALAR: _scalar,
    Known.FROM_BUFFER: _from_buffer,
}
