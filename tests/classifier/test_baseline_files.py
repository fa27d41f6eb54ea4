"""What a baseline's file says is never believed: it is as it was written, or one line of reason."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from classifier import baseline_files
from classifier.baseline_files import HEADER_KEY, PARAMETERS, RULES, SHAPES
from classifier.baseline_methods import METHODS
from gan_fingerprints.program import UserError
from tests.classifier.test_baseline_methods import SIDE, marked
from tests.faults.test_images import damaged
from tests.gan_fingerprints.networks import resigned
from tests.gan_fingerprints.networks.test_header import MISSING, WRONG, changed, places

NAMES, IMAGES = ["a", "b", "c"], 40
FACTS = {"source_names": NAMES, "resolution": SIDE, "training_images": IMAGES, "data": "5" * 64,
         "validation_data": "6" * 64}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Method → what was fitted, where it is, its header and its arrays."""
    folder, made = tmp_path_factory.mktemp("made"), {}
    train, validation = marked(0, IMAGES), marked(1, 20)
    for name, method in METHODS.items():
        fitted, path = method(), folder / f"{name}.safetensors"
        fitted.fit(train, validation)
        baseline_files.save(path, fitted, FACTS)
        said, arrays = resigned.parts(path, HEADER_KEY)
        made[name] = SimpleNamespace(fitted=fitted, path=path, said=said, arrays=arrays)
    return made


@pytest.fixture
def attempt(tmp_path):
    """(header, arrays) → what a load of that file says, and what it loads."""
    path = tmp_path / "x.safetensors"

    def attempt(said, arrays, *text):
        resigned.write(path, said, arrays, *text, key=HEADER_KEY)
        try:
            return "", baseline_files.load(path, "--model_path")
        except UserError as error:
            message = str(error)
            assert message.startswith(f"--model_path {path}: not a baseline of ours, or damaged (")
            assert message.isprintable(), message
            assert len(message) < len(str(path)) + 700, message
            return message, None

    return attempt


def test_every_method_has_rules():
    assert METHODS.keys() == PARAMETERS.keys() == SHAPES.keys()
    for name, method in METHODS.items():
        assert {*method.kept} == SHAPES[name].keys()


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_is_the_same(made, method):
    one, pixels = made[method], marked(2, 9).pixels
    loaded, said = baseline_files.load(one.path, "--model_path")
    assert {name: said[name] for name in FACTS} == FACTS
    assert (said["method"], said["parameters"]) == (method, one.fitted.parameters)
    assert loaded.parameters == one.fitted.parameters
    np.testing.assert_array_equal(loaded.scores(pixels), one.fitted.scores(pixels))


def allowed(one, place, value):
    """Whether such a header says nothing wrong."""
    rule = PARAMETERS[one.said["method"]].get(place[-1]) or RULES.get(place[-1])
    most = IMAGES if place == ("parameters", "k") else 2**31
    least = len(one.arrays.get("components", [0]))
    if place == ("training_images",):
        return one.said["method"] != "knn" and rule.holds(value) and value >= least
    if place[0] == "parameters" and len(place) == 2:
        return value is not MISSING and rule.holds(value) and value <= most
    return place[0] == "source_names" and len(place) == 2 and value == "x"


@pytest.mark.parametrize("method", METHODS)
def test_a_changed_header_is_refused_in_one_line(made, attempt, method, counted):
    one = made[method]
    assert attempt(one.said, one.arrays)[0] == ""  # the helper's signature is right
    tried = 0
    for place, value in itertools.product(places(one.said), WRONG):
        if not place and value is MISSING:
            continue
        fine = bool(place) and allowed(one, place, value)
        message, _ = attempt(changed(one.said, place, value), one.arrays)
        assert (message == "") == fine, (place, value, message)
        tried += 1
    twice = '"resolution": 32'
    assert "a name twice" in attempt(one.said, one.arrays, twice, f"{twice}, {twice}")[0]
    assert "more: unknown" in attempt({**one.said, "more": 1}, one.arrays)[0]
    assert attempt(one.said, one.arrays, "{", "{" * 50_000)[0]
    assert tried > 300
    counted(tried + 3, tried + 3)


def spoilt(array):
    """The array with everything wrong that an array can have."""
    flat = array.reshape(-1)
    for value in (np.nan, np.inf, -np.inf, 1e30) if array.dtype.kind == "f" else ():
        broken = flat.copy()
        broken[-1] = value
        yield broken.reshape(array.shape)
    for kind in {"f2", "i1", "i4", "u4", "b1"} - {array.dtype.str[1:]}:
        yield array.astype(kind)
    yield array[None]
    yield np.concatenate([flat, flat])
    yield np.zeros([0, *array.shape], array.dtype)


@pytest.mark.parametrize("method", METHODS)
def test_changed_arrays_are_refused_in_one_line(made, attempt, method, counted):
    said, arrays = made[method].said, made[method].arrays
    tried = 0
    for name, array in arrays.items():
        for broken in spoilt(array):
            assert attempt(said, {**arrays, name: broken})[0], (name, broken.dtype, broken.shape)
            tried += 1
        less = {other: x for other, x in arrays.items() if other != name}
        assert attempt(said, less)[0]
        assert attempt(said, {**less, name + "\x1b": array})[0]
        assert attempt(said, {**arrays, "more": array})[0]
        tried += 3
    assert attempt(said, {})[0]
    counted(tried, tried)


def test_values_that_mean_nothing_are_refused(made, attempt):
    said, arrays = made["knn"].said, made["knn"].arrays
    for label in (-1, 3):
        labels = np.where(np.arange(IMAGES) == 7, label, arrays["labels"])
        assert "not those of 3 sources" in attempt(said, {**arrays, "labels": labels})[0]
    assert "not those of" in attempt(said, {**arrays, "sources": arrays["sources"] + 1})[0]
    many = {**said, "parameters": {"k": IMAGES + 1}}
    assert f"{IMAGES + 1} neighbours among {IMAGES} images" in attempt(many, arrays)[0]


@pytest.mark.parametrize("method", METHODS)
def test_damage_is_one_line_or_harmless(made, method, tmp_path, times, counted):
    one, path, rng = made[method], tmp_path / "x.safetensors", np.random.default_rng(0)
    tried, content, reasons = times(500, 60), one.path.read_bytes(), []
    for _ in range(tried):
        path.write_bytes(damaged(content, rng))
        try:
            loaded, _ = baseline_files.load(path, "--model_path")
            for name, array in one.arrays.items():
                np.testing.assert_array_equal(getattr(loaded, name), array)
        except UserError as error:
            reasons.append(str(error))
    assert len(reasons) > 0.9 * tried
    assert "".join(reasons).isprintable()
    counted(tried, tried)


def test_large_images_are_answered_a_few_at_once():
    found = [baseline_files.batch(side) for side in (16, 128, 256, 512, 4096)]
    assert found == [256, 256, 170, 42, 1]
