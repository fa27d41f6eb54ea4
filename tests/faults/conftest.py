"""How much of each kind of fault is tried: a slice by default, all of it in the fault job."""

import os
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def times() -> Callable[[int, int], int]:
    """`times(full, few)`: the number to try."""
    return lambda full, few: full if os.environ.get("FAULTS") == "full" else few


@pytest.fixture
def counted(record_property) -> Callable[[int, int], None]:
    """`counted(tried, survived)` puts the numbers into the job's report and requires all."""

    def count(tried: int, survived: int) -> None:
        record_property("tried", tried)
        record_property("survived", survived)
        assert survived == tried > 0

    return count
