"""The rows of all shards in one file, after each input was seen to have exactly one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gan_fingerprints import program
from gan_fingerprints.data.parquet import library
from gan_fingerprints.examiner.bulk.plan import Plan
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import cell

AT_ONCE = 10_000  # rows of a part of a Parquet file
FIRST = {
    "path": str, "sha256": str, "verdict": str, "most_probable": str, "probability": float,
    "score": float, "threshold": float,
}  # fmt: skip
OF_SOURCES = {"probabilities": "probability of ", "log10_lr": "log10 LR of "}
"""Fields with a number for each source → how their columns begin."""
IN_SOME = {
    "log10_outside": float, "spread": float, "agreement": float, "stable": bool, "turned_by": str,
}  # fmt: skip
LAST = {"reason": str, "error": str}

Columns = dict[str, type]
"""Names → types of what a table has of each row."""


def verified(plan: Plan) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yields each row as it was written, and what it says, in the order of the lists.

    Raises:
        UserError: a shard is missing, or an input has no row, or a row no input.
    """
    if missing := plan.missing(range(plan.shards)):
        raise UserError(
            f"{plan.folder}: {len(missing)} of {plan.shards} shards are missing, the first is "
            f"{missing[0]}; run attribute again with the same --out"
        )
    for shard in range(plan.shards):
        yield from _of_shard(plan, shard)


def _of_shard(plan: Plan, shard: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
    file = plan.results(shard)
    with file.open("rb") as lines:
        for line, one in zip_longest(lines, plan.inputs(shard)):
            record = _row(line)
            found = record.get("path") if record else None
            if one is None or found != one.name:
                wanted = one.name if one else "no more rows"
                raise UserError(
                    f"{file}: found {'no row' if found is None else found}, expected {wanted}; "
                    "remove this file and run attribute again with the same --out"
                )
            assert record
            yield line, record


def _row(line: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(line or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def columns_of(plan: Plan) -> Columns:
    """Those of a table of all rows: what no row has is left out."""
    fields: dict[str, None] = {}
    sources: dict[str, dict[str, None]] = {field: {} for field in OF_SOURCES}
    for _, record in verified(plan):
        fields |= dict.fromkeys(record)
        for field in OF_SOURCES:
            sources[field] |= dict.fromkeys(record.get(field) or ())
    of_each = {f"{OF_SOURCES[field]}{name}": float for field in sources for name in sources[field]}
    some = {name: kind for name, kind in IN_SOME.items() if name in fields}
    return {**FIRST, **of_each, **some, **LAST}


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row's fields by the names of columns."""
    values = dict(record)
    for field, beginning in OF_SOURCES.items():
        for name, number in (record.get(field) or {}).items():
            values[beginning + name] = number
    return values


def write(plan: Plan, path: Path) -> int:
    """Writes all rows into a file, of the kind that its name says; how many there are."""
    how = WRITERS[path.suffix.lower()]
    number = 0
    with program.whole_file(path) as partial, how(partial, plan) as add:
        for line, record in verified(plan):
            add(line, record)
            number += 1
    return number


Add = Callable[[bytes, dict[str, Any]], object]


@contextmanager
def _lines(path: Path, plan: Plan) -> Iterator[Add]:
    with path.open("wb") as file:
        yield lambda line, _: file.write(line)


@contextmanager
def _csv(path: Path, plan: Plan) -> Iterator[Add]:
    columns = columns_of(plan)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(map(cell, columns))
        yield lambda _, record: table.writerow([*map(_cell, map(flat(record).get, columns))])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else cell(value)


@contextmanager
def _parquet(path: Path, plan: Plan) -> Iterator[Add]:
    pyarrow, parquet = library("--out", ", or name a file that ends in .csv")
    columns = columns_of(plan)
    types = {str: pyarrow.string(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    waiting: list[dict[str, Any]] = []
    with parquet.ParquetWriter(path, schema) as file:

        def flush() -> None:
            rows = [{name: _stored(row.get(name)) for name in columns} for row in waiting]
            file.write_table(pyarrow.Table.from_pylist(rows, schema))
            waiting.clear()

        def add(_: bytes, record: dict[str, Any]) -> None:
            waiting.append(flat(record))
            if len(waiting) == AT_ONCE:
                flush()

        yield add
        flush()


def _stored(value: object) -> object:
    if isinstance(value, str):  # bytes of a path that are no UTF-8 become escapes
        return value.encode("utf-8", "backslashreplace").decode()
    return value


WRITERS = {".jsonl": _lines, ".csv": _csv, ".parquet": _parquet}
"""Ending → what writes such a file: a context that gives a function to add a row with."""
