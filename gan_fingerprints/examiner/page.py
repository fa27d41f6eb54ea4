"""The report of an examination: one page that can be printed, filed, and argued with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.verdict import VERDICTS, Attribution, called, worded
from gan_fingerprints.calibration import UNKNOWN
from gan_fingerprints.examiner import meaning
from gan_fingerprints.examiner.evidence import Specimen, png
from gan_fingerprints.examiner.examination import UNREADABLE, Model, rounded
from gan_fingerprints.examiner.exhibit import (
    MARKS,
    Exhibit,
    exhibit_of,
    ratio_of,
    reason_of,
    sources_of,
    support_of,
    warning_of,
    worth_of,
)
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.pictures.choosing import Row
from gan_fingerprints.pictures.html_page import Page

SHEETS = 50  # images that are shown in full, unless more are asked for
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
        self._exhibits: list[Exhibit] = []

    def add(self, one: Examined[Specimen], record: dict[str, Any]) -> None:
        """Takes the next image, and its `examination.record`."""
        # Kept as small files, not as arrays: a report may be of thousands of images.
        self.put(exhibit_of(one, record, self.model, len(self._exhibits) < self.sheets))

    def put(self, exhibit: Exhibit) -> None:
        """Takes the next image."""
        if len(self._exhibits) >= self.sheets:
            exhibit = Exhibit(exhibit.record, exhibit.marks)
        self._exhibits.append(exhibit)
        self.counts[exhibit.record["verdict"] or UNREADABLE] += 1

    @property
    def _records(self) -> list[dict[str, Any]]:
        return [exhibit.record for exhibit in self._exhibits]

    def sizes(self) -> str:
        """Which sizes of images are answered inconclusive."""
        rules, attributor = self.model.attributor.rules, self.model.attributor
        if attributor.least_side:
            return f"has less than {attributor.least_side} pixels"
        return (
            f"has less than {rules.least_size:g}, or more than {rules.most_size:g} times, the "
            f"model's {self.model.side} pixels"
        )

    @property
    def has_ratios(self) -> bool:
        """Whether the model gave any image likelihood ratios."""
        return any(one.get("log10_lr") for one in self._records)

    def page(self, origin: Mapping[str, object]) -> Page:
        """The page. origin: what else is to be said about how it was made."""
        number = len(self._records)
        images = f"{number} image{'s' if number != 1 else ''}"
        page = Page(
            f"The sources of {images}",
            f"What the model {self.model.file} says of where they come from, and what that means.",
        )
        page.box("Before anything is made of this", self.before(images))
        self._result(page)
        if any(exhibit.pictures for exhibit in self._exhibits):
            self._each(page)
        self._meaning(page)
        self._files(page)
        self._model(page)
        page.section("How this page was made")
        page.table(["what", "value"], origin.items())
        return page

    def before(self, images: str) -> dict[str, list[str]]:
        """What was asked, of which images, and how far the answer goes."""
        model = self.model
        names = ", ".join(map(called, model.source_names))
        stored = model.attributor.likelihoods is not None  # images that fit no source get none
        return {
            "What was asked": [
                f"Which of {len(model.source_names)} sources each of {images} comes from: {names}; "
                "or whether it is like none of them, or too little can be said."
            ],
            "The model": [
                f"{model.file}, a network “{model.network}” for {model.side} pixels. "
                f"SHA-256: {model.sha256}."
            ],
            "How reliable it is": [
                *meaning.reliability(model),
                meaning.RATIOS if stored or self.has_ratios else meaning.NO_RATIOS,
            ],
            "What a verdict does not mean": [*meaning.NOT_MEANT],
        }

    def _result(self, page: Page) -> None:
        page.section("Result")
        verdicts = [*self.model.source_names, *VERDICTS, UNREADABLE]
        page.facts({worded(name): self.counts[name] for name in verdicts})
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
            self._pools(page)
        self._table(page, verdicts)
        if len(self._records) > self.sheets:
            page.text(f"Pictures are shown of the first {self.sheets} images as they were given.")

    def _pools(self, page: Page) -> None:
        page.text(
            "The images of each folder are taken to be of one origin. The verdict on it comes "
            "from the mean of their answers."
        )
        ratios = any(x.log10_lr for x in self.pools)
        pools = [
            [str(x.path), worded(x.predicted), *([meaning.supported_row(x)] if ratios else ()),
             rounded(x.probability) if x.named else None, x.images, x.reason]
            for x in self.pools
        ]  # fmt: skip
        support = ["support"] if ratios else []
        header = ["folder", "verdict", *support, "probability", "images", "reason"]
        page.table(header, pools, long=True)

    def _table(self, page: Page, verdicts: Sequence[str]) -> None:
        """A row for each image, with which can be chosen among them."""
        support = ["support"] if self.has_ratios else []
        header = ["image", "verdict", *support, "probability", "file", "reason"]
        rows = [self._row(exhibit, verdicts) for exhibit in self._exhibits]
        filters = {
            "verdict": [f"{worded(name)} ({self.counts[name]})" for name in verdicts],
            "most like": [called(name) for name in self.model.source_names],
        }
        found = {mark for row in rows for mark in row.marks}
        orders = {"verdict": (0, 1), "probability, highest first": (1, -1),
                  "probability, lowest first": (1, 1)}  # fmt: skip
        if self.has_ratios:
            orders |= {"support, strongest first": (2, -1), "support, weakest first": (2, 1)}
        page.chosen(header, rows, filters, {x: MARKS[x] for x in sorted(found)}, orders)

    def _row(self, exhibit: Exhibit, verdicts: Sequence[str]) -> Row:
        one, names = exhibit.record, self.model.source_names
        verdict, likely = one["verdict"] or UNREADABLE, one["most_probable"]
        # A number beside "unknown" would be read as that of the verdict.
        named = verdict in names
        cells = [
            exhibit.thumbnail or "", worded(verdict),
            *([support_of(one)] if self.has_ratios else ()),
            rounded(one["probability"]) if named else None, one["path"], one["reason"],
        ]  # fmt: skip
        kinds = verdicts.index(verdict), names.index(likely) if likely in names else -1
        return Row(cells, kinds, exhibit.marks, (kinds[0], one["probability"], ratio_of(one)))

    def _meaning(self, page: Page) -> None:
        page.section("What a verdict means")
        meanings = meaning.meanings(self.model, self.sizes())
        for name, text in meanings.items():
            page.heading(name)
            page.text(text)
        page.heading("Limits")
        for text in (*meaning.LIMITS, *meaning.reliability(self.model)):
            page.text(text)

    def _each(self, page: Page) -> None:
        page.section("Each image")
        if self.model.fingerprints is not None:
            page.text(FINGERPRINTS)
        for i, exhibit in enumerate(self._exhibits):
            if exhibit.pictures:
                self._sheet(page, i, exhibit)

    def _sheet(self, page: Page, i: int, exhibit: Exhibit) -> None:
        one = exhibit.record
        with page.one(i):
            page.heading(worded(one["verdict"]))
            page.path(one["path"])
            page.text(reason_of(one))
            if warning := warning_of(one):
                page.warning(warning)
            for sentence in worth_of(one, len(self.model.source_names)):
                page.text(sentence)
            page.pictures(exhibit.pictures, pixelated=True, large=True)
            header, rows = sources_of(one)
            page.table(header, rows, long=len(header) > 3)

    def _files(self, page: Page) -> None:
        page.section("Files")
        rows = [[one["path"], treated(one), one["sha256"], _shares(one)] for one in self._records]
        header = ["file", "what was done before the model saw it", "SHA-256", "probabilities"]
        with page.details("Each file, its hash and its probabilities"):
            page.table(header, rows, long=True)

    def _model(self, page: Page) -> None:
        page.section("The model")
        page.table(["what", "value"], facts_of(self.model).items())
        if self.model.fingerprints is not None:
            shown = fingerprint_pictures.of_models(self.model.fingerprints)
            pairs = zip(map(png, shown), self.model.source_names, strict=True)
            page.heading("Model fingerprints")
            page.pictures(pairs, pixelated=True)


def _shares(one: Mapping[str, Any]) -> str | None:
    """The probabilities of all sources."""
    shares = (one["probabilities"] or {}).items()
    return ", ".join(f"{called(name)} {rounded(x)}" for name, x in shares) or None


def treated(one: dict[str, Any]) -> str | None:
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
        "sources": ", ".join(map(called, model.source_names)),
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
