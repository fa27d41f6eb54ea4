"""The schedule against the published one, and the flags."""

import dataclasses
import json

import pytest

from gan_fingerprints.typed import ladder
from ProGAN.config import PRESETS, Config, level_sides, schedule, step_of


@pytest.mark.parametrize("resolution", [32, 128])
def test_default_schedule_is_the_published_one(reference, resolution):
    info = json.loads(reference("data/progan_data_info.json").read_text())
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


def test_defaults_are_the_publications():
    found = dataclasses.asdict(Config())
    assert found.pop("minibatch") == {
        4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 256: 16, 512: 8, 1024: 4
    }  # fmt: skip
    assert found.pop("learning_rate") == {4: 0.001, 128: 0.0015, 256: 0.002, 512: 0.003}
    assert found == {
        "training_seed": 1000, "resolution": None, "fmap_base": 8192, "fmap_max": 512,
        "fused_scale": True, "mbstd_group_size": 4, "use_labels": False, "total_kimg": 12000.0,
        "lod_initial_resolution": 4, "lod_training_kimg": 600.0, "lod_transition_kimg": 600.0,
        "minibatch_repeats": 4, "beta_1": 0.0, "beta_2": 0.99, "epsilon": 1e-8,
        "average_decay": 0.999, "gp_weight": 10.0, "drift_weight": 0.001, "tick_kimg": 1.0,
        "image_ticks": 20, "snapshot_ticks": 100,
    }  # fmt: skip


def test_schedule_moment_by_moment():
    """From 8 to 32 px: 10 thousand images stable, 30 thousand fading, twice, then stable."""
    config = Config(lod_initial_resolution=8, lod_training_kimg=10, lod_transition_kimg=30)
    lods = {0: 2, 9_999: 2, 10_000: 2, 25_000: 1.5, 39_999: 2 - 29.999 / 30, 40_000: 1,
            50_000: 1, 65_000: 0.5, 80_000: 0, 90_000: 0, 10**9: 0}  # fmt: skip
    for shown, lod in lods.items():
        now = schedule(config, 32, shown)
        assert now.lod == pytest.approx(lod), shown
        # The finer of two resolutions that a fade is between decides.
        assert now.minibatch == {2: 256, 1: 128, 0: 64}[int(now.lod)], shown


@pytest.mark.parametrize(
    ("resolution", "minibatch", "rate"),
    [(64, 32, 0.001), (128, 32, 0.0015), (256, 16, 0.002), (512, 8, 0.003), (1024, 4, 0.003)],
)
def test_minibatch_and_rate_of_large_images(resolution, minibatch, rate):
    now = schedule(Config(), resolution, 10**9)
    assert (now.lod, now.minibatch, now.learning_rate) == (0, minibatch, rate)


def test_a_run_that_starts_above_its_resolution():
    assert level_sides(Config(lod_initial_resolution=64), 32) == [32]
    assert schedule(Config(lod_initial_resolution=64), 32, 0).lod == 0
