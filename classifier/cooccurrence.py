"""The baseline of co-occurrences: descriptors and a linear discriminant, saved as a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from classifier.baseline_methods import Baseline, Images, Trial, best_of, trial_of
from gan_fingerprints.calibration import Calibration, calibrate
from gan_fingerprints.networks import files
from gan_fingerprints.networks.descriptors import descriptors, length
from gan_fingerprints.networks.discriminant import Discriminant, discriminants
from gan_fingerprints.networks.stored import StoredNetwork
from gan_fingerprints.perturbations import compress

SEED = 0  # of the copies
QUALITIES, SCALES = (50, 95), (0.75, 1.25)
KERNELS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


class Cooccurrence(Baseline):
    """Counts of neighbouring residuals (`descriptors`) and a linear discriminant.

    The covariance is shrunk, as many of the counts nearly follow from each other. Each training
    image counts three times: as it is, recompressed and resized. With the network goes its
    calibration, on the validation images.

    Attributes:
        validated: float [N, sources], its logits for the validation images, once it is fitted.
    """

    name = "cooccurrence"
    kept = Discriminant._fields
    shrinkages = (0.03, 0.1, 0.3)
    discriminant: Discriminant
    calibration: Calibration | None = None
    validated: np.ndarray

    def fit(self, train: Images, validation: Images) -> list[Trial]:
        x, tested = with_copies(train.pixels), descriptors(validation.pixels)
        labels = np.tile(train.labels, len(x) // len(train.labels))
        machines = discriminants(x, labels, train.sources, self.shrinkages)
        trials = []
        for shrinkage, machine in zip(self.shrinkages, machines, strict=True):
            answers = machine.answers(tested)[0].argmax(axis=1)
            trials.append(trial_of({"shrinkage": shrinkage}, answers, validation))
        best = best_of(trials)
        self.parameters = trials[best].parameters
        # Where images are fewer than numbers, likelihoods are beyond all bounds of temperatures.
        self.discriminant = machines[best].tempered(float(machines[best].answers(tested)[0].std()))
        self.validated, features = self.discriminant.answers(tested)
        self.calibration = calibrate(self.validated, features, validation.labels, "")
        return trials

    def scores(self, images: np.ndarray) -> np.ndarray:
        return self.discriminant.answers(descriptors(images))[0]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        if self.calibration is None:
            return super().probabilities(images)
        return self.calibration.probabilities(self.scores(images))

    def save(self, path: str | Path, header: dict[str, Any]) -> None:
        """Writes a network that the class of `networks.cooccurrence` takes."""
        provenance = header | {"parameters": self.parameters}
        names = provenance.pop("source_names")
        arguments = {
            "resolution": header["resolution"], "num_sources": len(names),
            "components": self.discriminant.components.shape[1],
        }  # fmt: skip
        scale = self.calibration and replace(self.calibration, checksum=header["validation_data"])
        arrays = self.discriminant._asdict()
        files.write(
            path, StoredNetwork(self.name, arguments, arrays, names, provenance, calibration=scale)
        )


def with_copies(pixels: np.ndarray) -> np.ndarray:
    """Descriptors of images uint8 [N, H, W, 3], of each as JPEG, and of each resized: [3·N, D]."""
    rng = np.random.default_rng(SEED)
    compressed, resized = [], []
    for image in pixels:
        compressed.append(compress(image, int(rng.integers(*QUALITIES, endpoint=True))))
        sizes = (round(side * rng.uniform(*SCALES)) for side in (image.shape[1::-1]))
        kernel = KERNELS[rng.integers(len(KERNELS))]
        resized.append(np.asarray(Image.fromarray(image).resize(tuple(sizes), kernel)))
    described = [descriptors(image[None]) for image in resized]  # each of its own size
    return np.concatenate([descriptors(pixels), descriptors(np.stack(compressed)), *described])


def load(path: str | Path, flag: str) -> tuple[Cooccurrence, dict[str, Any]]:
    """Reads what `save` wrote, and what goes beside it; UserError when it is something else."""
    (stored,) = files.read(path, flag, [Cooccurrence.name])
    sizes = length(), stored.arguments["num_sources"], stored.arguments["components"]
    shapes = Discriminant.shapes(*sizes)
    files.require_shapes(stored.arrays, shapes, f"{flag} {path}", Cooccurrence.name)
    method = Cooccurrence()
    method.discriminant = Discriminant(**{name: stored.arrays[name] for name in method.kept})
    method.parameters = stored.provenance.get("parameters", {})
    method.calibration = stored.calibration
    return method, {"source_names": stored.source_names, **stored.arguments}
