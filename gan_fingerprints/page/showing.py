"""What the page is told of images and models: JSON, with the words of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan_fingerprints import card
from gan_fingerprints.attribution.verdict import VERDICTS, Attribution, called, worded
from gan_fingerprints.examiner import examination, meaning
from gan_fingerprints.examiner.examination import UNREADABLE, Model, rounded
from gan_fingerprints.examiner.exhibit import (
    MARKS,
    ratio_of,
    reason_of,
    sources_of,
    support_of,
    warning_of,
    worth_of,
)
from gan_fingerprints.examiner.page import ExaminationPage, facts_of, treated
from gan_fingerprints.page.desk import Slot
from gan_fingerprints.page.sessions import Held
from gan_fingerprints.shown import shown


def image(held: Held, slots: Sequence[Slot]) -> dict[str, Any]:
    """A row of the list: an image, its verdict, and what it is chosen and sorted by."""
    assert held.found
    one, model = held.found.exhibit.record, held.slot.model
    assert model
    verdicts = [*model.source_names, *VERDICTS, UNREADABLE]
    verdict = one["verdict"] or UNREADABLE
    return {
        "number": held.number,
        "name": shown(held.name.name),
        "folder": shown(held.name.parent) if len(held.name.parts) > 1 else "",
        "model": slots.index(held.slot) if held.slot in slots else None,
        "verdict": worded(verdict),
        "kind": _kind(one["verdict"]),
        "likely": called(one["most_probable"]) if one["most_probable"] else None,
        # A number beside another verdict would be read as that of the verdict.
        "probability": rounded(one["probability"]) if _kind(verdict) == "named" else None,
        "support": support_of(one),
        "reason": reason_of(one),
        "marks": [MARKS[x] for x in held.found.exhibit.marks],
        "worth": [verdicts.index(verdict), one["probability"], ratio_of(one)],
        "pictured": bool(held.found.exhibit.thumbnail),
    }


def _kind(verdict: str | None) -> str:
    """What a verdict looks like."""
    if verdict is None or verdict == UNREADABLE:
        return "unreadable"
    return verdict if verdict in VERDICTS else "named"


def sheet(held: Held) -> dict[str, Any]:
    """All the evidence on an image."""
    assert held.found
    one, model = held.found.exhibit.record, held.slot.model
    assert model
    header, rows = sources_of(one) if one["probabilities"] else ([], [])
    worth = worth_of(one, len(model.source_names)) if one["verdict"] else ()
    return {
        "said": [reason_of(one), *worth],
        "warning": warning_of(one),
        "stability": _stability(one),
        "pictures": [shown(caption) for _, caption in held.pictures],
        "table": {"header": header, "rows": rows},
        "facts": {
            "file": shown(one["path"]),
            "what was done before the model saw it": treated(one),
            "SHA-256": one["sha256"],
            "model": f"{shown(model.file)}, SHA-256 {model.sha256}",
            **_score(one),
        },
    }


def _score(one: Mapping[str, Any]) -> dict[str, str]:
    if one["score"] is None or one["threshold"] is None:
        return {}
    text = f"{one['score_name']} {one['score']:.6g}, unknown below {one['threshold']:.6g}"
    return {"score": text}


def _stability(one: Mapping[str, Any]) -> str | None:
    """Whether a source survives mild changes; where it does not, the reason says so."""
    if one.get("stable") is None:
        return None
    return "survives mild changes" if one["stable"] else "does not survive a mild change"


def pool(row: Attribution, slot: Slot) -> dict[str, Any]:
    """A verdict on several images."""
    return {
        "name": shown(row.path),
        "verdict": worded(row.predicted),
        "kind": _kind(row.predicted),
        "probability": rounded(row.probability) if row.named else None,
        "support": meaning.supported_row(row),
        "images": row.images,
        "reason": shown(row.reason),
        "model": shown(slot.name),
    }


def slot(one: Slot) -> dict[str, Any]:
    """A model as far as it is known: by its name until it was read."""
    told: dict[str, Any] = {"name": shown(one.name), "ready": one.model is not None}
    return told | (_of_model(one.model) if one.model else {})


def _of_model(model: Model) -> dict[str, Any]:
    report = ExaminationPage(model, 0)
    facts = {name: shown(value) for name, value in facts_of(model).items()}
    return {
        "verdicts": [worded(x) for x in [*model.source_names, *VERDICTS, UNREADABLE]],
        "sources": list(map(called, model.source_names)),
        "before": report.before("images that are dropped here"),
        "facts": facts,
        "meanings": meaning.meanings(model, report.sizes()),
        "limits": list(meaning.LIMITS),
        "card": shown_card(model.card),
    }


def shown_card(found: Mapping[str, Any] | None) -> list[str]:
    """The lines of a model's card; none where its file has none."""
    return list(map(shown, card.markdown(found).splitlines())) if found else []


def record(held: Held) -> dict[str, Any]:
    """The line that `attribute` writes on an image."""
    assert held.found
    return held.found.exhibit.record


def pool_record(row: Attribution, one: Slot) -> dict[str, Any]:
    """The line that `attribute --pool` writes on several."""
    assert one.model
    return examination.record_of_pool(row, one.model)
