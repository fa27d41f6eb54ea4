"""How large the study is: the numbers of `scales/*.yaml`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.gans import GANS
from gan_fingerprints.program import UserError, existing_file

FOLDER = Path(__file__).resolve().parent / "scales"
PROGRAMS = (*GANS, "classifier", "residual", "visnet", "immunize", "baselines")


@dataclass(frozen=True)
class Scale:
    """Every number that differs between scales.

    Attributes:
        name: of the file.
        resolution: side of all images, in pixels.
        jobs: steps at the same time unless the user says otherwise.
        photos: real images that GANs are trained on (`training`), and that they never see
            (`held_out`), which real validation and testing images are taken from.
        images: of each source, per split.
        seeds: of the ProGANs.
        training_sets: size of each, and in how many images they differ from the first.
        low_frequency, high_frequency, patches: the sides of the components.
        artifact_free: images of each source to choose from, and the share to keep.
        programs: flags of each of PROGRAMS; of SNGAN its configuration file.
    """

    name: str
    resolution: int
    jobs: int
    photos: dict[str, int]
    images: dict[str, int]
    seeds: list[int]
    training_sets: dict[str, Any]
    low_frequency: list[int]
    high_frequency: list[int]
    patches: list[int]
    artifact_free: dict[str, Any]
    programs: dict[str, str]

    @property
    def held_out_from(self) -> int:
        """The place, in the order of photos, of the first that no GAN is trained on."""
        sets = self.training_sets
        return max(self.photos["training"], sets["photos"] + max(sets["differences"]))

    @property
    def photos_needed(self) -> int:
        """All photos together."""
        return self.held_out_from + self.photos["held_out"]

    @property
    def of_each_source(self) -> int:
        """Images of a source in all splits."""
        return sum(self.images.values())


def names() -> list[str]:
    """The scales there are."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def read(name: str) -> Scale:
    """The scale of a name in `names()`, or of another file. UserError when it is not whole."""
    file = FOLDER / f"{name}.yaml"
    if name not in names():
        if not Path(name).exists():
            raise UserError(
                f"--scale {name}: found nothing, expected {', '.join(names())} or a file"
            )
        file = existing_file(name, "--scale")
    try:
        values = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--scale {file}: not a YAML file ({reason}); see {FOLDER}") from None
    numbers = {field.name for field in dataclasses.fields(Scale)} - {"name", "programs"}
    expected = numbers.union(PROGRAMS)
    keys = set(values) if isinstance(values, dict) else set()
    if keys != expected:
        missing, other = sorted(expected - keys), sorted(map(str, keys - expected))
        raise UserError(
            f"--scale {file}: missing are {', '.join(missing) or 'none'}, unknown are "
            f"{', '.join(other) or 'none'}; expected the entries of {FOLDER / 'mini.yaml'}"
        )
    programs = {name: values.pop(name) for name in PROGRAMS}
    return Scale(file.stem, **values, programs=programs)
