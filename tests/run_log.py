"""What a run's log says, to compare one that was interrupted with one that was not; TensorBoard."""

import re
from pathlib import Path
from types import SimpleNamespace


def lines(log: Path) -> list[str]:
    """The lines of log.txt, but for those that say where it was continued, without any times."""
    said = re.sub(r"sec/(\w+) \S+", r"sec/\1", log.read_text()).splitlines()
    return [line for line in said if not line.startswith(("continuing at ", "finished: "))]


def tensorboard(folder: Path) -> SimpleNamespace:
    """What TensorBoard shows of a run: `scalars`, name → its last value, `images`, `texts`."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    found = SimpleNamespace(scalars={}, images=set(), texts={})
    for name in events.Tags()["tensors"]:
        value = tensor_util.make_ndarray(events.Tensors(name)[-1].tensor_proto)
        kind = events.SummaryMetadata(name).plugin_data.plugin_name
        if kind == "scalars":
            found.scalars[name] = float(value)
        elif kind == "images":
            found.images.add(name)
        else:
            found.texts[name] = value.item().decode()
    return found


EVERY = {"learning_rate", "seconds_per_kimg", "skipped_steps"}
OF_GANS = {*EVERY, "loss/G", "loss/D"}
"""The scalars that all trainers, and all of GANs, write."""
