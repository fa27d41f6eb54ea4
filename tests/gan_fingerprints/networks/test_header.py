"""What a file's header says is never believed: thousands of lies, each refused in one line."""

import copy
import itertools
import math
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from classifier.networks import Classifier
from classifier.residual import Residual
from classifier_visNet.networks import AutoEncoder, Correlation
from gan_fingerprints import card
from gan_fingerprints.calibration import Calibration, Centres, Either
from gan_fingerprints.domain import Domain
from gan_fingerprints.ipm.networks import Generator as BatchGenerator
from gan_fingerprints.likelihoods.fitted import Fitted, Likelihoods
from gan_fingerprints.networks import files, header, trunk
from gan_fingerprints.networks.cooccurrence import Cooccurrence
from gan_fingerprints.networks.graphs import light
from gan_fingerprints.networks.published.source_names import source_names
from gan_fingerprints.networks.stored import Refused, StoredNetwork
from gan_fingerprints.program import UserError
from ProGAN.networks import Generator
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.gen_models.resnet import ResNetGenerator
from tests.gan_fingerprints.networks import resigned

NAMES = ["real", "a", "b"]
SMALL = {"resolution": 16, "fmap_base": 64, "fmap_max": 16}
DATA = {"name": "x", "count": 9, "source_names": NAMES, "checksum": "5" * 64}
PROVENANCE = {
    "command": "run.py",
    "seed": 3,
    "images_shown": 7,
    "data": DATA,
    "versions": {"a": "1"},
}
ONE = Fitted(a=0.5, b=1.5, low=-0.2, high=0.2, same=3, other=6, groups=1)
CARD = {"network": "residual", "measured": {"images": 3}}
RATIOS = Likelihoods(ONE, ONE, {2: ONE})
NETWORKS = {
    "classifier": lambda: Classifier(**SMALL, num_sources=3),
    "residual": lambda: Residual(32, 3, width=2, components=3),
    "cooccurrence": lambda: Cooccurrence(16, num_sources=3, components=5),
    "visnet_autoencoder": lambda: AutoEncoder(**SMALL, num_sources=3),
    "generator": lambda: Generator(**SMALL),
    "ipm_generator": lambda: BatchGenerator("g_resnet5", 32, 2, 8),
    "ResNetGenerator": lambda: ResNetGenerator(32, ch=2, dim_z=8),
    "SNResNetProjectionDiscriminator": lambda: SNResNetProjectionDiscriminator(32, ch=2),
}
MOST = [
    x if x in ("classifier", "generator") else pytest.param(x, marks=pytest.mark.slow)
    for x in NETWORKS
]
MISSING = object()
NESTED = {"a": {"a": {"a": {"a": {"a": {"a": {"a": {}}}}}}}}
WRONG = [
    MISSING, None, True, False, 0, 1, -1, 3, 10**30, -(10**400), 0.5, -1e300, math.nan, math.inf,
    -math.inf, "", "x", "../../x", "/x", "a\\b", ".x", "a\0b", "a\x1b[31m", "\u202ex", "x" * 101,
    "x" * 100_000, "\ud800", [], [[]], ["x"], [-1, True], {}, {"a": 1}, NESTED, [NESTED],
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Kind → its network, as it was saved, and where."""
    folder, kinds = tmp_path_factory.mktemp("made"), {}
    for kind, make in NETWORKS.items():
        network, path = make(), folder / f"{kind}.safetensors"
        length = 19 if kind == "residual" else 16
        centres = Centres(np.zeros([3, length], np.float32), np.ones(length, np.float32))
        scale = Calibration(0.25, "energy", 0.5, 0.05, centres, "5" * 64)
        if kind == "residual":
            whitening = np.eye(3, length, 16, dtype=np.float32)
            two = Either(whitening, np.zeros((2, 3, 101), np.float32))
            domain = Domain(np.array([[0] * 5, [1] * 5], np.float32))
            scale = replace(scale, score="lower_rank", either=two, domain=domain)
        names = NAMES if kind in files.NAMING else None
        files.save(
            path,
            network,
            PROVENANCE,
            names,
            scale if kind in ("classifier", "residual") else None,
            likelihoods=RATIOS if kind == "residual" else None,
            card=CARD if kind == "residual" else None,
            bfloat16={"images": 9, "equal": 1} if kind == "residual" else None,
        )
        kinds[kind] = SimpleNamespace(network=network, path=path, arrays=files.arrays_of(network))
    return kinds


@pytest.fixture
def attempt(made, tmp_path):
    """(kind, header, arrays, how the text changes) → what a load of that file says."""
    path = tmp_path / "x.safetensors"

    def attempt(kind, said, arrays, *text):
        def make(**arguments):
            same = arguments == made[kind].network.arguments
            return made[kind].network if same else type(made[kind].network)(**arguments)

        resigned.write(path, said, arrays, *text)
        start = time.process_time()
        try:
            files.load(path, {kind: make}, "--model_path", batch=4)
            message = ""
        except UserError as error:
            message = str(error)
            assert message.startswith(f"--model_path {path}: "), message
            assert message.isprintable(), message
            assert len(message) < len(str(path)) + 700, message
        assert time.process_time() - start < 1, message
        return message

    yield attempt
    for kind in made.values():  # nothing of a refused file was taken over
        for name, array in files.arrays_of(kind.network).items():
            np.testing.assert_array_equal(array, kind.arrays[name])


def places(said):
    """Where there is a value in a header, as the keys that lead to it."""
    yield ()
    for name, value in said.items():
        yield (name,)
        if isinstance(value, dict | list):
            keys = value if isinstance(value, dict) else range(len(value))
            yield from ((name, key) for key in keys)
    for name, one in said.get("likelihoods", {}).items():
        of_one = one[0] if name == "pools" else one
        yield from (("likelihoods", name, *([0] if name == "pools" else []), key) for key in of_one)


def changed(said, place, value):
    """The header with another value, or none, in a place."""
    if not place:
        return value
    said = copy.deepcopy(said)
    *way, last = place
    holder = said
    for key in way:
        holder = holder[key]
    if value is MISSING:
        del holder[last]
    else:
        holder[last] = value
    return said


def allowed(kind, place, value, old):
    """Whether such a header says nothing wrong."""
    if value is MISSING:
        free = place[0] in ("provenance", "card") and len(place) > 1
        return free or place in [("likelihoods",), ("card",), ("bfloat16",)]
    if repr(value) == repr(old):
        return True
    first, last = place[0], place[-1]
    number = type(value) in (int, float)
    if first == "provenance":
        nested = value == NESTED or value == [NESTED]
        finite = not number or abs(value) < math.inf
        if last in header.PROVENANCE:
            return header.PROVENANCE[last].holds(value)
        return finite and not nested and (len(place) > 1 or type(value) is dict)
    if first == "card":
        nested = len(place) > 1 and value == [NESTED]  # one level more
        return (
            (len(place) > 1 or type(value) is dict)
            and not nested
            and value != NESTED
            and (not number or abs(value) < math.inf)
            and not (isinstance(value, str) and len(value) > card.LONGEST)
        )
    if first == "likelihoods":
        whole = type(value) is int and 0 < value < 10
        return {
            "outside": value is None,
            "pools": value == [] and type(value) is list,
            "a": number and abs(value) <= 1e6,
            "b": number and 0 <= value <= 1000,
            "low": number and value == 0,
            "high": number and value == 0,
            "same": whole,
            "other": whole,
            "groups": whole,
            "size": whole and value > 1,
        }.get(last, False)
    if first == "bfloat16":
        least = 1 if last == "images" else 0
        return len(place) > 1 and type(value) is int and least <= value < 10
    if first == "source_names":
        return (
            value is None and kind not in ("classifier", "residual")
            if len(place) == 1
            else value == "x"
        )
    return {
        "temperature": number and 0.01 <= value <= 100,
        "threshold": number and abs(value) <= 1e30,
        "false_alarms": number and 0 <= value <= 1,
        "checksum": type(value) is str and len(value) <= 200 and value.isprintable(),
        "use_pixelnorm": type(value) is bool,  # has no weights
        "normalize_latents": type(value) is bool,
    }.get(last, False)


@pytest.mark.parametrize("kind", MOST)
def test_a_changed_header_is_refused_in_one_line(made, attempt, kind, counted):
    said, arrays = resigned.parts(made[kind].path)
    assert attempt(kind, said, arrays) == ""  # the helper's signature is right
    tried = believed = 0
    for place, value in itertools.product(places(said), WRONG):
        if not place and value is MISSING:
            continue
        old = said
        for key in place:
            old = old[key]
        optional = place[-1:] in [(name,) for name in header.NOT_PUBLISHED] and value is MISSING
        if place == ("calibration",) and value is MISSING:
            continue  # its arrays remain, see below
        fine = bool(place) and (allowed(kind, place, value, old) or optional)
        message = attempt(kind, changed(said, place, value), arrays)
        assert (message == "") == fine, (place, value, message)
        tried, believed = tried + 1, believed + fine
    assert tried > 500
    assert believed < tried / 4
    counted(tried, tried)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_no_header_has_is_refused(made, attempt, kind):
    said, arrays = resigned.parts(made[kind].path)
    for inner in ("arguments", "calibration"):
        if inner in said:
            more = {**said, inner: {**said[inner], "evil\x1b": 1}}
            assert r"evil\x1b: unknown" in attempt(kind, more, arrays) or inner == "calibration"
            assert attempt(kind, more, arrays)
    assert "more: unknown" in attempt(kind, {**said, "more": 1}, arrays)
    twice = '"input_range": [-1, 1]'
    assert "a name twice" in attempt(kind, said, arrays, twice, f"{twice}, {twice}")
    assert "a name twice" in attempt(kind, said, arrays, '"seed": 3', '"seed": 3, "seed": 4')
    huge = attempt(kind, said, arrays, '"seed": 3', '"seed": 1' + "0" * 5000)
    assert "damaged" in huge
    assert "damaged" in attempt(kind, said, arrays, "{", "{" * 50_000)
    assert "not a network file" in attempt(kind, said, arrays, said["network"], "x")
    long = {**said, "provenance": {"text": "x" * 2**23}}
    assert "expected at most 8,388,608" in attempt(kind, long, arrays)


def spoilt(array):
    """The array with everything wrong that an array can have."""
    flat = array.reshape(-1)
    for value in (np.nan, np.inf, -np.inf) if array.dtype.kind == "f" else ():
        broken = flat.copy()
        broken[-1] = value
        yield broken.reshape(array.shape)
    for kind in ("f2", "f8", "i1", "i4", "i8", "u4", "b1"):
        if np.dtype(kind).kind != array.dtype.kind or array.dtype.kind == "f":
            yield array.astype(kind)
    yield array[None]
    yield np.concatenate([flat, flat])
    yield np.zeros([0, *array.shape], array.dtype)


@pytest.mark.parametrize("kind", NETWORKS)
def test_changed_arrays_are_refused_in_one_line(made, attempt, kind, counted):
    said, arrays = resigned.parts(made[kind].path)
    tried = 0
    roles = {name.rpartition("/")[2]: name for name in arrays} | {"first": next(iter(arrays))}
    for name, array in ((name, arrays[name]) for name in roles.values()):
        for broken in spoilt(array):
            message = attempt(kind, said, {**arrays, name: broken})
            assert name.split("/")[-1] in message or "number" in message, (name, broken.dtype)
            tried += 1
        less = {other: x for other, x in arrays.items() if other != name}
        assert attempt(kind, said, less)
        assert attempt(kind, said, {**less, name + "\x1b": array})
        assert attempt(kind, said, {**arrays, "more": array})
        assert attempt(kind, said, {**arrays, "calibration/more": array})
    assert tried >= 25
    assert attempt(kind, said, {})
    counted(tried, tried)


@pytest.mark.parametrize("kind", files.NAMING)
def test_changed_arrays_are_refused_without_tensorflow_too(made, tmp_path, kind):
    said, arrays = resigned.parts(made[kind].path)
    path, tried = tmp_path / "x.safetensors", 0
    known = light.constructors((kind,))
    resigned.write(path, said, arrays)
    assert files.load(path, known, "--model", batch=4).network.sources == 3
    roles = {name.rpartition("/")[2]: name for name in arrays}
    for name in roles.values():
        rest = {other: x for other, x in arrays.items() if other != name}
        more = ({**rest, name: x} for x in spoilt(arrays[name]))
        for changed_ones in [rest, {**arrays, "more": arrays[name]}, *more]:
            resigned.write(path, said, changed_ones)
            with pytest.raises(UserError) as refused:
                files.load(path, known, "--model", batch=4)
            message = str(refused.value)
            assert message.startswith(f"--model {path}: "), message
            assert message.isprintable(), message
            assert len(message) < len(str(path)) + 700, message
            tried += 1
    assert tried >= 25


def test_values_that_mean_nothing_are_refused(made, attempt):
    said, arrays = resigned.parts(made["generator"].path)
    for lod in (-1, 3, 1e9):
        assert f"lod {lod:.1f}; expected 0 to 2" in attempt(
            "generator", said, {**arrays, "lod": np.array(lod, np.float32)}
        )
    said, arrays = resigned.parts(made["classifier"].path)
    for low in (0, -1):
        spread = np.full(16, low, np.float32)
        message = attempt("classifier", said, {**arrays, "calibration/deviations": spread})
        assert "centres that are out of range" in message
    plain = {name: x for name, x in said.items() if name != "calibration"}
    assert "expected none" in attempt("classifier", plain, arrays)
    bare = {name: x for name, x in arrays.items() if not name.startswith("calibration/")}
    assert "no arrays; expected" in attempt("classifier", said, bare)
    assert attempt("classifier", plain, bare) == ""


def test_checking_a_header_needs_no_tensorflow(made):
    program = (
        "import sys\nfrom gan_fingerprints.networks import files\n"
        "for path in sys.argv[1:]: files.read(path, '--flag')\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    paths = [str(kind.path) for kind in made.values()]
    subprocess.run([sys.executable, "-c", program, *paths], check=True)


def test_every_argument_of_every_network_has_a_rule():
    assert set(header.ARGUMENTS) == set(files.KINDS)
    for kind, make in NETWORKS.items():
        assert set(make().arguments) == set(header.ARGUMENTS[kind])
    for mode in trunk.MODES:
        assert header.ARGUMENTS["classifier"]["mode"].holds(mode)
    for correlation in get_args(Correlation):
        assert header.ARGUMENTS["visnet_autoencoder"]["correlation"].holds(correlation)


def stored(kind, parameters, **arguments):
    return StoredNetwork(kind, arguments, {"w": np.broadcast_to(np.float32(0), (parameters,))})


TRUNK = {"mode": "postpool", "switching_res": 4, "latent_res": -1, "fused_scale": False}
PAPER = {"fmap_base": 1024, "fmap_max": 512, "num_sources": 5, **TRUNK}
TINY = {"resolution": 1024, "fmap_base": 512, "fmap_max": 2, "num_sources": 3, **TRUNK}
PROGAN = {"label_size": 0, "fmap_base": 8192, "fmap_max": 512, "fused_scale": True}


@pytest.mark.parametrize(
    ("kind", "parameters", "batch", "arguments", "fits"),
    [
        ("classifier", 9_000_000, 64, {"resolution": 128, **PAPER}, 64),
        ("classifier", 9_000_000, 64, {"resolution": 256, **PAPER}, 64),
        ("classifier", 16_000, 64, TINY, 56),
        ("classifier", 16_000, 64, {**TINY, "resolution": 4096}, 3),
        ("generator", 23_000_000, 16, {"resolution": 1024, **PROGAN}, 16),
        ("generator", 23_000_000, 64, {"resolution": 1024, **PROGAN}, 29),
        ("generator", 1000, 16, {"resolution": 1024, **PROGAN, "fmap_max": 2}, 16),
        ("ResNetGenerator", 10**7, 64, {"size": 256, "ch": 64}, 25),
        ("ipm_generator", 10**7, 64, {"output_size": 128, "gf_dim": 64}, 64),
    ],
)
def test_a_batch_fits_into_the_budget(kind, parameters, batch, arguments, fits):
    network = stored(kind, parameters, **arguments)
    header.require_memory(network, fits, "x", "--batch")
    if fits < batch:
        with pytest.raises(UserError, match=f"^x: images of .* lower --batch to {fits}$"):
            header.require_memory(network, batch, "x", "--batch")


def test_what_fits_in_no_batch_says_so():
    network = stored("generator", 1000, **{**PROGAN, "resolution": 4096, "fmap_base": 2**17})
    with pytest.raises(UserError, match=r"expected at most 2\.0 GiB .*; use a smaller network$"):
        header.require_memory(network, 1, "x", "--batch")


def test_a_small_file_of_large_images_is_refused_at_once(tmp_path):
    path = tmp_path / "x.safetensors"
    files.write(path, stored("classifier", 16_000, **TINY))
    assert path.stat().st_size < 70_000
    start = time.process_time()
    with pytest.raises(UserError, match=r"take some 2\.2 GiB in batches of 64, .* --batch to 56$"):
        files.load(path, {"classifier": None}, "--model_path", batch=64)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("name", [x for x in WRONG if isinstance(x, str) and x != "x"])
def test_names_that_are_no_names(name):
    with pytest.raises(Refused, match="expected 2 different ones of 1 to 100 printable") as error:
        header.require_names(["a", name], 2)
    assert str(error.value).isprintable()
    with pytest.raises(UserError, match="--source_names: found 2 names"):
        source_names(2, ["a", name])


def test_names_that_are_names():
    header.require_names(["Käse und Brot", "写真", "x" * 100, "a.b-c (1)"], 4)
