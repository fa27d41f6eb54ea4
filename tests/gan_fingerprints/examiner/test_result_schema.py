"""The schema of result lines: of real output, of what must not pass, and of its page."""

import copy
import json
import re

import jsonschema
import pytest

from gan_fingerprints import __main__
from gan_fingerprints.examiner import examination
from tests import result_lines
from tests.conftest import PROJECT


@pytest.fixture(scope="module", params=["classifier", "visnet"])
def lines(request, networks, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("lines") / "results.jsonl"
    model = str(getattr(networks, request.param).path)
    words = ["--out", str(out), "--pool", "folder", "--batch", "4"]
    assert __main__.run(["attribute", str(pictures), "--model", model, *words]) == 3
    return result_lines.checked(out)


def test_real_lines_are_of_the_schema(lines):
    assert [result_lines.of(line) for line in lines] == ["image"] * 8 + ["pool"] * 2
    assert {line["schema"] for line in lines} == {examination.SCHEMA}
    assert sum(line["error"] is not None for line in lines[:8]) == 2


CHANGES = {
    "no verdict": lambda line: line.pop("verdict"),
    "another version": lambda line: line.update(schema=examination.SCHEMA + 1),
    "a probability above 1": lambda line: line.update(probability=1.2),
    "a probability as text": lambda line: line["probabilities"].update(photographs="0.5"),
    "no sources": lambda line: line.update(probabilities={}),
    "half a hash": lambda line: line["model"].update(sha256="5" * 32),
    "both kinds": lambda line: line.update(path="a", pool="b"),
    "no reason": lambda line: line.update(reason=""),
    "half of the ratios": lambda line: line.update(log10_lr={"photographs": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_other_lines_are_not(lines, change):
    for line in (next(x for x in lines if not x.get("error")), lines[-1]):
        other = copy.deepcopy(line)
        CHANGES[change](other)
        with pytest.raises(jsonschema.ValidationError):
            result_lines.VALIDATOR.validate(other)


def test_fields_that_later_versions_add_pass(lines):
    for line in (lines[0], lines[-1]):
        result_lines.VALIDATOR.validate(line | {"new": 1})


def test_it_is_a_schema_and_its_page_has_the_same_fields():
    schema = result_lines.SCHEMA
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f":{examination.SCHEMA}")
    page = (PROJECT / "docs" / "attribute.md").read_text("utf-8")
    section = page.partition("\n## Fields of a line\n")[2].partition("\n## ")[0]
    first = re.findall(r"(?m)^\| ([^|]+) \|", section)
    named = set(re.findall(r"`(\w+)`", " ".join(first)))
    assert named == result_lines.fields("image") | result_lines.fields("pool")
    json.dumps(schema, allow_nan=False)
