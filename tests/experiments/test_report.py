"""The study's files against the results they were made from: nothing lost, changed or hidden."""

import copy
import csv
import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from experiments import figures, report
from experiments import report_tables as tables
from experiments import study as study_tables
from tests.experiments.example_results import architectures, example, open_set
from tests.markup import Parsed


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of the whole study, and the results it is of."""
    out, results = tmp_path_factory.mktemp("study"), example()
    picture = out / "seeds" / "maps" / "fingerprint.png"
    picture.parent.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(picture)
    for x in results:
        report.write(x, out / x["table"])
    report.write_study(results, out)
    return out, results


def markdown_tables(text):
    """Every table of a Markdown text: rows of cells, the rule left out."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        found.append([[cell.strip() for cell in line] for line in lines[:1] + lines[2:]])
    return found


def sections_of(html):
    """The sections of the page by their heading, each parsed."""
    parts = re.findall(r"<section.*?</section>", html, re.S)
    return {unescape(re.search("<h2>(.*)</h2>", part)[1]): Parsed(part) for part in parts}


def close(cell, value, digits):
    """Whether a cell shows the value rounded to so many digits; – for None."""
    return cell == "–" if value is None else abs(float(cell) - value) <= 0.5001 * 10**-digits


def check_accuracies(found, rows):
    """That a table's cells are the numbers of the rows."""
    header, *lines = found
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        cells = dict(zip(header, line, strict=True))
        assert cells["method"] == figures.METHODS[row["method"]]
        assert cells.get("variant", "") == row["variant"]
        assert close(cells["accuracy (%)"], 100 * row["accuracy"], 2)
        low, _, high = cells["95 % interval"].partition(" to ")
        assert close(low, 100 * row["low"], 2)
        assert close(high, 100 * row["high"], 2)
        assert (cells["right"], cells["images"]) == (str(row["correct"]), str(row["images"]))
        assert close(cells["chance (%)"], 100 * row["chance"], 2)
        for name in ("CelebA", "LSUN"):
            value = row.get("published", {}).get(name)
            assert close(cells.get(f"{name} † (%)", "–"), value, 2)


@pytest.mark.slow
def test_csv_has_the_numbers(study):
    out, results = study
    for given in results:
        text = (out / given["table"] / "results.csv").read_text("utf-8")
        lines = list(csv.DictReader(text.splitlines()))
        assert len(lines) == len(given["rows"])
        for line, row in zip(lines, given["rows"], strict=True):
            assert (line["table"], line["method"]) == (given["table"], row["method"])
            assert line["variant"] == row["variant"]
            assert (line["correct"], line["images"]) == (str(row["correct"]), str(row["images"]))
            for name in ("accuracy", "low", "high", "chance"):
                assert float(line[f"{name}_percent"]) == pytest.approx(100 * row[name], abs=1e-9)
            for name in ("ap", "auc", "ece", "brier", "auroc"):
                assert line.get(name, "") == str(row.get(name, ""))


@pytest.mark.slow
def test_json_is_what_was_given_without_numbers_json_does_not_know(study):
    out, results = study
    for given in results:
        text = (out / given["table"] / "results.json").read_text("utf-8")
        found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
        note = found.pop("published_note", None)
        assert note == (None if given["table"] == "open_set" else report.PUBLISHED_NOTE)
        expected = copy.deepcopy(given)
        for row in expected["rows"]:
            for name, values in row.get("reliability", {}).items():
                row["reliability"][name] = [None if np.isnan(x) else float(x) for x in values]
        assert found == expected
    counts = next(x for x in results if x["table"] == "seeds")["rows"][3]["reliability"]["number"]
    assert (counts == 0).any()  # so that there was something to replace


@pytest.mark.slow
def test_markdown_and_page_have_the_numbers(study):
    out, results = study
    sections = sections_of((out / "report.html").read_text("utf-8"))
    for given in results:
        single = markdown_tables((out / given["table"] / "results.md").read_text("utf-8"))
        shown = sections[given["title"]].tables
        assert single[: len(shown)] == shown
        check_accuracies(shown[0], given["rows"])
        lines = {line[0]: line for table in shown for line in table}
        for measure in given.get("measures", []):
            value = float(lines[measure["name"]][1])
            assert value == pytest.approx(measure["value"], rel=5e-5)
    values = {row[0]: row[1:] for row in sections["Architectures"].tables[1][1:]}
    assert values["FD ratio, fingerprint"] == ["113.26", "454.76", "226.59", "500 images per set"]
    scores = dict(zip(*sections["Seeds"].tables[1], strict=True))
    row = next(x for x in results if x["table"] == "seeds")["rows"][3]
    for name, key in (("AP", "ap"), ("AUC", "auc"), ("ECE", "ece"), ("Brier score", "brier")):
        assert close(scores[name], row[key], 4)
    sources = {line[1]: line[2:] for line in sections["Seeds"].tables[2][1:]}
    for name, found in row["per_source"].items():
        assert close(sources[name][0], 100 * found["precision"], 2)
        assert close(sources[name][1], 100 * found["recall"], 2)


@pytest.mark.slow
def test_tables_come_in_the_order_of_the_study(study):
    out, _ = study
    parsed = Parsed((out / "report.html").read_text("utf-8"))
    expected = [name.replace("_", " ").capitalize() for name in study_tables.TABLES]
    assert parsed.text_of("h2") == ["Summary", *expected, "Data and machine"]
    headings = re.findall("^## (.*)$", (out / "report.md").read_text("utf-8"), re.M)
    assert headings == parsed.text_of("h2")
    assert [row[0] for row in parsed.tables[0][1:]] == expected


@pytest.mark.slow
def test_summary_puts_the_classifier_beside_chance_and_baselines(study):
    out, _ = study
    sections = sections_of((out / "report.html").read_text("utf-8"))
    _, *lines = sections["Summary"].tables[0]
    found = {name: cells for name, *cells in lines}
    assert found["Seeds"] == [
        "87.45", "85.93 to 88.83", "20.00", "95.00 (PRNU)", "0 of 1", "3 min 16 s"
    ]  # fmt: skip
    assert found["Patches"][:2] == ["27.00 (patch 3) to 99.00 (patch 128)", "–"]
    assert found["Attacks"][0] == "worst: 12.00 before, 81.00 after"
    assert found["Open set"][0].endswith("; AUROC of unknown ones 0.843")
    facts = dict(zip(*(sections["Summary"].text_of(tag) for tag in ("dt", "dd")), strict=True))
    assert facts["Expectations met"] == "2 of 4"
    assert facts["Time of all steps"] == "24 min 46 s"  # 8 × 184.2 s, and 12.3 s that all share
    origin = sections["Data and machine"].tables[0]
    assert len(origin) == 2  # all tables share one line
    assert origin[1][1:] == ["faces", "5000", "0123456789ab", "small", "0", "21bed9c-dirty",
                             "Xeon, 2 cores, Python 3.11.2, TensorFlow 2.21.0"]  # fmt: skip


@pytest.mark.slow
def test_what_was_not_met_is_said(study):
    out, _ = study
    sections = sections_of((out / "report.html").read_text("utf-8"))
    said = {name: [li["class"] for li in x.all("li")] for name, x in sections.items()}
    assert said["Summary"] == ["unmet", "unmet"]
    assert said["Seeds"] == said["Open set"] == ["unmet"]
    assert said["Architectures"] == ["met", "met"]
    assert sections["Seeds"].text_of("strong") == ["✗ not met"]
    first = " ".join(sections["Summary"].text_of("li")[0].split())
    assert first == "Seeds: classifier at least 97 %"
    assert sections["Seeds"].text_of("span") == ["found: 87.45 %"]
    text = (out / "seeds" / "results.md").read_text("utf-8")
    assert "- **NOT MET**: classifier at least 97 % (found: 87.45 %)" in text
    assert (out / "report.md").read_text("utf-8").count("**NOT MET**") == 4


def test_all_met_is_said_too(tmp_path):
    report.write_study([architectures() | {"rows": []}], tmp_path)
    summary = sections_of((tmp_path / "report.html").read_text("utf-8"))["Summary"]
    assert "All that was expected was found." in summary.text_of("p")
    assert not summary.all("li")


@pytest.mark.slow
def test_published_figures_never_stand_without_the_note(study):
    out, results = study
    sections = sections_of((out / "report.html").read_text("utf-8"))
    for given in results:
        has = any("published" in row for row in given["rows"])
        text = (out / given["table"] / "results.md").read_text("utf-8")
        assert (report.PUBLISHED_NOTE in text) is ("CelebA †" in text) is has
        paragraphs = sections[given["title"]].text_of("p")
        assert (report.PUBLISHED_NOTE in paragraphs) is has
        assert "published" not in (out / given["table"] / "results.csv").read_text("utf-8")
    assert "not checked against the paper" in report.PUBLISHED_NOTE


@pytest.mark.slow
def test_page_is_complete_in_itself(study):
    out, results = study
    parsed = Parsed((out / "report.html").read_text("utf-8"))
    assert not {"script", "link"} & {tag for tag, _ in parsed.tags}
    sources = [image["src"] for image in parsed.all("img")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    drawn = sum(len(list(figures.drawings(x))) for x in results)
    assert len(sources) == drawn + 1  # and the map of seeds
    assert all(image["alt"] for image in parsed.all("img"))
    commands = parsed.text_of("code")
    assert len(commands) == len(results)
    assert all("python3 classifier/run.py --app train" in text for text in commands)
    assert all("# Data sets: 12.3 s, reused" in text for text in commands)


@pytest.mark.slow
def test_same_results_same_bytes(study, tmp_path):
    out, results = study
    given = next(x for x in results if x["table"] == "seeds")
    report.write(given, tmp_path / "seeds")
    report.write_study([given, open_set()], tmp_path)
    first = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(first) == 13
    report.write_study([open_set(), json.loads((tmp_path / "seeds/results.json").read_text())],
                       tmp_path)  # fmt: skip
    for path, data in first.items():
        assert (tmp_path / path).read_bytes() == data, path
        if path.parts[:2] == ("seeds", "figures"):
            assert (out / path).read_bytes() == data, path


def test_what_is_missing_may_be_missing(tmp_path):
    given = [
        {"table": "nothing"},
        {"table": "other", "title": "Other", "rows": [{"method": "new", "variant": None}],
         "measures": [{"name": "m", "value": float("nan")}], "steps": [{"name": "s"}],
         "expected": [{"statement": "s", "met": False}],
         "pictures": [{"path": "gone.png", "caption": "c"}]},
        {"table": "seeds", "rows": [{"method": "knn", "accuracy": 0.5}]},
    ]  # fmt: skip
    for x in given:
        report.write(x, tmp_path / x["table"])
    report.write_study(given, tmp_path)
    sections = sections_of((tmp_path / "report.html").read_text("utf-8"))
    assert list(sections) == ["Summary", "Seeds", "Nothing", "Other", "Data and machine"]
    assert sections["Other"].tables[0][1] == ["new", *["–"] * 5]
    assert sections["Other"].tables[1][1] == ["m", "–", "–"]
    assert "(The picture gone.png is no longer there.)" in sections["Other"].text_of("p")
    assert sections["Seeds"].tables[0][1][:3] == ["Nearest neighbours", "50.00", "–"]
    assert len(sections["Seeds"].all("img")) == 1


@pytest.mark.parametrize(("time", "text"), [
    (12.34, "12.3 s"), (59.96, "1 min 00 s"), (184.2, "3 min 04 s"), (3599.6, "1 h 00 min"),
    (7384, "2 h 03 min"),
])  # fmt: skip
def test_durations(time, text):
    assert tables.duration(time) == text


def test_findings_are_sentences_with_their_numbers():
    def row(method, variant, accuracy):
        ends = {"low": accuracy - 0.02, "high": accuracy + 0.02}
        return {"method": method, "variant": variant, "accuracy": accuracy, "chance": 0.2,
                "images": 1500, **ends}  # fmt: skip

    methods = [row("prnu", "", 0.7), row("classifier", "", 0.9743), row("visnet", "", 0.9)]
    assert tables.findings({"rows": methods}) == [
        "Classifier: 97.43 % of 1,500 test images are named rightly "
        "(95 % interval 95.43 to 99.43; guessing: 20.00 %).",
        "visNet: 90.00 % of 1,500 test images are named rightly "
        "(95 % interval 88.00 to 92.00; guessing: 20.00 %).",
    ]
    attacks = [row("classifier", *x) for x in (("none", 0.97), ("noise before", 0.2),
               ("blur before", 0.5), ("noise after", 0.9), ("blur after", 0.95))]  # fmt: skip
    assert tables.findings({"rows": attacks}) == [
        "Classifier: 97.00 % of the images are named rightly as they are; 20.00 to 50.00 % after "
        "an attack; 90.00 to 95.00 % after an attack by a network that was trained on attacked "
        "images."
    ]
    measures = [{"name": "residual: TNR at 95 % TPR, without WGAN", "value": 0.354}]
    assert tables.findings({"rows": methods, "measures": measures}) == [
        "Residual: without WGAN: 35.40 % of the images of the source that it never saw were "
        "noticed, where 5 % of the images of known sources are rejected too."
    ]
    assert tables.findings({}) == []


def test_pictures_may_come_before_and_after_the_tables(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    shown = [{"path": "a.png", "caption": "A picture"}]
    first, last = (report.Pictures(x, f"text {x}", shown) for x in ("Before", "After"))
    report.write_study([architectures()], tmp_path, first=[first], last=[last])
    page = (tmp_path / "report.html").read_text("utf-8")
    order = [page.index(f"<h2>{x}</h2>") for x in ("Before", "Summary", "Architectures", "After")]
    assert order == sorted(order)
    assert page.count("A picture</figcaption>") == 2
