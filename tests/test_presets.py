"""--preset, which every trainer has, and each room declares beside its settings."""

from classifier import config as classifier
from classifier_visNet import config as classifier_visNet
from CramerGAN.gan.main import CRAMER_GAN
from MMDGAN.gan.main import MMD_GAN
from ProGAN import config as progan
from SNGAN import config as sngan


def test_every_trainer_has_the_same_presets_and_the_paper_is_what_it_was():
    ipm = {"CramerGAN": CRAMER_GAN, "MMDGAN": MMD_GAN}
    for gan in ipm.values():
        assert list(gan.presets) == ["paper", "small"]
        assert gan.presets["paper"] == {}
        small = gan.config(model="", **gan.presets["small"])
        assert (small.output_size, small.dof_dim) == (32, gan.defaults["dof_dim"])
        small.check()
        assert gan.config(model="").output_size == 128
    assert list(sngan.PRESETS) == ["paper", "small"]
    assert list(progan.PRESETS) == list(classifier.PRESETS) == list(classifier_visNet.PRESETS)
    assert progan.PRESETS["paper"] == classifier_visNet.PRESETS["paper"] == {}
    assert classifier.PRESETS["paper"] is classifier.DEFAULTS
    classifier_visNet.Config(**classifier_visNet.PRESETS["small"])
    for network, numbers in classifier.PRESETS["small"].items():
        assert classifier.Config(network=network, **numbers).total_kimg <= 60
    assert sngan.load(sngan.PRESETS["paper"]).size == 128
    small = sngan.load(sngan.PRESETS["small"])
    assert (small.size, small.iteration) == (32, 300)
