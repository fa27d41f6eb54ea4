"""What the study found, as files for programs and for readers.

Per table: results.json, results.csv, results.md and figures. For the study: report.html, which is
complete in itself, and report.md. The same results give the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import figures
from experiments import report_tables as tables
from experiments.markdown import Markdown
from experiments.results import plain
from gan_fingerprints import program
from gan_fingerprints.pictures.html_page import Page

Results = Mapping[str, Any]
Document = Page | Markdown


class Pictures(NamedTuple):
    """A section of pictures: `path`s below the study's folder and `caption`s."""

    heading: str
    text: str
    pictures: Sequence[Mapping[str, str]]


PUBLISHED_NOTE = (
    "† The publication's figures as readers remember them, not checked against the paper; they "
    "were measured on other data, at another size and with more images, and are no target here."
)
_TITLE = "GAN fingerprints: the study"
_LEAD = (
    "Whether networks leave fingerprints in the images they make, whether these are unique, what "
    "of an image they survive in, and how well they withstand attacks. All numbers but those "
    "marked † were measured by the commands that are listed with each table."
)
_SCORES = (
    "AP and AUC: finding the generated among real and generated images. ECE (expected calibration "
    "error) and Brier score: of the probabilities, better when smaller."
)
_TIME = "Time: a step that several tables share counts in each, and once in the total above."


def write(results: Results, out: str | Path) -> None:
    """Writes OUT/results.json, .csv and .md, and OUT/figures/NAME.png and .pdf, of one table."""
    out, results = Path(out), plain(results)
    note = {"published_note": PUBLISHED_NOTE} if _has_published(results) else {}
    stored = json.dumps({**results, **note}, indent=2, ensure_ascii=False) + "\n"
    lines = io.StringIO()
    rows = tables.csv_lines(results["table"], results.get("rows") or [])
    csv.writer(lines, lineterminator="\n").writerows(rows)
    for name, text in (("results.json", stored), ("results.csv", lines.getvalue())):
        with program.whole_file(out / name) as partial:
            partial.write_text(text, "utf-8")
    drawn = figures.write(results, out / "figures")
    document = Markdown(tables.title(results), results.get("claim") or "", out)
    _add_table(document, results, drawn, [out])
    _add_origins(document, [results])
    document.write(out / "results.md")


def write_study(
    results: Sequence[Results], out: str | Path, title: str = _TITLE, lead: str = _LEAD,
    first: Sequence[Pictures] = (), last: Sequence[Pictures] = (),
) -> None:  # fmt: skip
    """Writes OUT/report.html and OUT/report.md of all tables, and their figures' PNGs.

    OUT/TABLE is the folder of each table, as given to `write`: figures are there, and pictures
    named in results are looked for there, then in OUT. first, last: before and after the tables.
    """
    out = Path(out)
    ordered = tables.in_order([plain(x) for x in results])
    drawn = [figures.write(x, out / x["table"] / "figures", ("png",)) for x in ordered]
    page, markdown = Page(title, lead), Markdown(title, lead, out)
    for document in (page, markdown):
        _add_sections(document, first, out)
        _add_summary(document, ordered)
        for x, pictures in zip(ordered, drawn, strict=True):
            document.section(tables.title(x))
            for finding in tables.findings(x):
                document.text(finding)
            if x.get("claim"):
                document.text(f"What the study asks: {x['claim']}")
            _add_table(document, x, pictures, [out / x["table"], out])
        _add_sections(document, last, out)
        _add_origins(document, ordered)
    page.write(out / "report.html")
    markdown.write(out / "report.md")


def _add_sections(document: Document, sections: Iterable[Pictures], out: Path) -> None:
    for section in sections:
        document.section(section.heading)
        document.text(section.text)
        for picture in section.pictures:
            _add_picture(document, picture, [out])


def _add_summary(document: Document, results: Sequence[Results]) -> None:
    document.section("Summary")
    expected = [check for x in results for check in _checks(x, f"{tables.title(x)}: ")]
    unmet = [check for check in expected if not check[0]]
    facts: dict[str, object] = {"Tables": len(results)}
    if expected:
        facts["Expectations met"] = f"{len(expected) - len(unmet)} of {len(expected)}"
    facts["Time of all steps"] = tables.duration(tables.seconds(results))
    for name in ("scale", "seed"):
        values = dict.fromkeys(str(x[name]) for x in results if x.get(name) is not None)
        facts.update({name.capitalize(): ", ".join(values)} if values else {})
    document.facts(facts)
    if unmet:
        document.text("Not everything came out as expected:")
        document.checks(unmet)
    elif expected:
        document.text("All that was expected was found.")
    document.table(*tables.summary(results), caption=_TIME)


def _checks(results: Results, before: str) -> list[tuple[bool, str, str]]:
    return [
        (bool(x["met"]), f"{before}{x['statement']}", str(x.get("found", "–")))
        for x in results.get("expected") or []
    ]


def _add_table(
    document: Document,
    results: Results,
    drawn: Iterable[tuple[Path, str]],
    folders: Sequence[Path],
) -> None:
    """Everything about one table but its title and claim."""
    for note in results.get("notes") or []:
        document.text(note)
    _add_numbers(document, results)
    if results.get("expected"):
        document.heading("Expected, and found")
        document.checks(_checks(results, ""))
    if drawn or results.get("pictures"):
        document.heading("Figures")
    for path, caption in drawn:
        document.picture(path, caption)
    for picture in results.get("pictures") or []:
        _add_picture(document, picture, folders)
    if steps := results.get("steps"):
        time = tables.duration(tables.seconds([results]))
        with document.details(f"Commands: {len(steps)} steps, {time}"):
            document.code("\n\n".join(map(_step, steps)))


def _add_numbers(document: Document, results: Results) -> None:
    rows, measures = results.get("rows") or [], results.get("measures") or []
    if rows or measures:
        document.heading("Numbers")
    if rows:
        document.table(*tables.accuracies(rows))
    if measures:
        document.table(*tables.measures(measures))
    if _has_published(results):
        document.text(PUBLISHED_NOTE)
    scores = tables.scores(rows)
    if scores:
        known = any(name in scores.header for name in tables.SCORES.values())
        document.table(*scores, caption=_SCORES if known else "")
    sources = tables.per_source(rows)
    if sources:
        with document.details("Precision and recall of each source"):
            document.table(*sources)


def _has_published(results: Results) -> bool:
    return any(x.get("published") for key in ("rows", "measures") for x in results.get(key) or [])


def _add_picture(document: Document, picture: Mapping[str, str], folders: Sequence[Path]) -> None:
    for path in (folder / picture["path"] for folder in folders):
        if path.is_file():
            document.picture(path, picture.get("caption", ""))
            return
    document.text(f"(The picture {picture['path']} is no longer there.)")


def _step(step: Mapping[str, Any]) -> str:
    time = [tables.duration(step["seconds"])] if step.get("seconds") is not None else []
    time += ["reused"] if step.get("reused") else []
    return f"# {step['name']}: {', '.join(time) or 'time unknown'}\n{step.get('command', '')}"


def _add_origins(document: Document, results: Sequence[Results]) -> None:
    """Data, settings and machine; tables that share them share a line."""
    origins: dict[tuple[Any, ...], list[str]] = {}
    for x in results:
        data, machine = x.get("data") or {}, _machine(x.get("machine") or {})
        photos = data.get("folder"), data.get("images"), (data.get("checksum") or "–")[:12]
        settings = x.get("scale"), x.get("seed"), x.get("commit")
        origins.setdefault((*photos, *settings, machine), []).append(tables.title(x))
    header = ["tables", "real images from", "images", "checksum"]
    header += ["scale", "seed", "commit", "machine"]
    document.section("Data and machine")
    lines = [[", ".join(names), *key] for key, names in origins.items()]
    document.table(header, lines, numbers=[2, 5])


def _machine(machine: Mapping[str, Any]) -> str:
    forms = {"cores": "{} cores", "python": "Python {}", "tensorflow": "TensorFlow {}"}
    return ", ".join(forms.get(key, "{}").format(x) for key, x in machine.items() if x) or "–"
