"""What the answers of a table's networks say: accuracies, distances, expectations."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plan import BASELINES
from experiments.steps import OUT, Folder
from experiments.study import NOTHING, Answers, Table
from gan_fingerprints import calibration, metrics, scores
from gan_fingerprints.attribution.tables import MORE
from gan_fingerprints.version import versions

POINTS = 100  # of a curve
SCORED = (*scores.SCORES, calibration.EITHER)  # columns of a score, of which a table has one


@dataclass(frozen=True)
class Answered:
    """A table of answers, read.

    Attributes:
        names: the network's sources.
        probabilities: float64 [N, sources].
        truth: name of each image's folder.
        unknown: whether the answer was "unknown".
        scores: how well each fits the known sources; empty where there is no such table.
    """

    names: list[str]
    probabilities: np.ndarray
    truth: np.ndarray
    unknown: np.ndarray
    scores: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether each image's source is one of the network's."""
        return np.isin(self.truth, self.names)

    @property
    def labels(self) -> np.ndarray:
        """Number of each image's source; -1 for others."""
        numbers = {name: i for i, name in enumerate(self.names)}
        return np.array([numbers.get(name, -1) for name in self.truth])

    @property
    def right(self) -> np.ndarray:
        """Whether the most probable source is the true one."""
        return self.probabilities.argmax(axis=1) == self.labels


def read(path: Path) -> Answered:
    """The table that `run.py --app test --out_csv` wrote, and the scores beside it if any."""
    rows = _rows_of(path)
    # The sources stand between what all tables begin with and what some rows have more.
    _, _, _, *names = rows[0]
    while names[-1] in (*MORE, "reason", "error"):
        names.pop()
    beside = path.with_suffix(".scores.csv")
    scored = _rows_of(beside) if beside.is_file() else []
    return Answered(
        names,
        np.array([[float(row[name]) for name in names] for row in rows]),
        np.array([Path(row["path"]).parent.name for row in rows]),
        np.array([row["predicted"] == calibration.UNKNOWN for row in rows]),
        np.array([float(row[x]) for row in scored for x in SCORED if x in row]),
    )


def _rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if not row["error"]]


def of(
    table: Table, folder: Folder, data: Mapping[str, Any], scale: str, reused: set[str]
) -> dict[str, Any]:
    """The content of `results.json`, from the outputs of a table's steps.

    Args:
        table: planned, and its steps complete.
        folder: of the study.
        data: facts of the photos.
        scale: its name.
        reused: the steps that were complete before.
    """
    answers = {line: read(folder.place(line.place)) for line in table.lines}
    rows = [_row(line, answered, table) for line, answered in answers.items()]
    # Scores are judged on images as they are; an attack, or immunization, is not their subject.
    scored = {
        line: answered
        for line, answered in answers.items()
        if answered.scores.size and (line.variant in ("", NOTHING) or line.unknown)
    }
    records = {name: folder.record(name) for name in table.steps}
    results = {
        "table": table.name,
        "title": table.title,
        "claim": table.claim,
        "notes": table.notes,
        "scale": scale,
        "seed": 0,
        "commit": next((r["commit"] for r in reversed(records.values()) if r["commit"]), None),
        "machine": machine(),
        "data": data,
        "rows": rows,
        "measures": [*_distances(table, folder), *_open_set(scored)],
        "curves": _curves(scored),
        "pictures": _pictures(table),
        "expected": expectations(table, rows),
        "steps": [
            {
                "name": name,
                "command": folder.steps[name].shown(),
                "reused": name in reused,
                "seconds": round(record["seconds"], 1),
            }
            for name, record in records.items()
        ],
    }
    return plain(results)


def plain(value: Any) -> Any:
    """Only what JSON knows: arrays as lists, and what is no number as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pictures(table: Table) -> list[dict[str, str]]:
    """Paths below the study's folder, and captions."""
    captions = {table.samples: "Test images."} if table.samples else {}
    for space, (_, place) in table.spaces.items():
        captions[place] = f"A map of the test images in {space} space (t-SNE)."
    start = f"{OUT}/"
    return [{"path": x.removeprefix(start), "caption": text} for x, text in captions.items()]


def _row(line: Answers, answered: Answered, table: Table) -> dict[str, Any]:
    known, names = answered.known, answered.names
    labels, probabilities = answered.labels[known], answered.probabilities[known]
    right, number = int(answered.right[known].sum()), int(known.sum())
    low, high = metrics.wilson_interval(right, number)
    matrix = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(names))
    precision, recall = metrics.precision_recall(matrix)
    row: dict[str, Any] = {
        "method": line.method,
        "variant": line.variant,
        "correct": right,
        "images": number,
        "accuracy": right / number,
        "low": low,
        "high": high,
        "chance": table.chance,
        "published": table.published.get(line.variant or line.method, {}),
        "per_source": {
            name: {"precision": p, "recall": r}
            for name, p, r in zip(names, precision, recall, strict=True)
        },
        "confusion": {"names": names, "counts": matrix},
    }
    if line.method not in BASELINES:  # which give no probabilities
        is_real = np.array(["real" in name for name in names])
        generated = 1 - probabilities[:, is_real].sum(axis=1)
        row["ap"], row["auc"] = metrics.real_or_generated(is_real[labels], generated)
        row["ece"] = metrics.expected_calibration_error(probabilities, labels)
        row["brier"] = metrics.brier_score(probabilities, labels)
        bins = np.array(metrics.reliability(probabilities, labels), np.float64)
        row["reliability"] = dict(zip(("number", "confidence", "accuracy"), bins, strict=True))
    return row


def _distances(table: Table, folder: Folder) -> list[dict[str, Any]]:
    measures = []
    for space, (place, _) in table.spaces.items():
        distances = json.loads(folder.place(place).read_text())
        name, detail = f"FD ratio, {space} space", f"{distances['images']:,} images per set"
        published = {"published": table.published.get(space, {})}
        measures.append(_measure(name, distances["ratio"], detail) | published)
    return measures


def _measure(name: str, value: float, detail: str) -> dict[str, Any]:
    return {"name": name, "value": value, "detail": detail}


def _open_set(scored: Mapping[Answers, Answered]) -> list[dict[str, Any]]:
    """How often known images are rejected, and how well an unknown source is told from them."""
    measures = []
    for line, answered in scored.items():
        suffix = f", {line.variant}" if line.variant else ""
        whose = "" if line.method == "classifier" else f"{line.method}: "
        known, scores = answered.known, answered.scores
        rejected, number = int(answered.unknown[known].sum()), int(known.sum())
        low, high = metrics.wilson_interval(rejected, number)
        detail = f"{rejected} of {number:,}, 95 % interval {low:.2%} to {high:.2%}; "
        detail += "the threshold was set for 5 %"
        name = f"known images answered unknown{suffix} ({line.method})"
        measures.append(_measure(name, rejected / number, detail))
        if line.unknown:
            inside, outside = scores[known], scores[~known]
            area = calibration.area_under_roc(inside, outside)
            detail = f"{len(outside):,} images of the unknown source"
            measures.append(_measure(f"{whose}AUROC{suffix}", area, detail))
            share = calibration.true_negatives_at(inside, outside)
            detail = "share of the unknown source found where 95 % of known images pass"
            measures.append(_measure(f"{whose}TNR at 95 % TPR{suffix}", share, detail))
    return measures


def _curves(scored: Mapping[Answers, Answered]) -> list[dict[str, Any]]:
    lines = []
    for line, answered in scored.items():
        coverage, risk = calibration.risk_and_coverage(answered.scores, answered.right)
        shown = np.unique(np.linspace(0, len(coverage) - 1, POINTS).astype(int))
        name = line.variant or line.method
        if line.variant and line.method != "classifier":
            name = f"{line.method}, {name}"
        lines.append({"name": name, "x": coverage[shown], "y": risk[shown]})
    curve = {
        "name": "risk and coverage",
        "x_label": "share of images answered, those that fit best first",
        "y_label": "share of wrong names among them",
        "lines": lines,
    }
    return [curve] if lines else []


def expectations(table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What should come out, whether it does, and what did."""
    # The publication's claims are about its network: of variants, only those are its.
    rows = [row for row in rows if row["method"] == "classifier" or not row["variant"]]
    shares = {row["variant"] or row["method"]: row["accuracy"] for row in rows}
    made: list[tuple[str, bool, str]] = []
    for method, least in table.expected.get("at_least", {}).items():
        share = shares[method]
        made.append((f"{method} at least {least} %", share >= least / 100, f"{share:.2%}"))
    if best := table.expected.get("baselines_below"):
        for method in [x for x in BASELINES if x in shares]:
            both = f"{shares[method]:.2%} and {shares[best]:.2%}"
            made.append((f"{method} below the {best}", shares[method] < shares[best], both))
    if least := table.expected.get("after_at_least"):
        for name, share in shares.items():
            if name.endswith(" after"):
                statement = f"{name} immunization at least {least} %"
                made.append((statement, share >= least / 100, f"{share:.2%}"))
    by_name = {row["variant"]: row for row in rows}
    for word in table.expected.get("rising", []):
        sides = sorted(int(x.split()[1]) for x in shares if x.split()[0] == word)
        band = [by_name[f"{word} {side}"] for side in sides]
        rising = all(a["low"] <= b["high"] for a, b in itertools.pairwise(band))
        each = ", ".join(f"{n}: {x['accuracy']:.2%}" for n, x in zip(sides, band, strict=True))
        statement = f"{word}: a larger side never carries less, beyond the intervals"
        made.append((statement, rising, each))
    return [{"statement": s, "met": bool(m), "found": f} for s, m, f in made]


def machine() -> dict[str, Any]:
    """What it ran on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    installed = versions()
    return {
        "processor": (names or [platform.processor()])[0],
        "cores": len(os.sched_getaffinity(0)),
        "python": installed["python"],
        "tensorflow": installed["tensorflow"],
    }
