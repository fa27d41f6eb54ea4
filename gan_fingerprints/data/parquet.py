"""Images in a column of Parquet files, as the sets of Hugging Face have them.

A column is compressed in runs of hundreds of rows, and images are wanted one by one in any order.
So it is unpacked once, from the first row to the last, into a file beside the output; in that an
image is a `places.Member` as in a tar.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from gan_fingerprints import disk, program
from gan_fingerprints.data.places import Member
from gan_fingerprints.program import UserError

AT_ONCE = 64  # rows
USUAL = "image"  # column that is meant where several hold bytes


def library(what: str, otherwise: str = "") -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        UserError: they are not there; `what` needs them; `otherwise` says what else can be done.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"{what}: Parquet needs the package pyarrow: pip install 'gan-fingerprints[parquet]'"
            f"{otherwise}"
        ) from None
    return pyarrow, parquet


class Unpacked:
    """Where columns are unpacked: a hidden folder beside an output, there until the `with` ends.

    Args:
        out: the output.
        column: of the images; None for the only one that holds bytes, or `image`.
    """

    def __init__(self, out: Path, column: str | None) -> None:
        self._out, self._column = out.absolute(), column

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, *_: object) -> None:
        if "_folder" in self.__dict__:
            disk.remove(self._folder)
            self._lock.close()

    @cached_property
    def _folder(self) -> Path:
        # Under a name that the next process sweeps away if this one is killed.
        disk.make_folder(self._out.parent)
        folder = self._out.with_name(disk.PARTIAL + secrets.token_hex(8))
        lock = disk.claim(folder)
        assert lock is not None
        self._lock = lock
        return folder

    def images(self, file: Path) -> list[Member]:
        """One member for each row; a row without an image has a fault.

        Raises:
            UserError: it is no Parquet file, has no such column, or pyarrow is missing.
        """
        pyarrow, parquet = library(str(file))
        into = self._folder / secrets.token_hex(8)
        found: list[Member] = []
        try:
            with parquet.ParquetFile(file) as opened, program.full_disk(self._out, into):
                column = self._column or _column_of(opened.schema_arrow, file, pyarrow)
                if column not in opened.schema_arrow.names:
                    raise UserError(
                        f"{file}: found no column {column}, expected one of "
                        f"{', '.join(opened.schema_arrow.names)}; name it by --column"
                    )
                with into.open("wb") as unpacked:
                    for name, content in _rows(opened, column):
                        full = f"{file}/{len(found):08d}" + (f"/{name}" if name else "")
                        place = unpacked.tell(), len(content or b"")
                        fault = "" if content else f"row {len(found)} has no bytes in {column}"
                        found.append(Member(full, str(into), *place, fault))
                        unpacked.write(content or b"")
        except (pyarrow.ArrowException, OSError) as error:
            text = " ".join(str(error).split())
            raise UserError(
                f"{file}: cannot be read as a Parquet file ({text}); get it again or remove it"
            ) from None
        return found


def _column_of(schema: Any, file: Path, pyarrow: Any) -> str:
    """The column of bytes, or of structures that have a field `bytes`."""
    found = [field.name for field in schema if _holds_bytes(field.type, pyarrow)]
    if len(found) == 1 or USUAL in found:
        return USUAL if USUAL in found else found[0]
    some = ", ".join(found) if found else "none"
    raise UserError(
        f"{file}: found {some} of the columns {', '.join(schema.names)} with bytes, expected one "
        "with images; name it by --column"
    )


def _holds_bytes(kind: Any, pyarrow: Any) -> bool:
    types = pyarrow.types
    if types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type, pyarrow)
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)


def _rows(opened: Any, column: str) -> Iterator[tuple[str, bytes | None]]:
    """Of each row the file's name, if that is said, and its bytes, if there are any."""
    for batch in opened.iter_batches(AT_ONCE, columns=[column]):
        for cell in batch.column(0):
            value = cell.as_py()
            said = value if isinstance(value, dict) else {"bytes": value}
            name, content = said.get("path"), said.get("bytes")
            # Of a foreign file: a name only, whatever folders it claims.
            name = PurePosixPath(name).name if isinstance(name, str) else ""
            yield name, content if isinstance(content, bytes) else None
