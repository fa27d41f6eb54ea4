"""What a model's card says, also one of a foreign file."""

import pytest

from gan_fingerprints import card

MADE = card.of_training(
    ["real", "a"], {"training": [100, 200], "validation": [10, 20]}, 64, "residual",
    {"recompress": 0.25, "rescale": 0.0, "attack": "none", "learning_rate": 1},
    {"a": {"format": "PNG", "quality": "-", "other": "x"}}, {"training": 30, "validation": None},
)  # fmt: skip
CONDITIONS = [
    {"name": "as they are", "about": "not changed", "quality": None, "scale": 1.0,
     "least_side": 64, "most_side": 64, "images": 300, "accuracy": [0.9, 0.85, 0.95],
     "cllr": [0.2, 0.15, 0.25], "calibration_loss": 0.01, "opinions": {"a": {"b": [1, 2, 3]}},
     "outside": {"unknown": [0.5, 0.4, 0.6]}},
    {"name": "jpeg75", "about": "JPEG", "quality": 75, "scale": 1.0, "least_side": 64,
     "most_side": 80, "images": 300, "accuracy": None, "outside": None},
]  # fmt: skip
RESULT = {
    "program": "x", "images": 300, "groups": None, "outside_images": 0, "warnings": [],
    "model": {"sha256": "5" * 64}, "conditions": CONDITIONS,
}  # fmt: skip
MEASURED = card.with_measured(MADE, RESULT)


def test_it_says_what_was_made():
    text = card.markdown(MADE)
    assert "- real: 100 training, 10 validation\n" in text
    assert "- a: 200 training, 20 validation; format PNG, quality -\n" in text
    assert "share saved as JPEG again 0.25; attack: none." in text
    assert "share resized" not in text
    assert "Groups of images that share their content: 30 of training." in text
    assert card.NOTHING_MEASURED in text
    assert all(sentence in text for sentence in card.NOT_FOR)


def test_it_says_what_was_measured():
    first, second = card.reliability(MEASURED)
    assert first == (
        "as they are (not changed), 300 images: right 90.0 % (85.0–95.0), images of sources "
        "outside answered unknown 50.0 % (40.0–60.0), Cllr 0.200, calibration loss 0.010"
    )
    assert second == "jpeg75 (JPEG), 300 images: nothing"
    assert first in card.markdown(MEASURED)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"size": (64, 900)}, []),
        ({"size": (70, 90), "quality": 80}, []),
        (
            {"size": (90, 81)},
            ["shorter side has 81 pixels; the model was measured on"],
        ),
        ({"size": (63, 90)}, ["shorter side has 63"]),
        ({"quality": 60}, ["quality 60; the lowest that the model was measured on is 75"]),
        ({"enlarged": True}, ["looks enlarged"]),
        ({"size": (10, 10), "quality": 10, "enlarged": True}, ["side", "quality", "enlarged"]),
    ],
)
def test_it_says_where_an_image_lies_outside_of_that(facts, expected):
    found = card.limits(MEASURED, **facts)
    assert len(found) == len(expected)
    for sentence, part in zip(found, expected, strict=True):
        assert part in sentence


def test_of_what_was_never_measured_nothing_is_known():
    for one in (None, {}, MADE, {"measured": 3}, {"measured": {"conditions": [1]}}):
        assert card.limits(one, (64, 64)) == card.reliability(one) == [card.NOTHING_MEASURED]


def test_a_foreign_card_is_text():
    strange = {
        "sources": [3, {"name": "x", "training": "many", "looks": []}], "changes": [],
        "groups": {"training": "x"}, "measured": {"conditions": [
            {"name": [], "accuracy": ["x", 1, 2], "cllr": 3, "least_side": "a", "quality": []}]},
    }  # fmt: skip
    assert "- x: numbers not said\n" in card.markdown(strange)
    (said,) = card.limits(strange, (5, 5), 10)
    assert said == "it is a JPEG of quality 10; the model was measured on none"


@pytest.mark.parametrize("wrong", [[], "x", None, {"a": "x" * card.LONGEST}])
def test_what_is_no_card(wrong):
    with pytest.raises(ValueError, match="a card"):
        card.require(wrong)
    card.require(MEASURED)
