"""The schedule against the published one, and the flags."""

import json

import pytest

from gan_fingerprints.typed import ladder
from ProGAN.config import PRESETS, Config, level_sides, schedule, step_of


@pytest.mark.parametrize("resolution", [32, 128])
def test_default_schedule_is_the_published_one(oracles, resolution):
    info = json.loads((oracles / "data" / "progan_data_info.json").read_text())
    rows = info["progan_schedule"][f"res{resolution}"]
    assert len(rows) > 90
    for kimg, lod, side, minibatch, rate, _, tick_kimg in rows:
        now = schedule(Config(), resolution, round(kimg * 1000))
        assert now.lod == pytest.approx(lod, abs=1e-9), kimg
        assert resolution // 2 ** int(now.lod) == side
        assert (now.minibatch, now.learning_rate) == (minibatch, rate), kimg
        assert Config().tick_kimg == tick_kimg


def test_schedule_without_fades_or_growth():
    assert schedule(Config(lod_transition_kimg=0.0), 32, 600_000).lod == 2
    assert schedule(Config(lod_initial_resolution=32), 32, 0).lod == 0
    both = Config(lod_training_kimg=0.0, lod_transition_kimg=0.0)
    assert schedule(both, 32, 0).lod == 0


def test_ladder():
    assert ladder(int)("16") == {4: 16}
    values = ladder(float)("4:0.001,128:0.0015")
    assert [step_of(values, r) for r in (4, 64, 128, 1024)] == [0.001, 0.001, 0.0015, 0.0015]


def test_presets_only_set_known_options():
    for preset in PRESETS.values():
        Config(**preset)


def test_levels_of_a_run():
    assert level_sides(Config(), 32) == [4, 8, 16, 32]
    assert level_sides(Config(lod_initial_resolution=16), 32) == [16, 32]
