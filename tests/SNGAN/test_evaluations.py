"""Generation, interpolation and the measure of collapse, through their command lines."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from gan_fingerprints import images
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from SNGAN.evaluations import gen_images, gen_interpolated_images
from SNGAN.evaluations.diversity import mean_pairwise_distance
from SNGAN.evaluations.gen_interpolated_images import inputs
from SNGAN.gen_models.resnet import ResNetGenerator

CONFIGS = Path(gen_images.__file__).parents[1] / "configs"


def write_config(path, **generator):
    tree = yaml.safe_load((CONFIGS / "sn_projection_celeba.yml").read_text())
    tree["models"]["generator"]["args"].update(generator)
    tree["models"]["discriminator"]["args"]["size"] = generator.get("size", 128)
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Configuration and snapshot of a 32 px generator of 3 classes that differ."""
    folder = tmp_path_factory.mktemp("small")
    config = write_config(folder / "small.yml", size=32, ch=2, n_classes=3)
    keras.utils.set_random_seed(0)
    G = ResNetGenerator(32, ch=2, n_classes=3)
    random = np.random.RandomState(0)
    for variable in G.variables:
        if variable.name == "avg_var":
            variable.assign(np.ones(variable.shape))
        if "gammas" in variable.path or "betas" in variable.path:
            variable.assign(random.randn(*variable.shape))
    files.save(folder / "G.npz", G, {})
    return ["--config_path", config, "--snapshot", folder / "G.npz"]


@pytest.mark.slow
def test_published_images_of_a_seed(run_script, reference, tmp_path):
    config = write_config(tmp_path / "ch4.yml", ch=4)
    snapshot = reference("sngan/sngan_ch4_ResNetGenerator_150000.npz")
    run_script(
        "SNGAN/evaluations/gen_images.py", "--config_path", config, "--snapshot", snapshot,
        "--results_dir", "gen/faces", "--num_pngs", 4, "--seed", 0, cwd=tmp_path,
    )  # fmt: skip
    paths = images.find_images(tmp_path / "gen" / "faces")
    assert [path.name for path in paths] == [f"SNGAN_{i:08d}.png" for i in range(4)]
    found = np.stack([images.read_image(path) for path in paths]).astype(int)
    expected = np.load(reference("sngan/sngan_ch4.gen_seed0.npz"))["images_uint8_nhwc"]
    assert np.abs(found[: len(expected)] - expected).max() <= 1


@pytest.mark.slow
def test_classes_and_sheets(call, small, tmp_path):
    more = ["--num_pngs", 18, "--classes", 0, 2, "--rows", 3, "--columns", 5]
    call(gen_images, *small, "--results_dir", tmp_path / "a", *more)
    found = {path.name: images.read_image(path) for path in images.find_images(tmp_path / "a")}
    assert len(found) == 2 * 18 + 2
    sheet = found["sheet_class_2.png"]
    assert sheet.shape == (3 * 32, 5 * 32, 3)
    np.testing.assert_array_equal(sheet[64:, 128:], found[f"SNGAN_{18 + 14:08d}.png"])
    assert np.abs(sheet.astype(int) - found["sheet_class_0.png"]).max() > 10


def test_fewer_images_of_a_seed_are_the_first(call, small, tmp_path):
    for number in (3, 20):
        folder = tmp_path / str(number)
        call(gen_images, *small, "--num_pngs", number, "--results_dir", folder)
    for path in images.find_images(tmp_path / "3"):
        assert path.read_bytes() == (tmp_path / "20" / path.name).read_bytes()


@pytest.mark.slow
def test_rounding_is_at_most_a_level_brighter(call, small, tmp_path):
    for flag in (0, 1):
        call(gen_images, *small, "--round", flag, "--results_dir", tmp_path / str(flag))
    cut, rounded = (
        np.stack([images.read_image(path) for path in images.find_images(tmp_path / name)])
        for name in ("0", "1")
    )
    difference = (rounded.astype(int) - cut)[(cut > 0) & (cut < 254)]
    assert set(np.unique(difference)) == {0, 1}
    assert 0.3 < difference.mean() < 0.7  # the untrained network has few different levels


def test_interpolation_begins_and_ends_at_its_latents(call, small, tmp_path):
    more = ["--rows", 2, "--columns", 5, "--classes", 1, "--seed", 3]
    call(gen_interpolated_images, *small, *more, "--results_dir", tmp_path / "between")
    more = ["--num_pngs", 4, "--classes", 1, "--seed", 3]
    call(gen_images, *small, *more, "--results_dir", tmp_path / "ends")
    ends = [images.read_image(p).astype(int) for p in images.find_images(tmp_path / "ends")]
    for row in range(2):
        for column, end in ((0, ends[row]), (4, ends[2 + row])):
            name = f"SNGAN_interpolated_{row:03d}_{column:03d}.png"
            found = images.read_image(tmp_path / "between" / name)
            assert np.abs(found - end).max() <= 1
    assert images.read_image(tmp_path / "between" / "interpolated.png").shape == (64, 160, 3)


def test_interpolation_between_classes_keeps_the_latent():
    ends = np.random.RandomState(0).randn(2, 3, 8).astype(np.float32)
    z, mixture = inputs(ends, [0, 2], 3, columns=5)
    np.testing.assert_array_equal(z.reshape(3, 5, 8), np.repeat(ends[0][:, None], 5, axis=1))
    np.testing.assert_allclose(mixture[1], [0.75, 0, 0.25])
    np.testing.assert_allclose(mixture[4], [0, 0, 1])


def test_distance_against_its_definition():
    pixels = np.random.RandomState(0).randint(256, size=(6, 4, 4, 3)).astype(np.uint8)
    distances = [
        np.sqrt(np.mean((pixels[i].astype(float) - pixels[j]) ** 2))
        for i in range(6)
        for j in range(i)
    ]
    assert mean_pairwise_distance(pixels) == pytest.approx(np.mean(distances), rel=1e-9)
    assert mean_pairwise_distance(np.repeat(pixels[:1], 4, axis=0)) < 1e-5


@pytest.mark.slow
def test_collapse_is_seen(run_script, photo_crops, tmp_path):
    photo_crops(tmp_path / "real", 12, 16)
    pixels = images.read_image(images.find_images(tmp_path / "real")[0])
    (tmp_path / "same").mkdir()
    for i in range(12):
        images.write_png(tmp_path / "same" / f"{i}.png", pixels)
    for folder, expected in (("real", 1), ("same", 0)):
        done = run_script("SNGAN/evaluations/diversity.py", "--generated", tmp_path / folder,
                          "--real", tmp_path / "real", "--num_images", 12)  # fmt: skip
        assert json.loads(done.stdout)["share"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("program", "more", "parts"),
    [
        (gen_images, ["--classes", 3], ["--classes 3", "0 to 2"]),
        (gen_images, ["--num_pngs", 0], ["--num_pngs", "1 or more"]),
        (gen_images, ["--rows", 3], ["--rows and --columns"]),
        (gen_images, ["--rows", 5, "--columns", 5], ["--num_pngs 10"]),
        (gen_images, ["--snapshot", "none.npz"], ["--snapshot none.npz", "expected a file"]),
        (gen_interpolated_images, ["--columns", 1], ["--columns 1"]),
        (gen_interpolated_images, ["--classes", 0, 1, 2], ["one or two"]),
        (gen_interpolated_images, ["--classes", 7], ["--classes 7", "0 to 2"]),
    ],
)
def test_bad_input_says_what_is_wrong(call, small, tmp_path, program, more, parts):
    with pytest.raises(UserError) as error:
        call(program, *small, "--results_dir", tmp_path / "new", *more)
    for part in parts:
        assert part in str(error.value)
    assert not (tmp_path / "new").exists()


def test_a_snapshot_of_another_width_leaves_nothing(call, small, tmp_path):
    config = write_config(tmp_path / "wide.yml", size=32, ch=5, n_classes=3)
    flags = ["--config_path", config, *small[2:], "--results_dir", tmp_path / "new"]
    with pytest.raises(UserError, match=r"found \(256, 128\), expected \(640, 128\)"):
        call(gen_images, *flags)
    assert not (tmp_path / "new").exists()


def test_a_preset_stands_for_its_configuration(call, small, tmp_path):
    flags = ["--preset", "small", *small[2:], "--results_dir", tmp_path / "new"]
    with pytest.raises(UserError, match=r"found \(256, 128\), expected \(3072, 128\)"):
        call(gen_images, *flags)
