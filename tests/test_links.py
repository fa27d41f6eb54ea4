"""Every link of a page to a file here finds it, and the heading where it names one."""

import re
from pathlib import Path

import pytest

from tests.conftest import PROJECT

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
         *sorted(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md"))]  # fmt: skip


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w -]", "", x.lower()).replace(" ", "-") for x in plain}


def lacking(page: str) -> list[str]:
    """The links of a page that lead nowhere."""
    path, found = PROJECT / page, []
    text = re.sub(r"(?ms)^```.*?^```", "", path.read_text("utf-8"))
    for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert lacking(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_links.PROJECT", tmp_path)
    (tmp_path / "a.md").write_text("# A `b`: c\n[x](#a-b-c) [y](#no) [z](gone.md) [w](http://x)\n")
    assert lacking("a.md") == ["#no", "gone.md"]
