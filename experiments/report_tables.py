"""The study's results as tables: header, rows, and which columns are numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.figures import METHODS, Row, attack_of, data_sets, label, published
from experiments.plan import BASELINES
from experiments.study import TABLES

SCORES = {"ap": "AP", "auc": "AUC", "ece": "ECE", "brier": "Brier score"}
_COUNTED = ("correct", "images", "accuracy", "low", "high", "chance")


class Table(NamedTuple):
    """What `table` of a Page takes."""

    header: list[str]
    rows: list[list[Any]]
    numbers: list[int]


def accuracies(rows: Sequence[Row]) -> Table:
    """A line per method and variant, beside chance and the publication's figures."""
    data, left = data_sets(rows), _left(rows)
    header = [*left, "accuracy (%)", "95 % interval", "right", "images", "chance (%)"]
    lines = [
        [*_names(row, left), percent(row.get("accuracy")), interval(row), row.get("correct")]
        + [row.get("images"), percent(row.get("chance"))]
        + [_fixed(published(row, name)) for name in data]
        for row in rows
    ]
    return _table([*header, *(f"{name} † (%)" for name in data)], lines, len(left))


def scores(rows: Sequence[Row]) -> Table | None:
    """Real or generated, calibration, and any other number of the rows; None when there is none."""
    keys = score_keys(rows)
    if not keys:
        return None
    rows = [row for row in rows if any(row.get(key) is not None for key in keys)]
    left = _left(rows)
    lines = [[*_names(row, left), *(_fixed(row.get(key), 4) for key in keys)] for row in rows]
    names = [SCORES.get(key, key.replace("_", " ")) for key in keys]
    return _table([*left, *names], lines, len(left))


def score_keys(rows: Iterable[Row]) -> list[str]:
    """Numbers of the rows beside accuracies: the known ones first."""
    keys = {
        key
        for row in rows
        for key, value in row.items()
        if isinstance(value, int | float) and key not in _COUNTED
    }
    return [key for key in SCORES if key in keys] + sorted(keys - set(SCORES))


def measures(rows: Sequence[Row]) -> Table:
    """A line per measure, beside the publication's figure."""
    data = data_sets(rows)
    header = ["measure", "value", *(f"{name} †" for name in data), "of what"]
    lines = [
        [row["name"], number(row.get("value"))]
        + [number(published(row, name)) for name in data]
        + [row.get("detail") or None]
        for row in rows
    ]
    return Table(header, lines, list(range(1, 2 + len(data))))


def per_source(rows: Sequence[Row]) -> Table | None:
    """Precision and recall of every source in every row; None when there is none."""
    lines = [
        [label(row), source, percent(x.get("precision")), percent(x.get("recall"))]
        for row in rows
        for source, x in (row.get("per_source") or {}).items()
    ]
    header = ["method", "source", "precision (%)", "recall (%)"]
    return Table(header, lines, [2, 3]) if lines else None


def csv_lines(name: str, rows: Sequence[Row]) -> list[list[Any]]:
    """Header and lines of plain numbers, shares in percent."""
    keys = [*SCORES, *(key for key in score_keys(rows) if key not in SCORES)]
    shares = ("accuracy", "low", "high", "chance")
    header = ["table", "method", "variant", "correct", "images"]
    lines: list[list[Any]] = [[*header, *(f"{share}_percent" for share in shares), *keys]]
    for row in rows:
        values = [None if row.get(x) is None else round(100 * row[x], 10) for x in shares]
        first = [name, row["method"], row.get("variant"), row.get("correct"), row.get("images")]
        lines.append([*first, *values, *(row.get(key) for key in keys)])
    return lines


def summary(results: Sequence[Mapping[str, Any]]) -> Table:
    """A line per table: the classifier beside chance and the best baseline."""
    header = ["table", "classifier (%)", "95 % interval", "chance (%)", "best baseline (%)",
              "expectations met", "time"]  # fmt: skip
    return Table(header, [_summary_of(x) for x in results], [2, 3, 6])


def _summary_of(results: Mapping[str, Any]) -> list[Any]:
    rows = [row for row in results.get("rows") or [] if row.get("accuracy") is not None]
    ours = [row for row in rows if row["method"] == "classifier"]
    others = [row for row in rows if row["method"] in BASELINES]
    best = max(others, key=lambda x: x["accuracy"], default=None)
    expected = results.get("expected") or []
    return [
        title(results),
        _headline(ours, results.get("measures") or []),
        interval(ours[0]) if len(ours) == 1 else None,
        ", ".join(sorted({f"{100 * x['chance']:.2f}" for x in ours if x.get("chance")})) or None,
        f"{percent(best['accuracy'])} ({label(best)})" if best else None,
        f"{sum(bool(x['met']) for x in expected)} of {len(expected)}" if expected else None,
        duration(seconds([results])),
    ]


def _headline(rows: Sequence[Row], measures: Sequence[Row]) -> str | None:
    areas = sorted(x["value"] for x in measures if x["name"].startswith("AUROC"))
    ends = dict.fromkeys(f"{x:.3f}" for x in areas[:1] + areas[-1:])
    unknown = f"AUROC of unknown ones {' to '.join(ends)}" if areas else ""
    return "; ".join(filter(None, [_range(rows), unknown])) or None


def _range(rows: Sequence[Row]) -> str:
    """The accuracies of the worst and the best row; of attacks, the worst before and after."""
    ordered = sorted(rows, key=lambda row: row["accuracy"])
    if not any(map(attack_of, ordered)):
        return " to ".join(map(_variant, ordered[:1] + ordered[1:][-1:]))
    worst = {(attack_of(row) or ("", ""))[1]: percent(row["accuracy"]) for row in ordered[::-1]}
    return "worst: " + ", ".join(f"{worst[x]} {x}" for x in ("before", "after") if x in worst)


def _variant(row: Row) -> str:
    name = f" ({row['variant']})" if row.get("variant") else ""
    return f"{percent(row['accuracy'])}{name}"


def findings(results: Mapping[str, Any]) -> list[str]:
    """What was found, in sentences with their numbers."""
    rows = [x for x in results.get("rows") or [] if x.get("accuracy") is not None]
    measures = results.get("measures") or []
    if any(map(attack_of, rows)):
        return [*map(_of_attacks, _by_method(rows))]
    noticed = [x for x in measures if "TNR at 95 % TPR" in x["name"] and x.get("value") is not None]
    if noticed:
        return [*map(_of_unknown, noticed)]
    return [
        f"{_begun(label(row))}: {percent(row['accuracy'])} % of {row['images']:,} test images "
        f"are named rightly (95 % interval {interval(row)}; guessing: {percent(row['chance'])} %)."
        for row in rows
        if row["method"] not in BASELINES and row.get("chance") and row.get("images")
    ]


def _of_unknown(measure: Row) -> str:
    whose = measure["name"].replace("TNR at 95 % TPR, ", "")
    return (
        f"{_begun(whose)}: {percent(measure['value'])} % of the images of the source that it never "
        "saw were noticed, where 5 % of the images of known sources are rejected too."
    )


def _by_method(rows: Sequence[Row]) -> list[list[Row]]:
    return [[x for x in rows if x["method"] == m] for m in dict.fromkeys(x["method"] for x in rows)]


def _of_attacks(rows: Sequence[Row]) -> str:
    """One method, as it is, attacked, and after training on attacked images."""
    shares: dict[str, list[float]] = {}
    for row in rows:
        shares.setdefault((attack_of(row) or ("", "none"))[1], []).append(100 * row["accuracy"])
    words = {
        "none": "{} % of the images are named rightly as they are",
        "before": "{} % after an attack",
        "after": "{} % after an attack by a network that was trained on attacked images",
    }
    said = [text.format(_ends(shares[x])) for x, text in words.items() if x in shares]
    name = METHODS.get(rows[0]["method"], rows[0]["method"])
    return f"{_begun(name)}: {'; '.join(said)}."


def _begun(sentence: str | None) -> str:
    """With a capital letter, unless it is a name with one further on."""
    sentence = sentence or ""
    return sentence if sentence.startswith("visNet") else sentence[:1].upper() + sentence[1:]


def _ends(shares: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{x:.2f}" for x in (min(shares), max(shares))))


def title(results: Mapping[str, Any]) -> str:
    """What a table is called."""
    return results.get("title") or results["table"].replace("_", " ").capitalize()


def in_order(results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The tables in the order of the study; others after them, as they come."""
    return sorted(results, key=lambda x: (*TABLES, x["table"]).index(x["table"]))


def seconds(results: Iterable[Mapping[str, Any]]) -> float:
    """What all steps took, now or when they were done; one that tables share counts once."""
    steps = {
        (x["name"], x.get("command")): x for table in results for x in table.get("steps") or []
    }
    return sum(step.get("seconds") or 0 for step in steps.values())


def duration(time: float) -> str:
    """Seconds as people say them."""
    if round(time, 1) < 60:
        return f"{time:.1f} s"
    minutes, rest = divmod(round(time), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def percent(share: float | None) -> str | None:
    """0.9943 as 99.43."""
    return None if share is None else _fixed(100 * share)


def interval(row: Row) -> str | None:
    """The 95 % interval of a row in percent."""
    ends = [percent(row.get(end)) for end in ("low", "high")]
    return None if None in ends else " to ".join(map(str, ends))


def number(value: float | None) -> str | None:
    """Five significant digits, large numbers whole."""
    if value is None:
        return None
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.5g}"


def _fixed(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _left(rows: Sequence[Row]) -> list[str]:
    return ["method", "variant"] if any(row.get("variant") for row in rows) else ["method"]


def _names(row: Row, left: Sequence[str]) -> list[Any]:
    names = [METHODS.get(row["method"], row["method"]), row.get("variant") or None]
    return names[: len(left)]


def _table(header: list[str], rows: list[list[Any]], first: int) -> Table:
    return Table(header, rows, list(range(first, len(header))))
