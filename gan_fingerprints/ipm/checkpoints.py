"""The generator to sample from: the newest network of ours, or a published checkpoint."""

from __future__ import annotations

from pathlib import Path

from gan_fingerprints.ipm.config import Config
from gan_fingerprints.networks import files, own_format
from gan_fingerprints.networks.files import Loaded
from gan_fingerprints.networks.published import tf1_checkpoint
from gan_fingerprints.program import UserError

KIND = "ipm_generator"
FLAG = "--checkpoint_dir"


def find(checkpoint_dir: str, name: str, description: str) -> Path:
    """Our network file, or the prefix of a published checkpoint.

    Looks in CHECKPOINT_DIR/NAME/DESCRIPTION, then in all of CHECKPOINT_DIR/NAME. Network files
    come before checkpoints; of several, the one that has seen most images.

    Raises:
        UserError: there is none; says where it looked.
    """
    folder = Path(checkpoint_dir, name)
    for place in (folder / description, folder):
        if network := newest_network(place):
            return network
        # A run's own training states are in folders of that name, and no networks.
        if any("checkpoints" not in x.relative_to(place).parts for x in place.rglob("*.index")):
            return tf1_checkpoint.newest(place, FLAG)
    what = "no checkpoint in or below it" if folder.is_dir() else "no such folder"
    raise UserError(
        f"{FLAG} {checkpoint_dir} --name {name}: looked in {folder} and in its {description}: "
        f"{what}; expected network-*.safetensors of a training run, or a published checkpoint "
        "MMDGAN.model-STEP.index and .data-00000-of-00001; add --is_train to train"
    )


def newest_network(folder: Path) -> Path | None:
    """The generator file in or below a folder that has seen the most images."""
    seen = {path: _images_shown(path) for path in sorted(folder.rglob("*.safetensors"))}
    ours = {path: shown for path, shown in seen.items() if shown is not None}
    return max(ours, key=lambda path: (ours[path], "final" in path.name)) if ours else None


def _images_shown(path: Path) -> int | None:
    """None unless the file holds a generator."""
    try:
        network = own_format.describe(path, FLAG)
        return int(network.provenance.get("images_shown", 0)) if network.kind == KIND else None
    except (UserError, TypeError, ValueError):
        return None


def load(path: Path, config: Config, given: set[str]) -> Loaded:
    """The generator of a network file or published checkpoint.

    Args:
        path: as `find` returns it.
        config: what the flags say.
        given: names of the flags that were given, which must agree with the file.

    Raises:
        UserError: damaged, or not what the flags say.
    """
    from gan_fingerprints.ipm.networks import Generator

    loaded = files.load(path, {KIND: Generator}, FLAG, None, config.batch_size, "--batch_size")
    stored = loaded.arguments
    for name in sorted(given & set(stored)):
        if getattr(config, name) != stored[name]:
            raise UserError(
                f"--{name} {getattr(config, name)}: {path} has {stored[name]}; leave the flag "
                "out, or name another checkpoint"
            )
    return loaded
