"""Images examined for someone who must defend the answer: a verdict each, its reason, a record.

Everything that an answer rests on is kept beside it: the file's SHA-256, what was done to the
image, the model's SHA-256, probabilities, score and threshold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints.attribution.attributor import Attribution, Attributor, chunks_ahead, row_of
from gan_fingerprints.calibration import UNKNOWN, Calibration
from gan_fingerprints.examiner import evidence
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.networks.files import constructors
from gan_fingerprints.program import UserError
from gan_fingerprints.version import __version__

INCONCLUSIVE = "inconclusive"
UNREADABLE = "could not be read"
PROGRAM = f"gan-fingerprints {__version__}"


@dataclass(frozen=True)
class Rules:
    """When an image is not given a name.

    Attributes:
        least_probability: the most probable source must have this much.
        least_size: the shorter side of the image must have this share of the network's.
    """

    least_probability: float = 0.9
    least_size: float = 0.5


class Verdict(NamedTuple):
    """A source's name, "unknown", "inconclusive", or None where there is none; and why."""

    name: str | None
    reason: str


def verdict_of(
    row: Attribution,
    size: tuple[int, int],
    side: int,
    rules: Rules,
    calibration: Calibration | None = None,
) -> Verdict:
    """The verdict on an image: too small, like no known source, not clear enough, or a name.

    Args:
        row: what the network says of it.
        size: width and height of the image.
        side: of the network.
        rules, calibration: the bounds; what lies on one passes.
    """
    if row.error is not None:
        return Verdict(None, row.error)
    likely = str(row.most_probable)
    if min(size) < rules.least_size * side:
        return Verdict(INCONCLUSIVE, f"its shorter side has {min(size)} pixels, less than "
                       f"{rules.least_size:g} of the network's {side}")  # fmt: skip
    passed = ""
    if calibration is not None and row.score is not None:
        score, threshold = apart(row.score, calibration.threshold)
        found = f"its score ({calibration.score} {score})"
        if row.score < calibration.threshold:
            return Verdict(UNKNOWN, f"{found} is below the threshold {threshold}: it is like none "
                           "of the sources the model knows")  # fmt: skip
        passed = f"; {found} is not below the threshold {threshold}"
    probability = float(row.probabilities[likely] or 0.0)
    if probability < rules.least_probability:
        found, least = apart(probability, rules.least_probability)
        return Verdict(INCONCLUSIVE, f"its most probable source, {likely}, has probability {found},"
                       f" less than {least}")  # fmt: skip
    number = len(row.probabilities)
    return Verdict(likely, f"the most probable of the {number} sources the model knows{passed}")


def apart(value: float, bound: float) -> tuple[str, str]:
    """Two numbers as texts, with as many digits as it takes to see that they differ."""
    for digits in (4, 6, 9, 17):
        texts = f"{value:.{digits}g}", f"{bound:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


@dataclass(frozen=True)
class Model:
    """A network and what identifies it.

    Attributes:
        file: its path, as it was named.
        sha256: of the file.
        network: kind of network.
        attributor: with this network; gives fingerprints where it makes them visible.
        fingerprints: model fingerprints float32 [R, R, 3, sources], where there are such.
        provenance: what the file says of its origin.
        names_assumed: a line that says so, where the file does not name the sources; else empty.
    """

    file: str
    sha256: str
    network: str
    attributor: Attributor
    fingerprints: np.ndarray | None
    provenance: dict[str, Any]
    names_assumed: str

    @classmethod
    def load(cls, path: str | Path, flag: str, names: str | None = None, batch: int = 64) -> Model:
        """Reads a network file; TensorFlow should be loaded.

        Args:
            path: the file.
            flag: what named it, for messages.
            names, batch: see `Attributor.load`.

        Raises:
            UserError: no network that attributes images, or one of its sources has the name of a
                verdict.
        """
        from gan_fingerprints.networks import files

        loaded = files.load(path, constructors(), flag, names)
        mistaken = {UNKNOWN, INCONCLUSIVE}.intersection(loaded.source_names or [])
        if mistaken:
            raise UserError(
                f"{flag} {path}: has a source named {mistaken.pop()!r}, which would be mistaken "
                "for a verdict; give other names with --source_names"
            )
        network: Any = loaded.network
        shows = hasattr(network, "outputs")
        weight = np.asarray(network.model_fingerprints.weight) if shows else None
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        attributor = Attributor.of(loaded, batch, fingerprints=shows)
        return cls(str(path), digest, network.name, attributor, weight, loaded.provenance,
                   loaded.names_assumed)  # fmt: skip

    @property
    def side(self) -> int:
        return self.attributor.resolution

    @property
    def source_names(self) -> list[str]:
        return self.attributor.source_names

    @property
    def calibration(self) -> Calibration | None:
        return self.attributor.calibration


@dataclass(frozen=True)
class Examined:
    """All about one image.

    Attributes:
        specimen: the file.
        row: what the network says of it.
        verdict: what follows.
        logits: float32 [sources], or None beside an error. Of visNet they are the correlations of
            the image fingerprint with the model fingerprints.
        fingerprint: float32 [R, R, 3] in [-2, 2], where the network makes it visible.
    """

    specimen: Specimen
    row: Attribution
    verdict: Verdict
    logits: np.ndarray | None = None
    fingerprint: np.ndarray | None = None

    @property
    def named(self) -> bool:
        """Whether the verdict is a source."""
        return self.verdict.name not in (None, UNKNOWN, INCONCLUSIVE)

    @property
    def probability(self) -> float | None:
        """That of the most probable source."""
        likely = self.row.most_probable
        return None if likely is None else self.row.probabilities[likely]


def examine(
    model: Model, paths: Sequence[Path], rules: Rules, thumbnails: int = 0
) -> Generator[Examined, None, None]:
    """Yields what is found of each file, in order, as results arrive; threads read ahead.

    thumbnails: for so many of the files, from the first on, a small picture is kept.
    """

    def read(item: tuple[int, Path]) -> Specimen:
        return evidence.read(item[1], model.side, thumbnail=item[0] < thumbnails)

    batch = model.attributor.batch
    with closing(chunks_ahead(read, enumerate(paths), batch)) as chunks:
        for chunk in chunks:
            yield from _examine_chunk(model, chunk, rules)


def _examine_chunk(model: Model, chunk: Sequence[Specimen], rules: Rules) -> Iterator[Examined]:
    usable = [specimen.pixels for specimen in chunk if specimen.pixels is not None]
    answers = model.attributor.answers(usable) if usable else None
    i = 0
    for specimen in chunk:
        if specimen.pixels is None or specimen.header is None or answers is None:
            error = specimen.error or "cannot be read"
            row = row_of(specimen.path, error, model.source_names)
            yield Examined(specimen, row, verdict_of(row, (0, 0), model.side, rules))
            continue
        row = model.attributor.row(specimen.path, answers.probabilities[i], answers.scores[i])
        size = specimen.header.upright
        verdict = verdict_of(row, size, model.side, rules, model.calibration)
        shown = None if answers.fingerprints is None else answers.fingerprints[i]
        yield Examined(specimen, row, verdict, answers.logits[i], shown)
        i += 1


def record(found: Examined, model: Model, rules: Rules) -> dict[str, Any]:
    """What is kept of one image: JSON that depends on the file, the model and the rules alone."""
    specimen, row, calibration = found.specimen, found.row, model.calibration
    header, used = specimen.header, row.error is None
    correlations = None
    if model.fingerprints is not None and found.logits is not None:
        correlations = dict(zip(model.source_names, found.logits.tolist(), strict=True))
    return {
        "path": str(specimen.path),
        "sha256": specimen.sha256,
        "format": header.format if header else None,
        "size": list(header.size) if header else None,
        "preprocessing": evidence.preprocessing(header, model.side) if used and header else None,
        "model": {"file": model.file, "sha256": model.sha256, "network": model.network},
        "program": PROGRAM,
        "probabilities": dict(row.probabilities) if used else None,
        "most_probable": row.most_probable,
        "probability": found.probability,
        "least_probability": rules.least_probability,
        "least_size": rules.least_size,
        "score_name": calibration.score if calibration else None,
        "score": row.score,
        "threshold": calibration.threshold if calibration else None,
        "correlations": correlations,
        "verdict": found.verdict.name,
        "reason": found.verdict.reason,
        "error": row.error,
    }


def json_line(values: dict[str, Any]) -> bytes:
    """One line of UTF-8; what a file name holds beside that becomes an escape that JSON knows."""
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def rounded(probability: float | None) -> str | None:
    """A probability in four digits, never rounded to certainty; None for None."""
    if probability is None:
        return None
    text = f"{probability:.4f}"
    return {"1.0000": ">0.9999", "0.0000": "<0.0001"}.get(text, text)
