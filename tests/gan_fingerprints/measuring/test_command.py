"""The commands `measure` and `card`, with a discriminant of descriptors as the network."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from gan_fingerprints import __main__ as commands
from gan_fingerprints import card
from gan_fingerprints.calibration import calibrated
from gan_fingerprints.likelihoods.fitted import fitted
from gan_fingerprints.networks import files
from gan_fingerprints.networks.cooccurrence import Cooccurrence
from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.networks.discriminant import discriminants
from gan_fingerprints.program import UserError

BLUR = {"real": 0.45, "a": 0.55, "b": 0.65, "other": 2.0}
NAMES = ["real", "a", "b"]
SIDE = 32


def noise(source, count, seed):
    """Noise that each source blurs by its own width: uint8 [count, 32, 32, 3]."""
    rng = np.random.default_rng([seed, *source.encode()])
    images = rng.normal(0, 40, (count, SIDE, SIDE, 3))
    blurred = ndimage.gaussian_filter(images, (0, BLUR[source], BLUR[source], 0))
    return np.clip(np.rint(blurred * 40 / blurred.std() + 128), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model that knows three blurs, and folders of new images of them and of another."""
    folder = tmp_path_factory.mktemp("measure")
    labels = np.repeat(np.arange(3), 60)
    training, validation = (
        np.concatenate([noise(name, 60, seed) for name in NAMES]) for seed in (1, 2)
    )
    (found,) = discriminants(descriptors(training), labels, 3, [0.3])
    network = Cooccurrence(SIDE, 3, found.components.shape[1])
    for variable, array in zip(network.discriminant, found, strict=True):
        variable.assign(array)
    logits, features = (np.asarray(x) for x in network.answers(validation / 127.5 - 1))
    scale, known = calibrated(logits, features, labels, "x")
    others = noise("other", 60, 3)
    outside = scale.scores(*(np.asarray(x) for x in network.answers(others / 127.5 - 1)))
    ratios = fitted(logits / scale.temperature, labels, None, known, outside)
    files.save(folder / "m.safetensors", network, {}, NAMES, scale, None, ratios)
    files.save(folder / "plain.safetensors", network, {}, NAMES)
    for name in BLUR:
        place = folder / ("others" if name == "other" else "testing") / name
        place.mkdir(parents=True)
        for i, image in enumerate(noise(name, 12, 4)):
            Image.fromarray(image).save(place / f"z{i // 2}_{i}.png")
    return folder


def measure(folder, out, *more, model="m.safetensors"):
    words = ["measure", "--model", folder / model, "--testing_data_path", folder / "testing",
             "--out", folder / out, *more]  # fmt: skip
    commands.run([str(word) for word in words])
    return json.loads((folder / out / "measured.json").read_text())


def test_it_measures_each_condition(made, capsys):
    found = measure(
        made, "m1", "--degrade", "jpeg50", "--outside", made / "others", "--group_by", r"z\d+",
        "--out_model", made / "carded.safetensors",
    )  # fmt: skip
    assert sorted(x.name for x in (made / "m1").iterdir()) == [
        "measured.csv", "measured.html", "measured.json",
    ]  # fmt: skip
    plain, jpeg = found["conditions"]
    assert (plain["name"], jpeg["name"], jpeg["quality"]) == ("as they are", "jpeg50", 50)
    assert found["groups"] == 6
    assert plain["images"] == 36
    assert plain["accuracy"][0] > 0.8 > jpeg["accuracy"][0]
    assert plain["cllr"][0] < 0.5
    for condition in (plain, jpeg):  # what is answered unknown has none
        assert condition["with_ratios"][0] == pytest.approx(1 - condition["unknown"][0])
    assert plain["with_ratios"][0] > 0.8 > 0.5 > jpeg["with_ratios"][0]
    assert plain["outside"]["unknown"][0] > 0.9
    assert "right " in capsys.readouterr().out
    table = list(csv.DictReader((made / "m1/measured.csv").open()))
    assert [row["name"] for row in table] == ["as they are", "jpeg50"]
    assert float(table[0]["cllr"]) == pytest.approx(plain["cllr"][0], rel=1e-5)
    page = (made / "m1/measured.html").read_text()
    assert page.count("data:image/png") == 2 * sum(x["cllr"] is not None for x in (plain, jpeg))
    assert "http" not in page.replace("http-equiv", "")
    # The numbers are those of the rows.
    loaded = files.load(made / "carded.safetensors", files.constructors(), "--model")
    low, high = loaded.likelihoods.others.low, loaded.likelihoods.others.high
    assert low <= plain["lowest_misleading"] <= high
    assert low <= plain["highest_misleading"] <= high

    commands.run(["card", str(made / "carded.safetensors")])
    said = capsys.readouterr().out
    assert card.reliability(loaded.card)[1] in said
    assert "jpeg50" in said
    original, carded = (files.read(made / f"{x}.safetensors", "x")[0] for x in ("m", "carded"))
    assert original.card is None
    assert carded.likelihoods == original.likelihoods
    np.testing.assert_array_equal(carded.arrays["weight"], original.arrays["weight"])


def test_the_same_again_is_the_same(made):
    first, second = (measure(made, out, "--degrade", "combination") for out in ("s1", "s2"))
    assert first == second


def test_without_ratios_it_says_so(made):
    found = measure(made, "p1", "--degrade", model="plain.safetensors")
    assert any("has no likelihood ratios" in warning for warning in found["warnings"])
    assert found["conditions"][0]["cllr"] is None
    assert found["conditions"][0]["accuracy"][0] > 0.8


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--outside", "testing"], "has images of a, b, real, which the model knows"),
        (["--group_by", "y"], "found no group for 36 of 36"),
        (["--degrade", "mood"], "expected jpeg95"),
        (["--out_model", "m.safetensors"], "already exists"),
        (["--testing_data_path", "others"], "found subfolders other, expected only names of"),
        (["--testing_data_path", "testing/a"], "expected one subfolder of images per source"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(made, more, expected):
    places = ("testing", "others", "m.safetensors", "testing/a")
    more = [made / word if word in places else word for word in more]
    with pytest.raises(UserError, match=expected):
        measure(made, "never", *more)
    assert not (made / "never").exists()


def test_a_model_without_a_card_says_so(made):
    with pytest.raises(UserError, match="has no card; train it again, or measure it"):
        commands.run(["card", str(made / "m.safetensors")])
