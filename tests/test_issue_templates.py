"""The forms for issues have what a form needs; one that lacks it is shown to nobody."""

import pytest
import yaml

from tests.conftest import PROJECT

FOLDER = PROJECT / ".github" / "ISSUE_TEMPLATE"
FORMS = sorted(path.name for path in FOLDER.glob("*.yml") if path.name != "config.yml")


def test_there_is_one_for_each_kind():
    assert FORMS == ["bug.yml", "question.yml", "wrong_answer.yml"]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_can_be_filled_in(name):
    form = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["type"] in ("textarea", "input") for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)
