"""Images examined for someone who must defend the answer: a verdict each, its reason, a record.

Everything that an answer rests on is kept beside it: the file's SHA-256, what was done to the
image, the model's SHA-256, probabilities, score and threshold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints import card
from gan_fingerprints.attribution.attributor import Attributor, Examined
from gan_fingerprints.attribution.verdict import RULES, VERDICTS, Attribution, Rules
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.data.places import Place
from gan_fingerprints.examiner import evidence
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.networks.precision import FLOAT32
from gan_fingerprints.program import UserError
from gan_fingerprints.version import __version__, versions

UNREADABLE = "could not be read"
PROGRAM = f"gan-fingerprints {__version__}"
SCHEMA = 1  # of a line: result.schema.json, beside this file, says what it holds


@dataclass(frozen=True)
class Model:
    """A network and what identifies it.

    Attributes:
        file: its path, as it was named.
        sha256: of the file.
        network: kind of network.
        attributor: with this network; gives fingerprints where it makes them visible.
        provenance: what the file says of its origin.
        names_assumed: a line that says so, where the file does not name the sources; else empty.
        card: what the file says of how reliable the model is; see `card`.
    """

    file: str
    sha256: str
    network: str
    attributor: Attributor
    provenance: dict[str, Any]
    names_assumed: str
    card: dict[str, Any] | None = None

    @classmethod
    def load(
        cls, path: str | Path, flag: str, names: str | None = None, batch: int = 64,
        rules: Rules = RULES, **looks: Any,
    ) -> Model:  # fmt: skip
        """Reads a network file, as `Attributor.load` does.

        flag: what named it, for messages; looks: see `flags.looks_of`.

        Raises:
            UserError: no network that attributes images, or one of its sources has the name of a
                verdict.
        """
        from gan_fingerprints.networks import files

        precision = looks.get("precision", FLOAT32)
        loaded = files.attributing(path, flag, names, batch, precision)
        mistaken = set(VERDICTS).intersection(loaded.source_names or [])
        if mistaken:
            raise UserError(
                f"{flag} {path}: has a source named {mistaken.pop()!r}, which would be mistaken "
                "for a verdict; give other names with --source_names"
            )
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        shows = hasattr(loaded.network, "model_fingerprints")
        attributor = Attributor.of(loaded, batch, shows, rules, **looks)
        origin = loaded.provenance, loaded.names_assumed, loaded.card
        return cls(str(path), digest, loaded.network.name, attributor, *origin)

    @property
    def side(self) -> int:
        return self.attributor.resolution

    @property
    def source_names(self) -> list[str]:
        return self.attributor.source_names

    @property
    def calibration(self) -> Calibration | None:
        return self.attributor.calibration

    @property
    def fingerprints(self) -> np.ndarray | None:
        """Model fingerprints float32 [R, R, 3, sources], where the network makes them visible."""
        return self.attributor.model_fingerprints


def examine(
    model: Model, paths: Iterable[Place], thumbnails: int = 0
) -> Generator[Examined[Specimen], None, None]:
    """Yields all about each file, in order; of so many, from the first on, a small picture too."""
    with closing(examine_parts(model, paths, thumbnails)) as parts:
        for part in parts:
            yield from part


def examine_parts(
    model: Model, paths: Iterable[Place], thumbnails: int = 0,
    once: Callable[[Specimen], Specimen] | None = None,
) -> Generator[list[Examined[Specimen]], None, None]:  # fmt: skip
    """As `examine`, in the parts that the network is asked about; `once`: see `in_parts`."""

    def read(item: tuple[int, Place]) -> Specimen:
        return evidence.read(item[1], model.attributor.seeing, thumbnail=item[0] < thumbnails)

    return model.attributor.examine_parts(read, enumerate(paths), once)


def not_measured(one: Examined[Specimen], model: Model) -> list[str] | None:
    """What of an image lies outside of what the model was measured on; None if on nothing."""
    header = one.picture.header
    if not (model.card or {}).get("measured") or header is None:
        return None
    return card.limits(model.card, header.upright, header.quality)


def record(one: Examined[Specimen], model: Model) -> dict[str, Any]:
    """What is kept of one image: JSON that depends on the file, the model and the rules alone."""
    specimen, row, scale, rules = one.picture, one.row, model.calibration, model.attributor.rules
    header, used = specimen.header, row.error is None
    correlations = None
    if model.fingerprints is not None and one.logits is not None:
        # Enrolled sources, which come last, have no fingerprint to correlate with.
        known = model.source_names[: model.fingerprints.shape[3]]
        correlations = dict(zip(known, one.logits[: len(known)].tolist(), strict=True))
    return {
        "schema": SCHEMA,
        "path": str(specimen.path),
        "sha256": specimen.sha256,
        "format": header.format if header else None,
        "size": list(header.size) if header else None,
        "preprocessing": _preprocessing(one) if used else None,
        "model": {"file": model.file, "sha256": model.sha256, "network": model.network},
        "program": PROGRAM,
        "precision": model.attributor.precision,
        "probabilities": dict(row.probabilities) if used else None,
        "most_probable": row.most_probable,
        "probability": row.probability,
        "least_probability": rules.least_probability,
        "least_size": rules.least_size,
        "most_size": rules.most_size,
        **({"spread": row.spread, "agreement": row.agreement} if row.tiles else {}),
        **({"stable": row.stable, "turned_by": row.turned_by} if row.stable is not None else {}),
        **({"opinions": row.opinions} if row.opinions else {}),
        "score_name": scale.score if scale else None,
        "score": row.score,
        "threshold": scale.threshold if scale else None,
        **_ratios(row),
        **({} if (beyond := not_measured(one, model)) is None else {"not_measured": beyond}),
        "correlations": correlations,
        "verdict": row.predicted,
        "reason": row.reason,
        "error": row.error,
    }


def record_of_pool(row: Attribution, model: Model) -> dict[str, Any]:
    """What is kept of the verdict on a folder of images that are of one origin."""
    scale = model.calibration
    return {
        "schema": SCHEMA,
        "pool": str(row.path),
        "images": row.images,
        "agreement": row.agreement,
        "model": {"file": model.file, "sha256": model.sha256, "network": model.network},
        "program": PROGRAM,
        "precision": model.attributor.precision,
        "probabilities": dict(row.probabilities),
        "most_probable": row.most_probable,
        "probability": row.probability,
        "score": row.score,
        "threshold": scale.threshold if scale else None,
        **_ratios(row),
        "verdict": row.predicted,
        "reason": row.reason,
    }


def _ratios(row: Attribution) -> dict[str, Any]:
    """Where the network has likelihood ratios; see `Attribution`."""
    if row.log10_lr is None and row.log10_outside is None:
        return {}
    return {"log10_lr": row.log10_lr, "log10_outside": row.log10_outside}


def _preprocessing(one: Examined[Specimen]) -> dict[str, Any] | None:
    header, pixels = one.picture.header, one.picture.pixels
    if header is None or pixels is None:
        return None
    return evidence.preprocessing(header, pixels.shape[1], one.row.tiles)


def json_line(values: dict[str, Any]) -> bytes:
    """One line of UTF-8; what a file name holds beside that becomes an escape that JSON knows."""
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def rounded(probability: float | None) -> str | None:
    """A probability in four digits, never rounded to certainty; None for None."""
    if probability is None:
        return None
    text = f"{probability:.4f}"
    return {"1.0000": ">0.9999", "0.0000": "<0.0001"}.get(text, text)


def origin(
    model: Model, command: str, time: str | None = None, **more: object
) -> Mapping[str, object]:
    """What a report says about its own making.

    time: of the run, if it is not now; more: further facts, with _ for spaces.
    """
    rules = model.attributor.rules
    return {
        "time": time or datetime.now().astimezone().isoformat(timespec="seconds"),
        "program": PROGRAM,
        **versions(),
        "command": command,
        "precision of the network's layers": model.attributor.precision,
        "least probability of a named source": rules.least_probability,
        "least share of the network's side": rules.least_size,
        "most times the network's side": rules.most_size,
        **{name.replace("_", " "): fact for name, fact in more.items()},
    }
