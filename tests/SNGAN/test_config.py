"""What a configuration file may say, and what is said when it says something else."""

from pathlib import Path

import pytest
import yaml

from gan_fingerprints.program import UserError
from SNGAN import config as configuration

CONFIGS = Path(configuration.__file__).parent / "configs"


@pytest.fixture
def tree():
    return yaml.safe_load((CONFIGS / "small_32.yml").read_text())


@pytest.fixture
def load(tmp_path):
    def load_tree(tree):
        path = tmp_path / "config.yml"
        path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
        return configuration.load(path)

    return load_tree


@pytest.mark.parametrize(
    "name", ["sn_projection_celeba", "sn_projection_lsun_bedroom_200k", "sn_projection_128"]
)
def test_published_numbers(name):
    config = configuration.load(CONFIGS / f"{name}.yml")
    assert (config.batchsize, config.n_dis, config.loss_type) == (32, 5, "hinge")
    assert (config.iteration, config.iteration_decay_start) == (150000, 120000)
    assert (config.alpha, config.beta1, config.beta2, config.seed) == (2e-4, 0.0, 0.9, 0)
    assert config.generator == {
        "size": 128, "ch": 64, "dim_z": 128, "n_classes": 1, "distribution": "normal",
    }  # fmt: skip
    assert config.discriminator == {"size": 128, "ch": 64, "n_classes": 1}
    assert not config.conditional


@pytest.mark.parametrize("name", ["small_32", "small_64", "mini_32", "fast_32"])
def test_small_configurations(name):
    config = configuration.load(CONFIGS / f"{name}.yml")
    assert config.size == int(name[-2:])
    assert config.dataset == "FolderDataset"


def test_learning_rate_falls_linearly_to_0():
    config = configuration.load(CONFIGS / "sn_projection_celeba.yml")
    rates = [config.learning_rate(i) for i in (0, 120000, 135000, 149999, 150000)]
    assert rates == pytest.approx([2e-4, 2e-4, 1e-4, 2e-4 / 30000, 0])


def test_exponents_without_a_point_are_numbers(load, tree):
    text = yaml.safe_dump(tree).replace("alpha: 0.0004", "alpha: 4e-4")
    assert "alpha: 4e-4" in text
    assert load(text).alpha == pytest.approx(4e-4)


def test_missing_arguments_have_defaults(load, tree):
    tree["models"]["generator"].pop("args")
    tree["models"]["discriminator"].pop("args")
    tree["updater"]["args"].pop("n_gen_samples")
    config = load(tree)
    assert config.size == 128
    assert config.generator["n_classes"] == 0
    assert config.n_gen_samples == config.batchsize


def set_at(tree, path, value):
    *parents, key = path.split(".")
    for parent in parents:
        tree = tree[parent]
    tree[key] = value


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("batchsise", 3, ["key batchsise is unknown", "nearest is batchsize"]),
        ("adam.beta_1", 0.5, ["adam.beta_1 is unknown", "adam.beta1"]),
        ("updater.args.n_diss", 5, ["updater.args.n_diss", "updater.args.n_dis"]),
        ("batchsize", "many", ["batchsize", "'many'", "whole number of 1 or more"]),
        ("batchsize", True, ["batchsize", "True", "whole number"]),
        ("iteration", 0, ["iteration", "found 0", "1 or more"]),
        ("iteration_decay_start", 10**9, ["iteration_decay_start", "at most", "2500"]),
        ("adam.beta2", 1.0, ["adam.beta2", "below 1"]),
        ("adam.alpha", "fast", ["adam.alpha", "'fast'", "a number"]),
        ("models", [1], ["key models", "[1]", "keys with values"]),
        ("models.generator.fn", "/elsewhere/x.py", ["models.generator.fn", "gen_models/resnet.py"]),
        ("models.generator.args.size", 48, ["size", "48", "32 or 64 or 128 or 256"]),
        ("models.generator.args.size", 64, ["size 64", "size 32"]),
        ("models.generator.args.bottom_width", 8, ["bottom_width", "found 8", "expected 4"]),
        ("updater.args.loss_type", "wgan", ["loss_type", "'wgan'", "'hinge' or 'dcgan'"]),
        ("updater.args.conditional", 1, ["conditional", "found 1", "True or False"]),
        ("dataset.dataset_fn", "datasets/celeba.py", ["datasets/folder.py", "FolderDataset"]),
        ("dataset.args.image_list", 3, ["dataset.args.image_list", "a text or null"]),
        ("seed", 2**32, ["seed", "4294967295"]),
    ],
)
def test_errors_name_the_key(load, tree, path, value, parts):
    set_at(tree, path, value)
    with pytest.raises(UserError) as error:
        load(tree)
    for part in ("config.yml", *parts):
        assert part in str(error.value)


@pytest.mark.parametrize("key", ["batchsize", "models", "adam", "seed"])
def test_missing_keys_are_named(load, tree, key):
    tree.pop(key)
    with pytest.raises(UserError, match=f"key {key} is missing"):
        load(tree)


def test_conditional_needs_classes_in_both(load, tree):
    tree["updater"]["args"]["conditional"] = True
    assert load(tree).conditional
    tree["models"]["discriminator"]["args"]["n_classes"] = 3
    with pytest.raises(UserError, match="found 1 and 3"):
        load(tree)


@pytest.mark.parametrize("text", ["a: [", "!!python/object/apply:os.system ['true']", "", "[1]"])
def test_what_is_no_plain_yaml_mapping_is_refused(load, text):
    with pytest.raises(UserError, match=r"config\.yml"):
        load(text)
