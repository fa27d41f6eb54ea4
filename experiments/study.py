"""The tables of the study: which steps each needs, and what its results are when they are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from experiments.gans import GANS
from experiments.plan import BASELINES, Plan
from experiments.scale import Scale

FOLDER = Path(__file__).resolve().parent / "tables"
TABLES = (
    "architectures", "training_sets", "seeds", "frequency", "patches", "artifact_free", "attacks",
    "open_set",
)  # fmt: skip
NOTHING = "none"  # attack


@dataclass(frozen=True)
class Answers:
    """A line of a table, of which a step will have written the answers.

    Attributes:
        method, variant: names of the line; see `results.md`.
        place: of the table of answers, below `$OUT`.
        unknown: name of the source that the network was not trained on, if there is one.
    """

    method: str
    variant: str
    place: str
    unknown: str | None = None


@dataclass
class Table:
    """A planned table.

    Attributes:
        name, title, claim: of the table.
        published: the publication's figures by line, in percent, and FD ratios.
        expected: what should come out; see `results.expectations`.
        chance: accuracy of guessing.
        lines: in order.
        spaces: space of features → (place of distances, place of the map).
        samples: place of the picture of images of each source, if there is one.
        steps: names of all steps that it needs, each after what it needs.
        notes: what a reader should know.
    """

    name: str
    title: str
    claim: str
    published: dict[str, dict[str, float]]
    expected: dict[str, Any]
    chance: float = 0.0
    lines: list[Answers] = field(default_factory=list)
    spaces: dict[str, tuple[str, str]] = field(default_factory=dict)
    samples: str | None = None
    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(name: str, steps: Plan, **changes: Any) -> Table:
    """Plans one table on its own, in a Plan that is empty: its steps are only those it needs.

    changes: replace entries of its file.
    """
    values = yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) | changes
    table = Table(name, **{key: values[key] for key in ("title", "claim", "published", "expected")})
    group = sources(values["sources"], steps.scale)
    table.chance = 1 / len(group)
    {
        "methods": _methods,
        "components": _components,
        "artifact_free": _artifact_free,
        "attacks": _attacks,
        "open_set": _open_set,
    }[values["kind"]](table, steps, values, group)
    table.steps = list(steps.steps)
    return table


def sources(group: str, scale: Scale) -> list[str]:
    """The sources of a group: real images and the GANs that are told apart."""
    names = {
        "architectures": [gan.source for gan in GANS.values()],
        "seeds": [f"ProGAN_seed_v{seed}" for seed in scale.seeds],
        "training_sets": [f"ProGAN_differing_{n}" for n in scale.training_sets["differences"]],
    }
    return ["real", *names[group]]


def _told_apart(plan: Plan, name: str, group: list[str]) -> tuple[str, str, str]:
    """Flags of a group's data sets, its test images, and the classifier of all its sources."""
    data = plan.data_sets(name, group)
    return data, f"{plan.split(name, group)}/testing", plan.classifier(name, data)


def _methods(table: Table, plan: Plan, values: dict[str, Any], group: list[str]) -> None:
    name = values["sources"]
    data, images, model = _told_apart(plan, name, group)
    table.samples = plan.samples(name, images, values["without_samples_of"])
    for method in values["methods"]:
        line = f"{name}/{method}"
        if method in BASELINES:
            place = plan.baseline(line, method, data, images)
        elif method == "classifier":
            place = plan.test(line, model, images)
        else:
            network = plan.classifier(f"{name}_{method}", data, kind=method)
            program = "classifier_visNet" if method == "visnet" else "classifier"
            place = plan.test(line, network, images, program=program)
        table.lines.append(Answers(method, "", place))
    for space in ("fingerprint", "inception") if plan.inception else ("fingerprint",):
        table.spaces[space] = plan.distances(name, space, images, model)
    if not plan.inception:
        table.notes.append(
            "The FD ratio in Inception space needs InceptionV3's weights (--inception_weights), "
            "which were not given."
        )


def _components(table: Table, plan: Plan, values: dict[str, Any], group: list[str]) -> None:
    name = values["sources"]
    data, images, model = _told_apart(plan, name, group)
    whole, full = plan.test(f"{name}/classifier", model, images), plan.scale.resolution
    for component in values["components"]:
        word = component.partition("_")[0]
        sides = getattr(plan.scale, "patches" if component == "patch" else component)
        if word != "high":  # the whole image is the low band of its own size, and the largest patch
            table.lines.append(Answers("classifier", f"{word} {full}", whole))
        for side in sides:
            line = f"{name}_{component}_{side}"
            part = plan.classifier(line, data, f"--component {component} --component_res {side}")
            seen = min(patch_side(full // side), full) if component == "patch" else side
            place = plan.test(f"{name}/{component}_{side}", part, images)
            table.lines.append(Answers("classifier", f"{word} {seen}", place))


def patch_side(factor: int) -> int:
    """Side of what one logit sees when the trunk has shrunk the image by a power of two.

    3×3 convolutions, two before each halving and one after the last.
    """
    side = 3
    while factor > 1:
        side, factor = 2 * side + 4, factor // 2
    return side


def _artifact_free(table: Table, plan: Plan, values: dict[str, Any], group: list[str]) -> None:
    name = values["sources"]
    data, known, model = _told_apart(plan, name, group)
    images = plan.artifact_free(group[1:])
    for method in values["methods"]:
        line, fitted = f"artifact_free/{method}", f"{name}/{method}"
        if method in BASELINES:
            plan.baseline(fitted, method, data, known)
            place = plan.baseline_again(line, fitted, images)
        elif method == "classifier":
            place = plan.test(line, model, images)
        else:
            network = plan.classifier(f"{name}_{method}", data, kind=method)
            place = plan.test(line, network, images)
        table.lines.append(Answers(method, "", place))
    chosen = plan.scale.artifact_free
    space = "InceptionV3's features" if plan.inception else "colours (CIELAB) pixel by pixel"
    table.notes += [
        f"Of {chosen['images']:,} new images of each GAN, the {chosen['share']:.0%} nearest to a "
        f"real one by {space}.",
        "Trained on all images, tested on generated ones only; the publication also trained on "
        "such images.",
    ]


def _attacks(table: Table, plan: Plan, values: dict[str, Any], group: list[str]) -> None:
    name = values["sources"]
    data, images, model = _told_apart(plan, name, group)
    whole = plan.test(f"{name}/classifier", model, images)
    table.lines.append(Answers("classifier", NOTHING, whole))
    for attack in values["attacks"]:
        attacked = f"--attack {attack}"
        given = f"{attacked} --init_from {model} {plan.scale.programs['immunize']}"
        immune = plan.classifier(f"{name}_immune_{attack}", data, given)
        for when, network in (("before", model), ("after", immune)):
            place = plan.test(f"{name}/{attack}_{when}", network, images, attacked)
            table.lines.append(Answers("classifier", f"{attack} {when}", place))
    for kind in values["also"]:
        other = plan.classifier(f"{name}_{kind}", data, kind=kind)
        place = plan.test(f"{name}/{kind}", other, images)
        table.lines.append(Answers(kind, NOTHING, place))
        for attack in values["attacks"]:
            place = plan.test(f"{name}/{kind}_{attack}", other, images, f"--attack {attack}")
            table.lines.append(Answers(kind, f"{attack} before", place))


def _open_set(table: Table, plan: Plan, values: dict[str, Any], group: list[str]) -> None:
    images = f"{plan.split(values['sources'], group)}/testing"
    for left_out in values.get("left_out", group[1:]):
        name = f"without_{left_out}"
        kept = [source for source in group if source != left_out]
        data, variant = plan.data_sets(name, kept), f"without {left_out}"
        for kind in ("classifier", *values["also"]):
            run = name if kind == "classifier" else f"{name}_{kind}"
            place = plan.test(f"open_set/{run}", plan.classifier(run, data, kind=kind), images)
            table.lines.append(Answers(kind, variant, place, left_out))
    table.chance = 1 / (len(group) - 1)
