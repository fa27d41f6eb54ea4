"""What the answers of a table's networks say: accuracies, distances, expectations."""

from __future__ import annotations

import csv
import itertools
import json
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
from gan_fingerprints import calibration, metrics
from gan_fingerprints.version import versions

POINTS = 100  # of a curve


@dataclass(frozen=True)
class Answered:
    """A table of answers, read.

    Attributes:
        names: the network's sources.
        probabilities: float64 [N, sources].
        truth: name of each image's folder.
        unknown: whether the answer was "unknown".
        scores: how well each fits the known sources; None where there is no such table.
    """

    names: list[str]
    probabilities: np.ndarray
    truth: np.ndarray
    unknown: np.ndarray
    scores: np.ndarray | None

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
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    others = ("path", "predicted", "probability", "reason", "error")
    names = [x for x in rows[0] if x not in others]
    scores, beside = None, path.with_suffix(".scores.csv")
    if beside.is_file():
        with beside.open(newline="") as file:
            table = [row for row in csv.DictReader(file) if not row["error"]]
        column = next(name for name in table[0] if name in calibration.SCORES)
        scores = np.array([float(row[column]) for row in table])
    return Answered(
        names,
        np.array([[float(row[name]) for name in names] for row in rows]),
        np.array([Path(row["path"]).parent.name for row in rows]),
        np.array([row["predicted"] == calibration.UNKNOWN for row in rows]),
        scores,
    )


def of(table: Table, folder: Folder, data: Mapping[str, Any], scale: str,
       reused: set[str]) -> dict[str, Any]:  # fmt: skip
    """The content of `results.json`, from the outputs of a table's steps.

    Args:
        table: planned, and its steps complete.
        folder: of the study.
        data: facts of the photos.
        scale: its name.
        reused: the steps that were complete before.
    """
    answers = {line: read(folder.path / line.place.removeprefix(f"{OUT}/")) for line in table.lines}
    rows = [_row(line, found, table) for line, found in answers.items()]
    records = {name: folder.record(name) for name in table.steps}
    return {
        "table": table.name,
        "title": table.title,
        "claim": table.claim,
        "notes": table.notes,
        "scale": scale,
        "seed": 0,
        "commit": next((r["commit"] for r in reversed(records.values()) if r["commit"]), None),
        "machine": machine(),
        "data": dict(data),
        "rows": rows,
        "measures": _measures(table, folder, answers),
        "curves": _curves(table, answers),
        "pictures": _pictures(table),
        "expected": expectations(table, rows),
        "steps": [
            {"name": name, "command": folder.steps[name].shown(), "reused": name in reused,
             "seconds": round(record["seconds"], 1)}
            for name, record in records.items()
        ],
    }  # fmt: skip


def _pictures(table: Table) -> list[dict[str, str]]:
    """Paths below the study's folder, and captions."""
    pictures = {table.samples: "Test images."} if table.samples else {}
    for space, (_, place) in table.spaces.items():
        pictures[place] = f"A map of the test images in {space} space (t-SNE)."
    return [
        {"path": place.removeprefix(f"{OUT}/"), "caption": text} for place, text in pictures.items()
    ]


def _row(line: Answers, found: Answered, table: Table) -> dict[str, Any]:
    known = found.known
    labels, probabilities = found.labels[known], found.probabilities[known]
    right, number = int(found.right[known].sum()), int(known.sum())
    low, high = metrics.wilson_interval(right, number)
    matrix = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(found.names))
    precision, recall = metrics.precision_recall(matrix)
    is_real = np.array(["real" in name for name in found.names])
    ap, auc = metrics.real_or_generated(
        is_real[labels], 1 - probabilities[:, is_real].sum(axis=1)
    )  # fmt: skip
    row = {
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
            name: {"precision": float(p), "recall": float(r)}
            for name, p, r in zip(found.names, precision, recall, strict=True)
        },
        "confusion": {"names": found.names, "counts": matrix.tolist()},
    }
    if line.method not in BASELINES:  # the others give no probabilities
        bins = metrics.reliability(probabilities, labels)
        row |= {
            "ap": ap,
            "auc": auc,
            "ece": metrics.expected_calibration_error(probabilities, labels),
            "brier": metrics.brier_score(probabilities, labels),
            "reliability": dict(
                zip(("number", "confidence", "accuracy"), map(_plain, bins), strict=True)
            ),
        }
    return {name: None if value != value else value for name, value in row.items()}


def _unattacked(line: Answers) -> bool:
    return line.variant in ("", NOTHING) or line.unknown is not None


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(x) else float(x) for x in values]


def _measures(
    table: Table, folder: Folder, answers: Mapping[Answers, Answered]
) -> list[dict[str, Any]]:
    measures = []
    for space, (place, _) in table.spaces.items():
        found = json.loads((folder.path / place.removeprefix(f"{OUT}/")).read_text())
        measures.append({
            "name": f"FD ratio, {space} space",
            "value": found["ratio"],
            "detail": f"{found['images']:,} images per set",
            "published": table.published.get(space, {}),
        })  # fmt: skip
    for line, found in answers.items():
        if found.scores is None or not _unattacked(line):
            continue
        suffix = f", {line.variant}" if line.variant else ""
        rejected, number = int(found.unknown[found.known].sum()), int(found.known.sum())
        low, high = metrics.wilson_interval(rejected, number)
        measures.append({
            "name": f"known images answered unknown{suffix} ({line.method})",
            "value": rejected / number,
            "detail": f"{rejected} of {number:,}, 95 % interval {low:.2%} to {high:.2%}; "
            "the threshold was set for 5 %",
        })  # fmt: skip
        if line.unknown:
            inside, outside = found.scores[found.known], found.scores[~found.known]
            measures += [
                {"name": f"AUROC{suffix}", "value": calibration.area_under_roc(inside, outside),
                 "detail": f"{len(outside):,} images of the unknown source"},
                {"name": f"TNR at 95 % TPR{suffix}",
                 "value": calibration.true_negatives_at(inside, outside),
                 "detail": "share of the unknown source found where 95 % of known images pass"},
            ]  # fmt: skip
    return measures


def _curves(table: Table, answers: Mapping[Answers, Answered]) -> list[dict[str, Any]]:
    lines = []
    for line, found in answers.items():
        if found.scores is None or not _unattacked(line):
            continue
        coverage, risk = calibration.risk_and_coverage(found.scores, found.right)
        shown = np.unique(np.linspace(0, len(coverage) - 1, POINTS).astype(int))
        lines.append({
            "name": line.variant or line.method,
            "x": coverage[shown].tolist(),
            "y": risk[shown].tolist(),
        })  # fmt: skip
    if not lines:
        return []
    return [{
        "name": "risk and coverage",
        "x_label": "share of images answered, those that fit best first",
        "y_label": "share of wrong names among them",
        "lines": lines,
    }]  # fmt: skip


def expectations(table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What should come out, whether it does, and what did."""
    shares = {row["variant"] or row["method"]: row["accuracy"] for row in rows}
    made = []
    for method, least in table.expected.get("at_least", {}).items():
        made.append((f"{method} at least {least} %", shares[method] >= least / 100,
                     f"{shares[method]:.2%}"))  # fmt: skip
    if best := table.expected.get("baselines_below"):
        for method in [x for x in BASELINES if x in shares]:
            made.append((f"{method} below the {best}", shares[method] < shares[best],
                         f"{shares[method]:.2%} and {shares[best]:.2%}"))  # fmt: skip
    if least := table.expected.get("after_at_least"):
        for name in [x for x in shares if x.endswith(" after")]:
            made.append((f"{name} immunization at least {least} %", shares[name] >= least / 100,
                         f"{shares[name]:.2%}"))  # fmt: skip
    by_name = {row["variant"]: row for row in rows}
    for word in table.expected.get("rising", []):
        sides = sorted(int(x.split()[1]) for x in shares if x.split()[0] == word)
        band = [by_name[f"{word} {side}"] for side in sides]
        rising = all(a["low"] <= b["high"] for a, b in itertools.pairwise(band))
        found = ", ".join(f"{n}: {x['accuracy']:.2%}" for n, x in zip(sides, band, strict=True))
        made.append((f"{word}: a larger side never carries less, beyond the intervals", rising,
                     found))  # fmt: skip
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
