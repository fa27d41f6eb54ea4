"""What a run's log says, to compare one that was interrupted with one that was not."""

import re
from pathlib import Path


def lines(log: Path) -> list[str]:
    """The lines of log.txt, but for those that say where it was continued, without any times."""
    said = re.sub(r"sec/(\w+) \S+", r"sec/\1", log.read_text()).splitlines()
    return [line for line in said if not line.startswith(("continuing at ", "finished: "))]
