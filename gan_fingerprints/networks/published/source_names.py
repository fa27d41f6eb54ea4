"""Names for the outputs of published classifiers and visNets, which carry none."""

from __future__ import annotations

from collections.abc import Sequence

from gan_fingerprints.networks.header import require_names
from gan_fingerprints.networks.stored import Refused
from gan_fingerprints.program import UserError

GANS = ("ProGAN", "SNGAN", "CramerGAN", "MMDGAN")
KNOWN_ORDERS = {
    5: ["CelebA_real_data", *(f"{name}_generated_data" for name in GANS)],
    11: ["CelebA_real_data", *(f"ProGAN_seed_{i}_generated_data" for i in range(10))],
}


def source_names(
    num_sources: int, given: str | Sequence[str] | None = None, file_name: str = ""
) -> tuple[list[str], str]:
    """Names of a network's outputs, in their order.

    Args:
        num_sources: number of outputs.
        given: the value of `--source_names`, `a,b,c` or a list; None to go by the known orders.
        file_name: of the network; a data set other than CelebA in it rules the known orders out.

    Returns:
        The names, and one line that says that they are assumed; empty when they were given.

    Raises:
        UserError: `given` has another number of names, a name twice, or one that is no name.
    """
    if given is not None:
        names = given.split(",") if isinstance(given, str) else list(given)
        names = [name.strip() for name in names]
        try:
            require_names(names, num_sources)
        except Refused as error:
            raise UserError(
                f"--source_names: {error}, in the order of the network's outputs"
            ) from None
        return names, ""
    if num_sources in KNOWN_ORDERS and "lsun" not in file_name.lower():
        names = list(KNOWN_ORDERS[num_sources])
        shown = f": {', '.join(names)}"
    else:
        names = [f"source_{i}" for i in range(num_sources)]
        shown = f" and its order is not known: {names[0]} to {names[-1]}"
    line = "source names are assumed, the network carries none"
    return names, f"{line}{shown}; --source_names gives others"
