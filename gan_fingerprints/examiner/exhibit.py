"""All that is shown of one examined image: its record, and its pictures as small files.

The report and the page of `gan-fingerprints page` show the same, in the same words.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.verdict import called, conflict_of
from gan_fingerprints.examiner import maps, meaning
from gan_fingerprints.examiner.evidence import Specimen, png
from gan_fingerprints.examiner.examination import Model, rounded
from gan_fingerprints.likelihood import verbal
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures

IN_TABLE = 160  # pixels of a picture in the table
UNSTABLE, CONFLICTING, BEYOND = 0, 1, 2  # marks
MARKS = {
    UNSTABLE: "unstable",
    CONFLICTING: "conflicting opinions",
    BEYOND: "unlike what was measured",
}
Picture = tuple[bytes, str]
"""A file, and what it shows."""


@dataclass(frozen=True)
class Exhibit:
    """What is shown of an image.

    Attributes:
        record: its `examination.record`.
        marks: numbers of `MARKS`.
        thumbnail: JPEG for a table; empty where there is none.
        pictures: of the image, its map, what the model saw, and fingerprints, where there are any.
    """

    record: dict[str, Any]
    marks: tuple[int, ...] = ()
    thumbnail: bytes = b""
    pictures: tuple[Picture, ...] = ()


def exhibit_of(
    one: Examined[Specimen], record: dict[str, Any], model: Model, full: bool = True
) -> Exhibit:
    """The exhibit of an examined image; `full` with pictures, where it has a thumbnail."""
    conflicting = bool(conflict_of(one.row, model.attributor.rules))
    marks = [UNSTABLE] * bool(record.get("turned_by")) + [CONFLICTING] * conflicting
    marks += [BEYOND] * bool(record.get("not_measured"))
    if not full or not one.picture.thumbnail or one.picture.pixels is None:
        return Exhibit(record, tuple(marks))
    pictures = tuple(_pictures(one, model))
    return Exhibit(record, tuple(marks), smaller(one.picture.thumbnail), pictures)


def _pictures(one: Examined[Specimen], model: Model) -> Iterator[Picture]:
    assert one.picture.thumbnail
    assert one.picture.pixels is not None
    yield one.picture.thumbnail, "the image"
    yield from maps.of(one)
    yield png(images.grid(one.picture.pixels)), _seen(one.picture.pixels, model)
    if one.fingerprint is None or one.logits is None or model.fingerprints is None:
        return
    yield png(fingerprint_pictures.of_image(one.fingerprint)), "its fingerprint"
    responses = fingerprint_pictures.contributions(one.fingerprint, model.fingerprints)
    for name, shown, logit in zip(model.source_names, responses, one.logits, strict=True):
        yield png(shown), f"response to {name}: {logit:.4g}"


def _seen(seen: np.ndarray, model: Model) -> str:
    tiles, side = len(seen), seen.shape[1]
    if model.attributor.least_side:
        many = f"{tiles} tiles" if tiles > 1 else "one tile"
        return f"as the model saw it, in {many} of {side} pixels"
    return f"as the model saw it, {side} pixels"


def smaller(thumbnail: bytes) -> bytes:
    """A JPEG for the table, of a larger one."""
    with Image.open(io.BytesIO(thumbnail)) as image:
        if max(image.size) <= IN_TABLE:
            return thumbnail
        image.thumbnail((IN_TABLE, IN_TABLE))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
        return file.getvalue()


def ratio_of(record: Mapping[str, Any]) -> float | None:
    """The log10 LR of a record's most probable source; None where there is none."""
    return (record.get("log10_lr") or {}).get(record["most_probable"])


def support_of(record: Mapping[str, Any]) -> str | None:
    """The ratios of a record whose verdict names a source, with their words; None of others."""
    if record["verdict"] is None or record["verdict"] != record["most_probable"]:
        return None
    return meaning.supported(ratio_of(record), record.get("log10_outside"))


def reason_of(record: Mapping[str, Any]) -> str:
    """Why the verdict is what it is, as a sentence."""
    return f"{record['reason']}."[:1].upper() + f"{record['reason']}."[1:]


def warning_of(record: Mapping[str, Any]) -> str | None:
    """In what the image is unlike all that the model was measured on, if in anything."""
    beyond = record.get("not_measured")
    if not beyond:
        return None
    return f"how reliable the model is for such an image is not known: {'; '.join(beyond)}."


def worth_of(record: Mapping[str, Any], sources: int) -> Iterator[str]:
    """What the evidence is worth, in sentences, where the file of the model says how to tell.

    sources: how many the model knows.
    """
    likely = record["most_probable"]
    # Beside another verdict, what speaks for one source would be read as if it were named.
    if (lr := ratio_of(record)) is not None and record["verdict"] == likely:
        yield meaning.stated(lr, likely, sources)
    if (outside := record.get("log10_outside")) is not None:
        yield meaning.stated_outside(outside)


def sources_of(record: Mapping[str, Any]) -> tuple[list[str], list[Sequence[object]]]:
    """Head and rows of a table of what speaks for each source."""
    of_each = record["probabilities"]
    header = ["source", "probability"]
    columns: list[Sequence[object]] = [list(map(rounded, of_each.values()))]
    for family, shares in (record.get("opinions") or {}).items():
        header.append(f"by {family} alone")
        columns.append([rounded(shares.get(name)) for name in of_each])
    if ratios := record.get("log10_lr"):
        header += ["log10 LR", "in words"]
        found = [ratios.get(name) for name in of_each]  # none of enrolled ones
        columns.append([None if x is None else f"{x:.2f}" for x in found])
        columns.append([None if x is None else verbal(x) for x in found])
    if correlations := record["correlations"]:
        header.append("correlation")
        found = [correlations.get(name) for name in of_each]
        columns.append([None if x is None else f"{x:.5g}" for x in found])
    return header, list(zip(map(called, of_each), *columns, strict=True))
