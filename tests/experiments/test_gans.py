"""The table of GANs: what it says is there, and nothing else is needed to add one."""

import re
import tomllib

import pytest

from experiments import scale
from experiments.gans import GANS
from experiments.plan import Plan
from gan_fingerprints import rooms
from tests import help_pages
from tests.conftest import PROJECT


@pytest.mark.parametrize("name", GANS)
def test_every_gan_has_its_folder_page_tests_and_package(name):
    assert (PROJECT / name / "__init__.py").is_file()
    assert any((PROJECT / "tests" / name).glob("test_*.py"))
    assert f"\n/{name}/models/\n" in (PROJECT / ".gitignore").read_text("utf-8")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    build = project["tool"]["hatch"]["build"]
    assert f"/{name}" in build["include"]
    inside = build["targets"]["wheel"]["sources"][name]
    assert inside == f"gan_fingerprints/rooms/{name}"
    assert any(name in path.parts for path in rooms.scripts())
    assert f"[{name}](" in (PROJECT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", GANS)
def test_its_commands_have_flags_that_the_programs_know(name):
    gan, helps = GANS[name], help_pages.read()
    for command in (gan.train, gan.generate):
        places = {"photos": "p", "records": "r", "model": "m", "out": "o"}
        text = gan.command(command, "SNGAN/configs/mini_32.yml", seed=3, number=5, **places)
        script, *words = text.split()
        assert (PROJECT / script).is_file()
        for flag in filter(lambda word: word.startswith("--"), words):
            assert re.search(rf"{flag}\b", helps[script]), flag
        assert not re.search(r"[{}]", " ".join(words))
    assert f"{gan.images}_00000000.png" in helps[script]  # of the program that generates


def test_places_are_filled_and_settings_are_words_of_their_own():
    gan = GANS["ProGAN"]
    steps = Plan(scale.read("mini"), None, "")
    command = gan.command(gan.train, "--a '1 2'", records="r", model="m", seed=3)
    steps.step("it", command)
    assert list(steps.steps["it"].command) == [
        "ProGAN/run.py", "--app", "train", "--a", "1 2", "--training_data_dir", "r",
        "--out_model_dir", "m", "--training_seed", "3",
    ]  # fmt: skip
    with pytest.raises(KeyError, match="records"):
        gan.command(gan.train, "", model="m", seed=3)


def test_the_snapshot_of_sngan_is_that_of_its_last_iteration():
    gan = GANS["SNGAN"]
    settings = "SNGAN/configs/mini_32.yml"
    words = gan.command(gan.generate, settings, model="m", out="o", number=5, seed=3).split()
    assert words[words.index("--snapshot") + 1] == "m/ResNetGenerator_300.npz"


@pytest.mark.parametrize("size", scale.names())
def test_every_scale_has_settings_of_every_gan(size):
    found = scale.read(size)
    assert GANS.keys() <= found.programs.keys()
    assert found.programs["SNGAN"].startswith("SNGAN/configs/")
