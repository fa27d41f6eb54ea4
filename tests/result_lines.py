"""Lines of `attribute --out` against the schema that the package brings."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = json.loads((files("gan_fingerprints") / "examiner/result.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
KINDS = {"image": "path", "pool": "pool"}  # of lines → the field that tells them


def of(line: dict[str, Any]) -> str:
    """The kind of a line."""
    return next(kind for kind, field in KINDS.items() if field in line)


def fields(kind: str) -> set[str]:
    """What the schema describes of a kind of lines."""
    return set(SCHEMA["$defs"][kind]["properties"])


def checked(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, all of which the schema must allow, and describe in full."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
        assert set(line) <= fields(of(line))
    return lines
