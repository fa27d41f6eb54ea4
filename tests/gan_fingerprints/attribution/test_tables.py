"""What is said of attributed images: lines, tables, accuracy, unknown sources."""

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from classifier_visNet.networks import AutoEncoder
from gan_fingerprints import metrics
from gan_fingerprints.attribution import tables
from gan_fingerprints.attribution.summary import summarize
from gan_fingerprints.attribution.tables import load_network
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.program import UserError

NAMES = ["CelebA_real_data", "ProGAN_generated_data", "SNGAN_generated_data"]


def rows_of(*predicted: str | None) -> list[Attribution]:
    """One row per name, sure to 0.8; an error where the name is None."""
    rows = []
    for i, name in enumerate(predicted):
        path = Path(f"folder/img{i:02d}.png")
        if name is None:
            rows.append(Attribution(path, None, dict.fromkeys(NAMES), "truncated, alas",
                                    reason="truncated, alas"))  # fmt: skip
        else:
            rows.append(Attribution(path, name, {x: 0.8 if x == name else 0.1 for x in NAMES},
                                    reason="so it is"))  # fmt: skip
    return rows


def test_lines_are_as_published(reference):
    published = reference("classifier/test_folder_label5.stdout.txt").read_text().splitlines()
    name = "MMDGAN_generated_data"
    row = Attribution(Path("testfolder/img04_rgba.png"), name, {name: 1.0})
    assert tables.line(4, 8, row) == published[6]
    names = [line.split()[6] for line in published[-5:]]
    rows = [Attribution(Path("x.png"), name, dict.fromkeys(names, 0.2)) for _ in range(8)]
    assert summarize(rows, None, names).splitlines() == published[-5:]


def test_the_line_of_an_error_has_its_reason():
    row = rows_of(None)[0]
    assert tables.line(3, 8, row) == ("Classifying 3/8 images: img00.png: skipped: truncated, alas")


def test_csv(tmp_path):
    tables.write_csv(tmp_path / "new" / "out.csv", rows_of(NAMES[1], None))
    text = (tmp_path / "new" / "out.csv").read_text()
    assert text.splitlines()[0] == f"path,predicted,probability,{','.join(NAMES)},reason,error"
    with open(tmp_path / "new" / "out.csv", newline="") as file:
        good, bad = csv.DictReader(file)
    assert good["path"] == "folder/img00.png"
    assert good["predicted"] == NAMES[1]
    assert float(good["probability"]) == float(good[NAMES[1]]) == 0.8
    assert float(good[NAMES[0]]) == 0.1
    assert (good["reason"], good["error"]) == ("so it is", "")
    assert bad["reason"] == bad["error"] == "truncated, alas"
    assert {bad[x] for x in ("predicted", "probability", *NAMES)} == {""}


def test_json(tmp_path):
    tables.write_json(tmp_path / "out.json", rows_of(NAMES[1], None))
    good, bad = json.loads((tmp_path / "out.json").read_text())
    assert good == {
        "path": "folder/img00.png",
        "predicted": NAMES[1],
        "probabilities": {NAMES[0]: 0.1, NAMES[1]: 0.8, NAMES[2]: 0.1},
        "reason": "so it is",
        "error": None,
    }
    assert bad["predicted"] is None
    assert bad["error"] == "truncated, alas"


def test_report_without_truth_counts_shares():
    lines = summarize(rows_of(NAMES[0], NAMES[1], NAMES[1], None), None, NAMES).split("\n")
    assert lines == [
        "The percentage of images sampled from CelebA_real_data is 1/3 = 33.33%",
        "The percentage of images sampled from ProGAN_generated_data is 2/3 = 66.67%",
        "The percentage of images sampled from SNGAN_generated_data is 0/3 = 0.00%",
        "Skipped: 1 of 4 images could not be used",
    ]
    assert "0/0 = 0.00%" in summarize(rows_of(None), None, NAMES)


def test_report_with_truth_has_the_scores():
    real, progan, sngan = NAMES
    rows = rows_of(real, real, progan, progan, real, sngan, progan, None)
    truth = [real, real, progan, progan, progan, sngan, "StyleGAN", "StyleGAN"]
    report = summarize(rows, truth, NAMES)
    assert (
        "Left out of the accuracy, as no source of this network: StyleGAN (1 of 8 images)" in report
    )
    assert "Accuracy: 5/6 = 83.33% (95% interval 43.65% to 96.99%)" in report
    assert "Expected calibration error: 0.0333" in report  # |5/6 - 0.8|
    assert "Real (CelebA_real_data) or generated: AP 0.9167, AUC 0.8750" in report
    matrix = [line.split()[2:5] for line in report.splitlines()[-4:-1]]
    assert matrix == [["2", "0", "0"], ["1", "2", "0"], ["0", "0", "1"]]
    assert "66.7 %" in report.splitlines()[-3]  # recall of ProGAN


def test_intervals_are_by_group_where_groups_are_known():
    """The interval of `metrics.interval_by_group`, of the images that are counted."""
    rows = rows_of(*[NAMES[0]] * 8, *[NAMES[1]] * 4, None)
    truth, groups = [NAMES[0]] * 11 + ["cats", NAMES[0]], [*"aaaabbbbcccd", "e"]
    low, high = metrics.interval_by_group([True] * 8 + [False] * 3, groups[:11])
    plain = metrics.wilson_interval(8, 11)
    assert high - low > plain[1] - plain[0]
    expected = f"8/11 = 72.73% (95% interval {100 * low:.2f}% to {100 * high:.2f}%"
    assert f"{expected} by group, of 3 groups)" in summarize(rows, truth, NAMES, groups)
    assert "by group" not in summarize(rows, truth, NAMES)


def test_report_without_any_known_truth():
    report = summarize(rows_of(NAMES[0]), ["cats"], NAMES)
    assert "cats (1 of 1 images)" in report
    assert "No accuracy: no folder is named as one of CelebA_real_data" in report
    assert "Accuracy" not in report


def test_the_picture_needs_a_known_truth(tmp_path):
    path = tmp_path / "confusion.png"
    rows = rows_of(NAMES[0], NAMES[1], None)
    assert not tables.write_confusion_png(path, rows, ["cats", "dogs", NAMES[0]], NAMES)
    assert not path.exists()
    assert tables.write_confusion_png(path, rows, ["cats", NAMES[1], NAMES[0]], NAMES)
    with Image.open(path) as picture:
        assert picture.format == "PNG"


@pytest.fixture
def judged_rows():
    """Four images of known sources, one of them rejected, and two of another, one of them."""

    def row(likely, score):
        probabilities = {x: 0.8 if x == likely else 0.1 for x in NAMES}
        predicted = likely if score >= 1 else "unknown"
        return Attribution(Path("a.png"), predicted, probabilities, score=score)

    real, progan, _ = NAMES
    rows = [row(real, 5.0), row(real, 0.5), row(progan, 3.0), row(real, 2.0), row(real, 0.1),
            row(progan, 2.5)]  # fmt: skip
    return rows, [real, real, progan, progan, "StyleGAN", "StyleGAN"]


def test_unknown_images_are_counted_and_the_accuracy_stays_that_of_names(judged_rows):
    rows, truth = judged_rows
    report = summarize(rows, truth, NAMES)
    assert "The percentage of images of unknown sources is 2/6 = 33.33%" in report
    assert "images of known sources: 1/4 = 25.00%" in report
    assert f"  of each: {NAMES[0]} 1/2, {NAMES[1]} 0/2\n" in report
    assert "images of other sources: 1/2 = 50.00%" in report
    assert "Accuracy: 3/4 = 75.00%" in report  # the rejected image is named right
    assert "AUROC 0.7500" in report  # 5, 0.5, 3, 2 against 0.1, 2.5: 6 of 8 pairs


def test_unknown_images_in_tables(judged_rows, tmp_path):
    rows, _ = judged_rows
    tables.write_csv(tmp_path / "out.csv", rows)
    with open(tmp_path / "out.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["predicted"] for line in table].count("unknown") == 2
    assert {float(line["probability"]) for line in table} == {0.8}
    tables.write_scores(tmp_path / "scores.csv", rows, "energy", 1.0)
    with open(tmp_path / "scores.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(line["energy"]) for line in table] == [5.0, 0.5, 3.0, 2.0, 0.1, 2.5]
    assert table[1]["predicted"] == "unknown"
    assert table[1]["most_probable"] == NAMES[0]
    assert {line["threshold"] for line in table} == {"1"}


def test_the_line_of_an_unknown_image(judged_rows):
    assert tables.line(1, 6, judged_rows[0][1]) == (
        "Classifying 1/6 images: a.png: predicted as being sampled from an unknown source "
        "(most like the photographs it was trained on (CelebA_real_data))"
    )


def test_inconclusive_images_have_their_reason_and_count_as_their_most_probable_source(tmp_path):
    real, progan, _ = NAMES
    rows = rows_of(real, progan, None)
    rows[1] = replace(rows[1], predicted="inconclusive", reason="its shorter side has 3 pixels")
    assert tables.line(1, 3, rows[1]) == (
        "Classifying 1/3 images: img01.png: inconclusive (most like ProGAN_generated_data): its "
        "shorter side has 3 pixels"
    )
    text = summarize(rows, [real, progan, real], NAMES)
    assert "sampled from ProGAN_generated_data is 0/2 = 0.00%" in text
    assert "The percentage of inconclusive images is 1/2 = 50.00%" in text
    assert "Accuracy: 2/2 = 100.00%" in text
    tables.write_csv(tmp_path / "out.csv", rows)
    with open(tmp_path / "out.csv", newline="") as file:
        row = list(csv.DictReader(file))[1]
    assert (row["predicted"], row["reason"]) == ("inconclusive", "its shorter side has 3 pixels")
    assert float(row["probability"]) == 0.8


@pytest.fixture
def load(reference, capsys):
    def load(names):
        path = reference("visnet/visnet_r32.nosrc.pkl")
        arguments = argparse.Namespace(model_path=str(path), source_names=names)
        kinds = {"visnet_autoencoder": AutoEncoder}
        return load_network(arguments, kinds), capsys.readouterr().out

    return load


def test_assumed_source_names_are_said(load):
    loaded, printed = load(None)
    assert loaded.source_names[:2] == ["CelebA_real_data", "ProGAN_generated_data"]
    assert "source names are assumed" in printed


def test_given_source_names_are_taken_silently(load):
    loaded, printed = load("a,b,c,d,e")
    assert loaded.source_names == ["a", "b", "c", "d", "e"]
    assert printed == ""


def test_another_number_of_source_names_is_refused(load):
    with pytest.raises(UserError, match="found 2 names"):
        load("a,b")


def test_lines_say_of_photographs_what_they_are_like():
    row = Attribution(Path("a.png"), "real", {"real": 0.95, "gan": 0.05})
    like = "the photographs it was trained on (real)"
    # The line of a name is the 2019 release's; what it means is said once, behind the summary.
    assert tables.line(0, 1, row).endswith("a.png: predicted as being sampled from real")
    for verdict in ("unknown", "inconclusive", "mixed"):
        text = tables.line(0, 1, replace(row, predicted=verdict))
        assert f"(most like {like})" in text
        assert text.count("real") == 1
