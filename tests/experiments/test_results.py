"""Tables of answers are read as they were written, whatever more their rows have."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments import results
from gan_fingerprints.attribution.tables import write_csv, write_scores
from gan_fingerprints.attribution.verdict import Attribution


def test_columns_of_tiles_ratios_and_stability_are_no_sources(tmp_path):
    shares = {"gan": 0.25, "real": 0.75}
    row = Attribution(Path("real/a.png"), "real", shares, score=-0.5)
    seen = {"tiles": 1, "spread": 0.0, "agreement": 1.0, "stable": True, "turned_by": None}
    ratios = {"log10_lr": {"gan": -1.0, "real": 1.0}, "log10_outside": 0.5}
    rows = [
        replace(row, **seen, **ratios),
        replace(row, path=Path("gan/b.png"), predicted="unknown"),
    ]
    path = tmp_path / "answers.csv"
    write_csv(path, rows)
    write_scores(path.with_suffix(".scores.csv"), rows, "lower_rank", 0.02)
    found = results.read(path)
    assert found.names == ["gan", "real"]
    np.testing.assert_array_equal(found.probabilities, [[0.25, 0.75]] * 2)
    assert found.right.tolist() == [True, False]
    assert found.unknown.tolist() == [False, True]
    np.testing.assert_array_equal(found.scores, [-0.5, -0.5])  # of networks with two scores in one
