import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.data import sample_photos


def pixels(num, size, seed):
    return [crop.tobytes() for crop in sample_photos.crops(num, size, seed)]


def test_no_two_crops_are_alike_and_the_seed_decides():
    crops = pixels(500, 32, seed=3)
    assert {len(crop) for crop in crops} == {32 * 32 * 3}
    assert len(set(crops)) == 500
    assert crops == pixels(500, 32, seed=3)
    assert not set(crops) & set(pixels(500, 32, seed=4))


def test_crops_come_from_the_photographs_at_half_or_a_quarter_of_their_size(monkeypatch):
    """Where a photograph is a ramp of one level per pixel, a crop's slope is its scale."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    monkeypatch.setattr(sample_photos, "photographs", lambda: [Image.fromarray(ramp)])
    crops = [np.asarray(crop, int) for crop in sample_photos.crops(20, 16)]
    slopes = {round(float(np.diff(crop[:, 4:-4], axis=1).mean())) for crop in crops}
    assert slopes == {2, 4}


def test_the_command_writes_as_many_png_files_as_asked(run_script, tmp_path):
    out = tmp_path / "photos"
    run_script("gan_fingerprints", "sample_photos", out, "--num", 12, "--size", 16)
    files = sorted(out.iterdir())
    assert [file.name for file in files] == [f"{i:06d}.png" for i in range(12)]
    opened = [Image.open(file) for file in files]
    assert {(file.format, file.mode, file.size) for file in opened} == {("PNG", "RGB", (16, 16))}


@pytest.mark.slow
def test_what_the_photographs_do_not_hold_is_said_and_leaves_nothing(run_script, tmp_path):
    for wanted, told in [
        (("--size", 257), "--size: found 257, expected 256 or less"),
        (("--size", 256, "--num", 5000), "--num: found 5000, expected 90 or less"),
    ]:
        done = run_script("gan_fingerprints", "sample_photos", tmp_path / "x", *wanted, check=False)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.iterdir())
