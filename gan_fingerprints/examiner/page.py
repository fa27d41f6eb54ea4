"""The report of an examination: one page that can be printed, filed, and argued with."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, Attribution
from gan_fingerprints.calibration import UNKNOWN
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.examiner.examination import UNREADABLE, Model, rounded
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.pictures.html_page import Page

UNFOLDED = 5  # images up to which their sheets are open
LIMITS = (
    "A verdict names one of the sources that the model knows. A source that it was not trained "
    "on, another program or another training of the same program, cannot be named, whatever made "
    "the image; its images may get the name of a source that the model knows. A source of "
    "photographs is no exception: an image that gets its name can still be generated.",
    "A probability is the model's, shared out among its sources so that they add up to 1. It takes "
    "the sources to be as common as in the model's training data. It is not the probability that a "
    "person, a camera or a program made the image, and weighs no other evidence.",
    "How often the model is wrong is not in its file. It has to be measured, on images of known "
    "origin that it was not trained on, and that went through the same processing as the ones "
    "examined here.",
    "Resizing, cropping, compression, filters and screenshots change or remove what the model "
    "looks at, and may lead to any of the verdicts.",
    "The model saw each image as described under Files and nothing else of it: neither its "
    "name, nor its metadata, nor detail that is lost in resizing or between tiles.",
)
FINGERPRINTS = (
    "The fingerprint of an image is what is left of it when the model has rebuilt it as well as it "
    "can. Multiplied point by point with the fingerprint of a source it gives the response to that "
    "source: red points speak for the source, blue ones against it. The sum of all points is the "
    "correlation (times a constant), and the correlations alone decide the probabilities."
)


class ExaminationPage:
    """Collects all about each image, then writes the page.

    Args:
        model: what the images are examined with.
        sheets: the number of images, from the first on, that are shown in full.
    """

    def __init__(self, model: Model, sheets: int) -> None:
        self.model, self.sheets = model, sheets
        self.counts: Counter[str] = Counter()
        self.pools: list[Attribution] = []
        self._records: list[dict[str, Any]] = []
        self._thumbnails: dict[int, bytes] = {}
        self._pictures: dict[int, list[tuple[bytes, str]]] = {}

    def add(self, one: Examined[Specimen], record: dict[str, Any]) -> None:
        """Takes the next image, and its `examination.record`."""
        i = len(self._records)
        self._records.append(record)
        self.counts[one.row.predicted or UNREADABLE] += 1
        # Kept as small files, not as arrays: a report may be of thousands of images.
        if i < self.sheets and one.picture.thumbnail and one.picture.pixels is not None:
            self._thumbnails[i] = one.picture.thumbnail
            seen = png(images.grid(one.picture.pixels)), self._caption(one.picture.pixels)
            self._pictures[i] = [
                (one.picture.thumbnail, "the image"), seen, *self._fingerprints(one)
            ]  # fmt: skip

    def _caption(self, seen: np.ndarray) -> str:
        tiles, side = len(seen), seen.shape[1]
        if self.model.attributor.least_side:
            many = f"{tiles} tiles" if tiles > 1 else "one tile"
            return f"as the model saw it, in {many} of {side} pixels"
        return f"as the model saw it, {side} pixels"

    def _sizes(self) -> str:
        """Which sizes of images are answered inconclusive."""
        rules, attributor = self.model.attributor.rules, self.model.attributor
        if attributor.least_side:
            return f"has less than {attributor.least_side} pixels"
        return (
            f"has less than {rules.least_size:g}, or more than {rules.most_size:g} times, the "
            f"model's {self.model.side} pixels"
        )

    def _fingerprints(self, one: Examined[Specimen]) -> Iterator[tuple[bytes, str]]:
        if one.fingerprint is None or one.logits is None or self.model.fingerprints is None:
            return
        yield png(fingerprint_pictures.of_image(one.fingerprint)), "its fingerprint"
        responses = fingerprint_pictures.contributions(one.fingerprint, self.model.fingerprints)
        for name, shown, logit in zip(self.model.source_names, responses, one.logits, strict=True):
            yield png(shown), f"response to {name}: {logit:.4g}"

    def page(self, origin: Mapping[str, object]) -> Page:
        """The page. origin: what else is to be said about how it was made."""
        number = len(self._records)
        page = Page(
            f"The sources of {number} image{'s' if number != 1 else ''}",
            f"What the model {self.model.file} says of where they come from, and what that means.",
        )
        self._result(page)
        self._meaning(page)
        if self._pictures:
            self._each(page)
        self._files(page)
        self._model(page)
        page.section("How this page was made")
        page.table(["what", "value"], origin.items())
        return page

    def _result(self, page: Page) -> None:
        page.section("Result")
        verdicts = [*self.model.source_names, UNKNOWN, INCONCLUSIVE, UNREADABLE]
        page.facts({name: self.counts[name] for name in verdicts})
        if self.model.calibration is None:
            page.warning(
                "The model has no threshold for unknown sources. It cannot answer "
                f"“{UNKNOWN}”: images of sources that it does not know get the names of others, "
                "also with high probabilities, or are inconclusive."
            )
        if self.model.names_assumed:
            page.warning(self.model.names_assumed)
        if self.counts[UNREADABLE]:
            number = self.counts[UNREADABLE]
            page.warning(f"{number} of the files {UNREADABLE}; the table says why.")
        if self.pools:
            page.text(
                "The images of each folder are taken to be of one origin. The verdict on it comes "
                "from the mean of their answers."
            )
            pools = [
                [str(x.path), x.predicted, rounded(x.probability) if x.named else None, x.images,
                 x.reason]
                for x in self.pools
            ]  # fmt: skip
            header = ["folder", "verdict", "probability", "images", "reason"]
            page.table(header, pools, numbers=[2, 3])
        rows = []
        for i, one in enumerate(self._records):
            # A probability beside "unknown" would be read as that of the verdict.
            named = one["verdict"] in self.model.source_names
            probability = rounded(one["probability"]) if named else None
            verdict = one["verdict"] or UNREADABLE
            rows.append([one["path"], verdict, probability, self._thumbnails.get(i), one["reason"]])
        page.table(["file", "verdict", "probability", "image", "reason"], rows, numbers=[2])
        if len(self._records) > self.sheets:
            page.text(f"Pictures are shown of the first {self.sheets}.")

    def _meaning(self, page: Page) -> None:
        page.section("What a verdict means")
        scale, rules = self.model.calibration, self.model.attributor.rules
        named = (
            f"Of the {len(self.model.source_names)} sources that the model knows, the image is "
            f"most like those of this one, with a probability of {rules.least_probability:g} or "
            "more"
        )
        unknown = "Not used: this model has no threshold for unknown sources."
        if scale:
            named += ", and its score is not below the threshold"
            unknown = (
                f"Its score ({scale.score}) is below {scale.threshold:.6g}: it is less like the "
                f"sources that the model knows than {1 - scale.false_alarms:.1%} of their own "
                "images were when the threshold was set. So about "
                f"{scale.false_alarms:.1%} of the images of known sources get this verdict "
                "wrongly, not equally of each source: in this program's own study, of real "
                "photographs more and of generated images less. How many images of other "
                "sources escape it, the threshold does not say."
            )
        meanings = {
            "The name of a source": f"{named}.",
            UNKNOWN.capitalize(): unknown,
            INCONCLUSIVE.capitalize(): (
                "No source has that probability, or the shorter side of the image "
                f"{self._sizes()}. "
                "The image should not be used for or against any source."
            ),
            UNREADABLE.capitalize(): (
                "Not an image, damaged, or not accessible. Nothing is said of it."
            ),
        }
        for name, *texts in (*meanings.items(), ("Limits", *LIMITS)):
            page.heading(name)
            for text in texts:
                page.text(text)

    def _each(self, page: Page) -> None:
        page.section("Each image")
        if self.model.fingerprints is not None:
            page.text(FINGERPRINTS)
        for i, pictures in self._pictures.items():
            one = self._records[i]
            title = f"{one['path']}: {one['verdict']}"
            if few := len(self._pictures) <= UNFOLDED:
                page.heading(title)
            with nullcontext() if few else page.details(title):
                page.pictures(pictures, pixelated=True)
                page.text(f"{one['verdict']}: {one['reason']}.")
                self._sources(page, one)

    def _sources(self, page: Page, one: dict[str, Any]) -> None:
        rows = [[name, rounded(p)] for name, p in one["probabilities"].items()]
        header = ["source", "probability"]
        if one["correlations"]:
            header.append("correlation")
            for row, value in zip(rows, one["correlations"].values(), strict=True):
                row.append(f"{value:.5g}")
        page.table(header, rows, numbers=[1, 2])

    def _files(self, page: Page) -> None:
        page.section("Files")
        rows = [[one["path"], _treated(one), one["sha256"]] for one in self._records]
        page.table(["file", "what was done before the model saw it", "SHA-256"], rows)
        names = self.model.source_names
        rows = [
            [one["path"], *(rounded(one["probabilities"][name]) for name in names)]
            for one in self._records
            if one["probabilities"]
        ]
        with page.details("Probabilities of all sources"):
            page.table(["file", *names], rows, numbers=range(1, 1 + len(names)))

    def _model(self, page: Page) -> None:
        page.section("The model")
        page.table(["what", "value"], facts_of(self.model).items())
        if self.model.fingerprints is not None:
            shown = fingerprint_pictures.of_models(self.model.fingerprints)
            pairs = zip(map(png, shown), self.model.source_names, strict=True)
            page.heading("Model fingerprints")
            page.pictures(pairs, pixelated=True)


def _treated(one: dict[str, Any]) -> str | None:
    """What was done to an image; of one that could not be read, what it claims to be."""
    if one["preprocessing"]:
        return one["preprocessing"]["in_words"]
    return one["size"] and f"{one['format']} of {one['size'][0]}×{one['size'][1]} pixels"


def facts_of(model: Model) -> dict[str, object]:
    """What identifies a model, and what its file says of how it was made."""
    facts: dict[str, object] = {
        "file": model.file,
        "SHA-256": model.sha256,
        "network": f"{model.network}, {model.side}×{model.side} pixels",
        "sources": ", ".join(model.source_names),
    }
    if scale := model.calibration:
        facts |= {
            "threshold for unknown sources": f"{scale.score} {scale.threshold:.6g}",
            "share of known images that it rejects": f"{scale.false_alarms:.1%}",
            "temperature of the probabilities": f"{scale.temperature:.6g}",
            "checksum of the validation images that set both": scale.checksum,
        }
    else:
        facts["threshold for unknown sources"] = "none in this file"
    return facts | {f"origin: {name}": value for name, value in _flat(model.provenance)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}, ")
        else:
            listed = isinstance(value, list)
            yield f"{prefix}{name}", ", ".join(map(str, value)) if listed else value


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
