"""Data sets with faults of every class: none is read as if nothing were."""

from tests.gan_fingerprints.data import faults


def test_no_fault_goes_unnoticed(tmp_path, times, counted):
    counts = faults.survey(tmp_path / "data", times(520, 3))
    tried = sum(sum(found.values()) for found in counts.values())
    survived = sum(
        number for found in counts.values() for what, number in found.items()
        if what in ("refused", "harmless", "same")
    )  # fmt: skip
    counted(tried, survived)
