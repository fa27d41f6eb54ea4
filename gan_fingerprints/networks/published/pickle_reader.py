"""Network pickles, read by a small interpreter of our own that has nothing to run code with.

Python's unpickler calls what a file names. This one knows the opcodes that plain values need,
admits one class name, as an inert record, and rebuilds NumPy arrays itself from type, shape and
bytes that are really there. Everything else is refused with the name of what was wanted.

Long texts (the source code that published networks carry) and the bytes of arrays are passed over
in the file; arrays are read when they are asked for, texts never.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gan_fingerprints.networks.published.pickled_arrays import (
    REDUCTIONS,
    Array,
    ArrayType,
    Bytes,
    Known,
    array_from_state,
    described,
    known_global,
    set_byte_order,
)
from gan_fingerprints.networks.stored import Refused, clipped

MAX_FILE = 2**30  # bytes; the largest published file has a quarter of that
MAX_OPCODES = 100_000  # published files have 2 to 5 thousand
MAX_TEXT = 256  # bytes; longer ones are passed over
PROTOCOLS = (3, 4, 5)
OPCODE_NAMES = {opcode.code: opcode.name for opcode in pickletools.opcodes}


@dataclass
class Network:
    """What stands for the published class: its state, and nothing that acts."""

    state: dict[str, Any] | None = None


class _Text:
    """A text that was passed over."""


@dataclass
class _Machine:
    """The stack machine that a pickle is a program for."""

    path: Path
    file: BinaryIO
    size: int
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    protocol: int = 0

    def run(self) -> Any:
        """The value that the file holds; Refused when it wants anything but values."""
        for _ in range(MAX_OPCODES):
            code = self.take(1)
            if code == b".":
                return self.result()
            if code not in HANDLERS:
                raise Refused(self.refusal(code))
            HANDLERS[code](self)
        raise Refused(f"more than {MAX_OPCODES:,} opcodes")

    def result(self) -> Any:
        value = self.pop()
        if self.stack or self.marks:
            raise Refused("values left over at the end")
        if self.file.tell() != self.size:
            raise Refused(f"{self.size - self.file.tell()} bytes after the end of the pickle")
        if self.protocol not in PROTOCOLS:
            raise Refused(f"pickle protocol {self.protocol}; expected 3, 4 or 5")
        return value

    def refusal(self, code: bytes) -> str:
        name = OPCODE_NAMES.get(code.decode("latin-1"), f"0x{code.hex()}")
        if name == "INST":
            return f"it wants an object of {self.line()}.{self.line()}"
        return f"it wants opcode {name}, which plain values do not need"

    def take(self, length: int) -> bytes:
        content = self.file.read(length)
        if len(content) != length:
            raise Refused("the file ends in the middle")
        return content

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Text up to the next line feed, as the opcodes GLOBAL and INST have it."""
        text = self.file.readline(MAX_TEXT)
        if not text.endswith(b"\n"):
            raise Refused("a global's name without an end")
        return clipped(text[:-1].decode("latin-1"))

    def span(self, length: int) -> Bytes:
        """Passes over bytes, which must be there: a length alone allocates nothing."""
        offset = self.file.tell()
        if not 0 <= length <= self.size - offset:
            raise Refused(f"{length:,} bytes announced where {self.size - offset:,} are left")
        self.file.seek(length, 1)
        return Bytes(offset, length)

    def push_text(self, length: int) -> None:
        if length > MAX_TEXT:
            self.span(length)
            self.stack.append(_Text())
            return
        try:
            self.stack.append(self.take(length).decode())
        except UnicodeDecodeError:
            raise Refused("a text that is not UTF-8") from None

    def pop(self) -> Any:
        # Not beyond the newest mark either: Python's own unpickler has a stack for each mark.
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Refused("an opcode without its operands")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise Refused("an opcode without its mark")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind: type) -> Any:
        """The uppermost value, which must be of a kind."""
        value = self.pop()
        self.stack.append(value)
        if type(value) is not kind:
            raise Refused(f"an opcode for a {kind.__name__} on {described(value)}")
        return value

    def push_tuple(self, length: int) -> None:
        values = [self.pop() for _ in range(length)]
        self.stack.append(tuple(reversed(values)))

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise Refused("a reference to nothing")
        self.stack.append(self.memo[key])

    def put(self, key: int) -> None:
        value = self.pop()
        self.stack.append(value)
        self.memo[key] = value

    def push_global(self, module: Any, name: Any) -> None:
        self.stack.append(known_global(module, name))

    def set_items(self, values: list[Any]) -> None:
        target = self.top(dict)
        if len(values) % 2:
            raise Refused("a dict with a key and no value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str:
                raise Refused(f"a dict with {described(key)} for a key")
            target[key] = value

    def start(self) -> None:
        self.protocol = self.number("B")
        if self.file.tell() != 2 or self.protocol > max(PROTOCOLS):
            raise Refused(f"pickle protocol {self.protocol}; expected 3, 4 or 5, once")

    def frame(self) -> None:
        length = self.number("<Q")
        if length > self.size - self.file.tell():
            raise Refused(f"a frame of {length:,} bytes, more than the file has left")

    def long(self) -> None:
        length = self.number("B")
        if length > 8:
            raise Refused(f"a whole number of {length} bytes")
        self.stack.append(int.from_bytes(self.take(length), "little", signed=True))

    def new_object(self) -> None:
        arguments, kind = self.pop(), self.pop()
        if kind is not Known.NETWORK or arguments != ():
            raise Refused(f"a new object of {described(kind)}")
        self.stack.append(Network())

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        build = REDUCTIONS.get(function) if isinstance(function, Known) else None
        if build is None or type(arguments) is not tuple:
            raise Refused(f"a call of {described(function)}")
        self.stack.append(build(self.path, arguments))

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if type(target) is Network and target.state is None and type(state) is dict:
            target.state = state
        elif type(target) is ArrayType:
            set_byte_order(target, state)
        elif type(target) is Array and target.content is None:
            target.content = array_from_state(self.path, state)
        else:
            raise Refused(f"a state for {described(target)}")
        self.stack.append(target)


# A pickle is a program for a stack machine: opcodes of one byte, some with operands after them.
# Here are those that plain values need, and five by which Python would run what a file names:
# c and \x93 name it, \x81 makes an object of it, R calls it, b hands it a state. These five are
# answered from a fixed list. All others (INST, OBJ, persistent ids, extensions …) are refused.
HANDLERS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _Machine.start,
    b"\x95": _Machine.frame,
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    # Numbers: of one, two, four bytes; a double, the only one with the high byte first; and one
    # with its length before it.
    b"K": lambda m: m.stack.append(m.number("<B")),
    b"M": lambda m: m.stack.append(m.number("<H")),
    b"J": lambda m: m.stack.append(m.number("<i")),
    b"G": lambda m: m.stack.append(m.number(">d")),
    b"\x8a": _Machine.long,
    # Texts, then bytes, each with its length before it.
    b"\x8c": lambda m: m.push_text(m.number("<B")),
    b"X": lambda m: m.push_text(m.number("<I")),
    b"C": lambda m: m.stack.append(m.span(m.number("<B"))),
    b"B": lambda m: m.stack.append(m.span(m.number("<I"))),
    b"\x96": lambda m: m.stack.append(m.span(m.number("<Q"))),  # bytearray, protocol 5
    # Tuples: empty, of one to three values, of all since the mark; lists and dicts, which are
    # pushed empty and filled by one (a, s) or by all since the mark (e, u).
    b")": lambda m: m.stack.append(()),
    b"\x85": lambda m: m.push_tuple(1),
    b"\x86": lambda m: m.push_tuple(2),
    b"\x87": lambda m: m.push_tuple(3),
    b"t": lambda m: m.stack.append(tuple(m.pop_to_mark())),
    b"]": lambda m: m.stack.append([]),
    b"a": lambda m: _append(m, [m.pop()]),
    b"e": lambda m: _append(m, m.pop_to_mark()),
    b"}": lambda m: m.stack.append({}),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    # The memo: get, put, and put under the next number, which protocol 4 leaves out.
    b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")),
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    # Classes and functions: only admitted names, and never more than a name.
    b"c": lambda m: m.push_global(m.line(), m.line()),
    b"\x93": lambda m: m.push_global(*[m.pop(), m.pop()][::-1]),
    b"\x81": _Machine.new_object,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}


def _append(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def read(path: Path) -> Any:
    """The value in a pickle: plain values, `Network` records and arrays.

    Raises:
        Refused: anything else is in it, or it is damaged.
    """
    size = path.stat().st_size
    if size > MAX_FILE:
        raise Refused(f"{size:,} bytes, expected at most {MAX_FILE:,}")
    with path.open("rb") as file:
        return _Machine(path, file, size).run()
