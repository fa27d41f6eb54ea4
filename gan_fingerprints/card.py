"""A model's card: what it was made of, what was measured of it, what it must not be used for.

A card is JSON in the network's file; `markdown` is it in words. Only what this version knows is
quoted of a card; whatever else a file's card holds is text, and never more.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 2**18  # characters of its JSON
NOT_FOR = (
    "Naming a source that is not in the list above: the ratios compare these sources only, and "
    "images of others get a name of the list unless they are answered unknown.",
    "Telling real from generated in general: it has seen photographs of one origin at most, and "
    "more cameras and ways of shrinking exist than a model can know.",
    "Images unlike those it was measured on in size, JPEG quality or processing: nothing is known "
    "of its errors there.",
    "A decision about a person by itself: a likelihood ratio is one finding among others, and says "
    "nothing of how probable the propositions were before it.",
)
NOTHING_MEASURED = (
    "nothing was measured of this model on images of known source: how often it errs is not known "
    "(gan-fingerprints measure)"
)
FACTS = ("format", "size", "quality", "mean", "contrast", "detail", "blocks")  # of the data audit
CHANGES = {
    "contrast": "contrast",
    "tint": "tint",
    "brightness": "brightness",
    "shading": "shading",
    "recompress": "share saved as JPEG again",
    "rescale": "share resized",
    "noise": "noise, in grey levels",
}
"""Settings of a training that change its images → in words."""
Card = Mapping[str, Any]


def of_training(
    sources: Sequence[str], counts: Mapping[str, Sequence[int]], resolution: int, network: str,
    settings: Mapping[str, Any] | None, audits: Mapping[str, Any] | None = None,
    groups: Mapping[str, int | None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The card of a network, of which nothing was measured yet.

    Args:
        counts: split → images of each source.
        settings: of the training; None where they are not known.
        audits: source → facts of its training images, of the data audit.
        groups: split → number of groups, None where they are not known.
    """
    made: dict[str, Any] = {
        "network": network,
        "resolution": resolution,
        "sources": [
            {"name": name, **{split: int(of[i]) for split, of in counts.items()},
             "looks": _looks((audits or {}).get(name))}
            for i, name in enumerate(sources)
        ],
        "groups": dict(groups or {}),
        "changes": None,
        "attack": None,
        "measured": None,
    }  # fmt: skip
    if settings is not None:
        made["changes"] = {name: settings[name] for name in CHANGES if settings.get(name)}
        made["attack"] = settings.get("attack", "none")
    return _fitting(made)


def _looks(facts: object) -> dict[str, str]:
    facts = facts if isinstance(facts, Mapping) else {}
    return {fact: str(facts[fact])[:100] for fact in FACTS if fact in facts}


def _fitting(made: dict[str, Any]) -> dict[str, Any]:
    """The card without its sources where there are so many that no file may hold them."""
    return made if len(json.dumps(made)) <= LONGEST else {**made, "sources": []}


def with_measured(card: Card, result: Mapping[str, Any]) -> dict[str, Any]:
    """The card with what `gan-fingerprints measure` found."""
    kept = ("program", "images", "groups", "outside_images", "warnings", "conditions")
    measured = {name: result[name] for name in kept}
    left_out = ("opinions", "outside")  # too deep, or about sources of others' choice
    measured["conditions"] = [
        {name: x for name, x in one.items() if name not in left_out}
        | {"outside_unknown": (one.get("outside") or {}).get("unknown")}
        for one in result["conditions"]
    ]
    measured["model_sha256"] = result["model"]["sha256"]
    return _fitting({**card, "measured": measured})


def require(card: object) -> None:
    """ValueError unless a card is an object that is not too large."""
    if type(card) is not dict:
        raise ValueError("a card that is no object")
    if len(json.dumps(card)) > LONGEST:
        raise ValueError(f"a card of more than {LONGEST:,} characters")


def limits(
    card: Card | None, size: tuple[int, int] | None = None, quality: int | None = None,
    enlarged: bool = False,
) -> list[str]:  # fmt: skip
    """Sentences on what of an image lies outside of what was measured; none where nothing does.

    Args:
        size: its width and height.
        quality: of the JPEG that it is, None where it is none or that is not known.
        enlarged: whether it looks so.
    """
    conditions = _conditions(card)
    if not conditions:
        return [NOTHING_MEASURED]
    found = []
    ends = ("least_side", "most_side")
    sides = [x for one in conditions for x in _numbers([one.get(end) for end in ends])]
    if size and sides and not min(sides) <= min(size) <= max(sides):
        found.append(
            f"its shorter side has {min(size)} pixels; the model was measured on images of "
            f"{_span(sides)}"
        )
    qualities = [x for one in conditions for x in _numbers([one.get("quality")])]
    if quality is not None and not qualities:
        found.append(f"it is a JPEG of quality {quality}; the model was measured on none")
    elif quality is not None and quality < min(qualities):
        found.append(
            f"it is a JPEG of quality {quality}; the lowest that the model was measured on is "
            f"{min(qualities):g}"
        )
    if enlarged and not any(_factor(one) > 1 for one in conditions):
        found.append("it looks enlarged; the model was not measured on enlarged images")
    return found


def _factor(condition: Mapping[str, Any]) -> float:
    return max(_numbers([condition.get("scale")]), default=1.0)


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _numbers(values: object) -> list[float]:
    """What is a number in a list of a foreign file."""
    listed = values if isinstance(values, list | tuple) else []
    return [x for x in listed if type(x) in (int, float)]


def _conditions(card: Card | None) -> list[Mapping[str, Any]]:
    measured = (card or {}).get("measured")
    found = measured.get("conditions") if isinstance(measured, Mapping) else None
    return [x for x in found if isinstance(x, Mapping)] if isinstance(found, list) else []


def reliability(card: Card | None) -> list[str]:
    """Sentences on how reliable the model was measured to be, one for each condition."""
    conditions = _conditions(card)
    return [_sentence(one) for one in conditions] or [NOTHING_MEASURED]


def _sentence(one: Mapping[str, Any]) -> str:
    parts = [
        f"{str(one.get('name'))[:100]} ({str(one.get('about'))[:200]}), {one.get('images')} images"
    ]
    for name, words in (
        ("accuracy", "right {}"), ("named_wrongly", "wrong name given to {}"),
        ("unknown", "answered unknown {}"),
        ("outside_unknown", "images of sources outside answered unknown {}"),
    ):  # fmt: skip
        if (values := _numbers(one.get(name))) and len(values) == 3:
            low, high = f"{100 * values[1]:.1f}", f"{100 * values[2]:.1f}"
            parts.append(words.format(f"{100 * values[0]:.1f} % ({low}–{high})"))
    if cost := _numbers(one.get("cllr")):
        parts.append(f"Cllr {cost[0]:.3f}")
    if loss := _numbers([one.get("calibration_loss")]):
        parts.append(f"calibration loss {loss[0]:.3f}")
    return f"{parts[0]}: {', '.join(parts[1:]) or 'nothing'}"


def markdown(card: Card) -> str:
    """The card in words."""
    lines = ["# Model card", ""]
    lines += [f"Network: {card.get('network', 'not said')}; images of "
              f"{card.get('resolution', '?')} pixels.", "", "## Sources", ""]  # fmt: skip
    sources = card.get("sources")
    for one in sources if isinstance(sources, list) else []:
        lines += _of_source(one)
    lines += ["", *_of_groups(card.get("groups")), "## Seen in training", ""]
    lines += [_seen(card.get("changes"), card.get("attack")), "", "## Measured", ""]
    lines += [f"- {sentence}" for sentence in reliability(card)]
    lines += ["", "## Not for", "", *(f"- {sentence}" for sentence in NOT_FOR)]
    return "\n".join(lines) + "\n"


def _seen(changes: object, attack: object) -> str:
    if not isinstance(changes, Mapping):
        return "Not said."
    said = [f"{words} {changes[name]:g}" for name, words in CHANGES.items()
            if type(changes.get(name)) in (int, float)]  # fmt: skip
    return f"Changes of the images: {', '.join(said) or 'none'}; attack: {attack}."


def _of_source(one: object) -> list[str]:
    if not isinstance(one, Mapping):
        return []
    counts = [f"{one[x]:,} {x}" for x in ("training", "validation") if type(one.get(x)) is int]
    looks = one.get("looks")
    looks = looks if isinstance(looks, Mapping) else {}
    said = [f"{fact} {looks[fact]}" for fact in FACTS if fact in looks]
    return [f"- {one.get('name')}: {', '.join(counts) or 'numbers not said'}"
            + (f"; {', '.join(said)}" if said else "")]  # fmt: skip


def _of_groups(groups: object) -> list[str]:
    known = [f"{number:,} of {split}" for split, number in groups.items()
             if type(number) is int] if isinstance(groups, Mapping) else []  # fmt: skip
    return [f"Groups of images that share their content: {', '.join(known)}.", ""] if known else []


def listed(names: Mapping[str, str]) -> str:
    """Names with what they mean, wrapped for a help text."""
    lines = (f"{name}: {about}" for name, about in names.items())
    return textwrap.fill("; ".join(lines), 96, initial_indent="  ", subsequent_indent="  ")
