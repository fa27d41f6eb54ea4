"""What verdicts and numbers mean, in sentences: for the report and for the terminal."""

from __future__ import annotations

from gan_fingerprints import card
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, MIXED, Attribution, is_of_photographs
from gan_fingerprints.calibration import UNKNOWN
from gan_fingerprints.examiner.examination import UNREADABLE, Model
from gan_fingerprints.likelihood import verbal

LIMITS = (
    "A verdict names one of the sources that the model knows. A source that it was not trained "
    "on, another program or another training of the same program, cannot be named, whatever made "
    "the image; its images may get the name of a source that the model knows. A source of "
    "photographs is no exception: an image that gets its name can still be generated.",
    "A probability is the model's, shared out among its sources so that they add up to 1. It takes "
    "the sources to be as common as in the model's training data. It is not the probability that a "
    "person, a camera or a program made the image, and weighs no other evidence.",
    "Resizing, cropping, compression, filters and screenshots change or remove what the model "
    "looks at, and may lead to any of the verdicts.",
    "The model saw each image as described under Files and nothing else of it: neither its "
    "name, nor its metadata, nor detail that is lost in resizing or between tiles.",
)
NO_RATIOS = (
    "The model's file has no likelihood ratios: how much the evidence is worth against another "
    "source is not known."
)
RATIOS = (
    "A likelihood ratio (LR) says how many times more probable is what was seen if the one "
    "proposition is true than if the other is. Its words are those of ENFSI's guideline of 2015. "
    "It is not how probable a proposition is: that depends on all other evidence too."
)
NOT_MEASURED = (
    "Nothing was measured of this model on images of known origin, so how often it is wrong is not "
    "known. It has to be measured (gan-fingerprints measure), on images that it was not trained "
    "on, and that went through the same processing as the ones examined here."
)
NOT_MEANT = (
    "A verdict names the source, of those that the model knows, that the image is most like. It "
    "does not say that no other source made it, nor that a photograph is genuine.",
    "Neither a probability nor a likelihood ratio is the probability that a source made the image.",
)


def ratio(log10_lr: float) -> str:
    """A likelihood ratio with its words: "log10 LR 2.31, moderately strong support"."""
    return f"log10 LR {log10_lr:.2f}, {verbal(log10_lr)}"


def supported(log10_lr: float | None, outside: float | None) -> str | None:
    """The ratios of a verdict, for a cell of a table; None where there is none."""
    if log10_lr is None:
        return None
    more = "" if outside is None else f"; for these sources against others {ratio(outside)}"
    return ratio(log10_lr) + more


def supported_row(row: Attribution) -> str | None:
    """As `supported`, of a verdict that names a source; None of another."""
    return supported(row.log10_of_likely, row.log10_outside) if row.named else None


def reliability(model: Model) -> list[str]:
    """How reliable the model was measured to be, under which conditions, or that it was not."""
    said = card.reliability(model.card)
    if said == [card.NOTHING_MEASURED]:
        return [NOT_MEASURED]
    return [f"Measured on images of known origin, {one}." for one in said]


def stated(log10_lr: float, source: str, sources: int) -> str:
    """What speaks for a source against the others that the model knows, and how much.

    sources: how many the model knows.
    """
    first = f"{source} made it"
    if is_of_photographs(source):
        first = f"it is a photograph like those that the model was trained on ({source})"
    return _compared(log10_lr, first, f"another of these {sources} sources made it")


def stated_outside(log10_lr: float) -> str:
    """What speaks for the sources of training against all others, and how much."""
    inside = "one of the sources that the model was trained on made it"
    return _compared(log10_lr, inside, "a source outside of these made it")


def _compared(log10_lr: float, first: str, other: str) -> str:
    """A ratio as a sentence with both propositions."""
    how = "more" if log10_lr >= 0 else "less"
    return (
        f"What was seen is {times(abs(log10_lr))} times {how} probable if {first} than if {other} "
        f"({ratio(log10_lr)})."
    )


def times(log10: float) -> str:
    """A factor in two digits: "1.3", "250", "12,000"."""
    factor = 10.0**log10
    return f"{factor:.1f}" if factor < 10 else f"{float(f'{factor:.2g}'):,.0f}"


def meanings(model: Model, sizes: str) -> dict[str, str]:
    """Each verdict with what it means; `sizes` says of which images none is given."""
    scale, rules = model.calibration, model.attributor.rules
    named = (
        f"Of the {len(model.source_names)} sources that the model knows, the image is most like "
        f"those of this one, with a probability of {rules.least_probability:g} or more"
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
    texts = {"The name of a source": f"{named}."}
    if any(map(is_of_photographs, model.source_names)):
        texts["Like the photographs it was trained on"] = (
            "The same, of a source of photographs. There are more cameras, and ways of scaling "
            "their images down, than a model can know, and generators that it does not: an image "
            "can be like these photographs without being one."
        )
    return texts | {
        UNKNOWN.capitalize(): unknown,
        INCONCLUSIVE.capitalize(): (
            "The reason says what stands against a name: no source has that probability; the "
            f"shorter side of the image {sizes}; it is plainly unlike the training images; the "
            "answer does not survive a mild change; or two kinds of evidence contradict each "
            "other. The image should not be used for or against any source."
        ),
        MIXED.capitalize(): (
            "Tiles that lie together are like one source, and others like another: the image may "
            "be put together of several."
        ),
        UNREADABLE.capitalize(): (
            "Not an image, damaged, or not accessible. Nothing is said of it."
        ),
    }


def last_lines(model: Model, beyond: int) -> list[str]:
    """What the terminal says in the end of what verdicts are worth.

    beyond: how many images are unlike those that the model was measured on.
    """
    known = len(model.source_names)
    lines = [
        f"A verdict is the one of {known} sources that an image is most like; others may have made "
        "it."
    ]
    if any(map(is_of_photographs, model.source_names)):
        lines.append("Being like the photographs of training makes no image genuine.")
    lines.append(
        "A likelihood ratio compares two propositions; it is the probability of neither."
        if model.attributor.likelihoods
        else "Probabilities are shared out among these sources; the file has no likelihood ratios."
    )
    if card.reliability(model.card) == [card.NOTHING_MEASURED]:
        lines.append("How often this model is wrong was not measured: gan-fingerprints measure.")
    elif beyond:
        lines.append(f"{beyond} of the images are unlike those that the model was measured on.")
    return lines
