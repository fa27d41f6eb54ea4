"""Network files: KINDS says which networks there are, FORMATS which files they come in.

Loading builds the network from our own code, by the name of its kind, and fills it; nothing in a
file is executed. What a file holds decides what it is, not its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_fingerprints import program, rooms
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.likelihoods.fitted import Likelihoods
from gan_fingerprints.networks import header, own_format
from gan_fingerprints.networks import precision as precisions
from gan_fingerprints.networks.enrolment import Enrolment
from gan_fingerprints.networks.graphs import light
from gan_fingerprints.networks.published import (
    chainer_snapshot,
    network_pickle,
    tf1_checkpoint,
    tf1_networks,
)
from gan_fingerprints.networks.published.source_names import source_names
from gan_fingerprints.networks.stored import Refused, StoredNetwork, clipped
from gan_fingerprints.program import UserError, existing_file, whole_file

if TYPE_CHECKING:
    import keras

KINDS = {
    "generator": "ProGAN.networks:Generator",
    "discriminator": "ProGAN.networks:Discriminator",
    "ResNetGenerator": "SNGAN.gen_models.resnet:ResNetGenerator",
    "SNResNetProjectionDiscriminator": "SNGAN.dis_models.snresnet:SNResNetProjectionDiscriminator",
    "ipm_generator": "gan_fingerprints.ipm.networks:Generator",
    "ipm_discriminator": "gan_fingerprints.ipm.networks:Discriminator",
    "classifier": "classifier.networks:Classifier",
    "residual": "classifier.residual:Residual",
    "cooccurrence": "gan_fingerprints.networks.cooccurrence:Cooccurrence",
    "visnet_autoencoder": "classifier_visNet.networks:AutoEncoder",
    "visnet_critic": "classifier_visNet.networks:Critic",
}
"""Kind of network, as files name it → module and class, which is imported when one is built."""
NAMING = ("classifier", "residual", "cooccurrence", "visnet_autoencoder")  # name sources


@dataclass(frozen=True)
class Loaded:
    """A network read from a file, and what its header says.

    Attributes:
        names_assumed: the line to print when the file carries no source names and they are the
            known order of the release; empty otherwise.
        calibration, enrolment, likelihoods, card, bfloat16: what the file holds of them, or None.
    """

    network: keras.Model
    arguments: dict[str, Any]
    source_names: list[str] | None
    provenance: dict[str, Any]
    names_assumed: str = ""
    calibration: Calibration | None = None
    enrolment: Enrolment | None = None
    likelihoods: Likelihoods | None = None
    card: dict[str, Any] | None = None
    bfloat16: dict[str, int] | None = None


def named_variables(network: keras.Model) -> dict[str, Any]:
    """The network's variables by layer and role, e.g. `8x8_Conv1/weight`, in creation order."""
    return {v.path.partition("/")[2] or v.path: v for v in network.variables}


def arrays_of(network: keras.Model) -> dict[str, np.ndarray]:
    """The network's weights by name, as `fill` takes them."""
    return {name: np.asarray(v) for name, v in named_variables(network).items()}


def save(
    path: str | Path,
    network: keras.Model,
    provenance: dict[str, Any],
    source_names: list[str] | None = None,
    calibration: Calibration | None = None,
    enrolment: Enrolment | None = None,
    likelihoods: Likelihoods | None = None,
    card: dict[str, Any] | None = None,
    bfloat16: dict[str, int] | None = None,
) -> None:
    """Writes a network whose class keeps its constructor arguments in `arguments`."""
    stored = StoredNetwork(
        network.name, network.arguments, arrays_of(network), source_names, provenance,
        calibration=calibration, enrolment=enrolment, likelihoods=likelihoods,
        card=card, bfloat16=bfloat16,
    )  # fmt: skip
    write(path, stored)


def write(path: str | Path, stored: StoredNetwork) -> None:
    """Writes a network, also one that was never built, e.g. one read from a published file.

    A name that ends in .npz asks for Chainer's layout, any other for ours.
    """
    writers = {x.ending: x.write for x in FORMATS if x.write}
    with whole_file(path) as partial_path:
        writers.get(Path(path).suffix, own_format.write)(partial_path, stored)


def load(
    path: str | Path,
    kinds: Mapping[str, Callable[..., keras.Model]],
    flag: str,
    names: str | None = None,
    batch: int = 1,
    batch_flag: str = "--batch",
) -> Loaded:
    """Reads a network file of ours, or a pickle, snapshot or checkpoint of the release.

    Args:
        path: the file.
        kinds: network name → class, for the kinds that are welcome. Of a published file with
            several, the last welcome one is taken: the averaged generator or auto-encoder.
        flag: the command-line flag that named the file, for messages.
        names: value of `--source_names`; None for those of the file, or the release's known
            order where it carries none (see `Loaded.names_assumed`).
        batch: images that it will be given at once, as `batch_flag` says.

    Raises:
        UserError: not a network file, another kind, damaged, not fitting its own header, or such
            that a batch does not fit into memory, see `header.require_memory`.
    """
    stored = read(path, flag, kinds)[-1]
    origin = f"{flag} {path}"
    try:
        header.require_plausible(stored)
        header.require_memory(stored, batch, origin, batch_flag)
        network = kinds[stored.kind](**stored.arguments)
    except ValueError as error:
        raise UserError(
            f"{origin}: arguments that make no {stored.kind} ({str(error)[:500]})"
        ) from None
    take = getattr(network, "fill", None) or partial(fill, network)  # of those without Keras
    arrays, stored = dict(stored.arrays), replace(stored, arrays={})  # to be had by one alone
    take(arrays, origin)
    sources, assumed = stored.source_names, ""
    if "num_sources" in stored.arguments and (sources is None or names):
        outputs, file_name = stored.arguments["num_sources"], Path(path).name
        sources, assumed = source_names(outputs, names, file_name)
    arguments = getattr(network, "arguments", stored.arguments)
    beside = stored.enrolment, stored.likelihoods, stored.card, stored.bfloat16
    said = sources, stored.provenance, assumed, stored.calibration
    return Loaded(network, arguments, *said, *beside)


def attributing(
    path: str | Path, flag: str, names: str | None = None, batch: int = 1,
    precision: str = precisions.FLOAT32,
) -> Loaded:  # fmt: skip
    """A network that names sources, without TensorFlow where `light.chosen` says so.

    Arguments, errors: as of `load`; precision: see `precision.chosen`, others need TensorFlow.
    """
    if precision != precisions.FLOAT32:
        stored = read(path, flag, NAMING)[-1]
        enrolled = bool(stored.enrolment and stored.enrolment.newcomers)
        precision = precisions.chosen(precision, stored.bfloat16, enrolled)[0]
    if precision == precisions.FLOAT32 and light.chosen():
        return load(path, light.constructors(NAMING), flag, names, batch)
    program.load_tensorflow()
    return load(path, constructors(), flag, names, batch)


def fill(network: keras.Model, arrays: Mapping[str, Any], origin: str) -> None:
    """Sets every variable, or none: UserError unless names and shapes agree exactly."""
    variables = named_variables(network)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    require_shapes(arrays, shapes, origin, network.name)
    values = {}
    for name in variables:
        try:
            values[name] = np.asarray(arrays[name])
        except Refused as error:
            raise UserError(f"{origin}: array {clipped(name)}: {error}") from None
    for name, variable in variables.items():
        variable.assign(values[name])


def require_shapes(
    arrays: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], origin: str, kind: str
) -> None:
    """UserError unless the arrays are these, of these shapes, and none besides."""
    for name in [*shapes, *arrays]:
        expected = shapes.get(name, "no such array")
        found = arrays[name].shape if name in arrays else "nothing"
        if expected != found:
            raise UserError(
                f"{origin}: array {clipped(name)}: found {found}, expected {expected} for this "
                f"{kind}; use the settings that the file's network was trained with"
            )


def fill_from(path: str | Path, networks: Collection[keras.Model], flag: str) -> None:
    """Fills the one of some networks, all of different kinds, whose weights a file holds.

    Raises:
        UserError: as `load`; also for weights of other shapes.
    """
    kinds = {network.name: network for network in networks}
    stored = read(path, flag, kinds)[-1]
    fill(kinds[stored.kind], stored.arrays, f"{flag} {path}")


def read(path: str | Path, flag: str, kinds: Collection[str] | None = None) -> list[StoredNetwork]:
    """What a network file of any format holds, in the order of the file; nothing is built.

    A TensorFlow 1 checkpoint is named by its folder, a folder above, its prefix or its index.

    kinds: the networks that are welcome, others are left out; all by default.

    Raises:
        UserError: not a network file, damaged, or without a welcome network.
    """
    path = Path(path)
    networks = _format_of(path, flag, kinds).read(path, flag)
    for network in networks:
        try:
            header.require_arguments(network.kind, network.arguments)
        except Refused as error:
            raise UserError(f"{flag} {path}: refused: {error}") from None
    if kinds is None:
        return networks
    welcome = [network for network in networks if network.kind in kinds]
    if not welcome:
        held = " and a ".join(dict.fromkeys(clipped(network.kind) for network in networks))
        raise UserError(f"{flag} {path}: holds a {held}, expected a {' or '.join(kinds)}")
    return welcome


def constructors(*kinds: str) -> dict[str, Callable[..., Any]]:
    """What `load` builds networks of some kinds with, by default of those that name sources."""
    return {kind: partial(_construct, kind) for kind in kinds or NAMING}


def _construct(kind: str, **arguments: Any) -> Any:
    module, _, name = KINDS[kind].partition(":")
    return getattr(rooms.module(module), name)(**arguments)


@dataclass(frozen=True)
class Format:
    """A format of network files.

    Attributes:
        about: what messages call such a file.
        ending: of its name, as a rule.
        magic: what its first bytes look like; None for several files in a folder.
        kinds: the networks that may be in such a file.
        read: (path, flag that named it) → its networks; UserError when it is damaged.
        write: (path, network) writes one; None for formats that are only read.
    """

    about: str
    ending: str
    magic: re.Pattern[bytes] | None
    kinds: Collection[str]
    read: Callable[[Path, str], list[StoredNetwork]]
    write: Callable[[Path, StoredNetwork], None] | None = None


def _format_of(path: Path, flag: str, kinds: Collection[str] | None) -> Format:
    possible = [x for x in FORMATS if kinds is None or set(kinds).intersection(x.kinds)]
    several = path.is_dir() or path.suffix == ".index" or Path(f"{path}.index").is_file()
    if several and CHECKPOINT in possible:
        return CHECKPOINT
    with existing_file(path, flag).open("rb") as file:
        start = file.read(9)
    for one in FORMATS:
        if one.magic and one.magic.match(start):
            return one
    raise UserError(
        f"{flag} {path}: not a network file of ours nor of the 2019 release; expected "
        f"{' or '.join(x.about for x in possible)}"
    )


def _read_checkpoint(path: Path, flag: str) -> list[StoredNetwork]:
    return tf1_networks.read(tf1_checkpoint.newest(path, flag), flag)


def _read_published(
    reader: Callable[[Path], list[StoredNetwork]], path: Path, flag: str
) -> list[StoredNetwork]:
    try:
        networks = reader(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except Refused as error:
        raise UserError(
            f"{flag} {path}: refused: {error}; damaged, or not in a format of the 2019 release"
        ) from None
    return [
        replace(network, provenance={
            "published_file": path.name,
            "published_sha256": digest,
            "published_network": network.published_as,
        })
        for network in networks
    ]  # fmt: skip


CHECKPOINT = Format(
    "a folder with a TensorFlow 1 checkpoint",
    ".index",
    None,
    ("ipm_generator", "ipm_discriminator"),
    _read_checkpoint,
)
FORMATS = (
    CHECKPOINT,
    Format(  # a length of eight bytes, then JSON
        "a .safetensors file that a training run wrote",
        ".safetensors",
        re.compile(rb".{8}\{", re.DOTALL),
        KINDS,
        own_format.read,
        own_format.write,
    ),
    Format(
        "a snapshot of SNGAN's or Chainer's (.npz)",
        ".npz",
        re.compile(rb"PK"),
        (chainer_snapshot.GENERATOR, chainer_snapshot.DISCRIMINATOR),
        partial(_read_published, chainer_snapshot.read),
        chainer_snapshot.write,
    ),
    Format(  # what the first operation of a pickle of any protocol may be
        "a published .pkl",
        ".pkl",
        re.compile(rb"[\x80(c\]}i]"),
        [kind for kind, _ in network_pickle.FUNCTIONS.values()],
        partial(_read_published, network_pickle.read),
    ),
)
