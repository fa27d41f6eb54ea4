"""The graphs of generators against the Keras models that they restate."""

import numpy as np
import onnx
import onnxruntime
import pytest

from gan_fingerprints.ipm.networks import Generator as BatchGenerator
from gan_fingerprints.networks import files
from gan_fingerprints.networks.graphs import exported
from gan_fingerprints.networks.stored import Refused
from ProGAN.networks import Generator
from SNGAN.gen_models.resnet import ResNetGenerator

NARROW = {"fmap_base": 64, "fmap_max": 16}
NETWORKS = {
    "fused": lambda: Generator(32, **NARROW),
    "labels": lambda: Generator(16, 3, **NARROW, fused_scale=False),
    "sngan": lambda: ResNetGenerator(32, ch=4, dim_z=8),
    "sngan_64": lambda: ResNetGenerator(64, ch=2, dim_z=8, n_classes=1),
    "sngan_classes": lambda: ResNetGenerator(32, ch=4, dim_z=8, n_classes=3),
    "resnet": lambda: BatchGenerator("g_resnet5", 32, 4, 8),
    "dcgan": lambda: BatchGenerator("dcgan", 32, 4, 8),
}


def filled(make):
    """A network whose weights are all random, with running statistics that are no identity."""
    network, rng = make(), np.random.default_rng(5)
    for variable in network.variables:
        values = rng.normal(size=variable.shape)
        if "var" in variable.path:
            values = np.abs(values) + 0.5
        elif variable.path.endswith(("lod", "/N")):
            continue
        elif network.name != "generator" and len(variable.shape) > 1:
            values /= np.sqrt(np.prod(variable.shape[:-1]))  # else the last layer saturates
        variable.assign(values)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_makes_the_images_of_its_network(name):
    network, rng = filled(NETWORKS[name]), np.random.default_rng(1)
    model = exported.generator_of(network.name, network.arguments, files.arrays_of(network), "n")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    wanted = {x.name: x.shape[1] for x in session.get_inputs()}
    assert ("classes" in wanted) == (name == "sngan_classes")
    feed = {x: rng.normal(size=(3, n)).astype(np.float32) for x, n in wanted.items()}
    how = {"statistics": "population"} if network.name == "ipm_generator" else {}
    expected = np.asarray(network(*feed.values(), **how))
    assert expected.std() > 0.02
    assert np.abs(expected[0] - expected[1]).max() > 0.02
    (found,) = session.run(None, feed)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)


def test_a_network_that_is_still_growing_is_refused():
    network = NETWORKS["fused"]()
    network.lod.assign(1.5)
    with pytest.raises(Refused, match=r"lod 1.5: this network has not grown to its 32×32 pixels"):
        exported.generator_of("generator", network.arguments, files.arrays_of(network), 1)


def test_other_arrays_are_refused():
    network = NETWORKS["sngan"]()
    arrays = files.arrays_of(network)
    del arrays["block2/b1/gamma"]
    with pytest.raises(Refused, match="array block2/b1/gamma is missing for this ResNetGenerator"):
        exported.generator_of("ResNetGenerator", network.arguments, arrays, 1)
