"""One verdict on several images that are known to be of one origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints.attribution.attributor import Attributor, Examined
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, Attribution, verdict_of


class Pools:
    """Images by the folder that they lie in, whose answers are averaged.

    The mean of the logits is taken, not their sum: images of one origin have much in common, and
    ten of them are not ten times the evidence. Images without an answer (unreadable, of a size or
    kind that the network cannot judge) are left out.
    """

    def __init__(self, attributor: Attributor) -> None:
        self.attributor = attributor
        self._images: dict[Path, list[tuple[Attribution, np.ndarray | None]]] = {}

    def add(self, one: Examined[Any]) -> None:
        """Takes the next image."""
        folder = one.row.path.parent if one.row.path else Path()
        self._images.setdefault(folder, []).append((one.row, one.logits))

    def rows(self) -> list[Attribution]:
        """One row for each folder, in the order in which they came; `path` is the folder."""
        return [self._row(folder, images) for folder, images in self._images.items()]

    def _row(
        self, folder: Path, images: Sequence[tuple[Attribution, np.ndarray | None]]
    ) -> Attribution:
        names, scale = self.attributor.source_names, self.attributor.calibration
        usable = [(row, x) for row, x in images if x is not None and not row.unfit]
        if not usable:
            nothing = Attribution(folder, INCONCLUSIVE, dict.fromkeys(names), images=0)
            reason = f"no image of {len(images)} can be judged: {images[0][0].reason}"
            return replace(nothing, reason=reason)
        logits = np.mean([x for _, x in usable], axis=0)
        probabilities = self.attributor.probabilities(logits[None])[0]
        likely = names[int(logits.argmax())]
        score = float(np.mean([row.score for row, _ in usable])) if scale else None
        row = Attribution(
            folder, likely, dict(zip(names, probabilities.tolist(), strict=True)),
            score=score, images=len(usable),
            agreement=float(np.mean([row.most_probable == likely for row, _ in usable])),
            enrolled=self.attributor.enrolled.get(likely),
            precision=self.attributor.said_precision,
        )  # fmt: skip
        row = self.attributor.with_ratios(row, logits)
        name, reason = verdict_of(row, self.attributor.rules, scale)
        left_out = len(images) - len(usable)
        of = f"{len(usable)} image{'s' if len(usable) > 1 else ''}"
        of += f", {left_out} left out" if left_out else ""
        return replace(row, predicted=name, reason=f"{of}, {row.agreement:.0%} agree: {reason}")
