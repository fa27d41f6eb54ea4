"""The graphs of ONNX against the Keras models that they restate."""

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from classifier.networks import Classifier
from classifier.residual import Residual
from classifier_visNet.networks import AutoEncoder
from gan_fingerprints.networks import files
from gan_fingerprints.networks.cooccurrence import Cooccurrence
from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.networks.graphs import exported
from gan_fingerprints.networks.stored import Refused

NARROW = {"fmap_base": 64, "fmap_max": 16}
NETWORKS = {
    "paper": lambda: Classifier(16, 3, **NARROW),
    "fused": lambda: Classifier(32, 3, **NARROW, fused_scale=True),
    "patches": lambda: Classifier(32, 3, **NARROW, latent_res=8),
    "pooled": lambda: Classifier(32, 3, **NARROW, switching_res=8),
    "low": lambda: Classifier(32, 3, **NARROW, mode="predownscale", switching_res=8),
    "band": lambda: Classifier(32, 3, **NARROW, mode="predownscale_residual", switching_res=16),
    "residual": lambda: Residual(32, 3, width=4),
    "three_members": lambda: Residual(48, 3, width=4, members=3, components=5),
    "cooccurrence": lambda: Cooccurrence(32, 3, 4),
    "visnet": lambda: AutoEncoder(16, 3, **NARROW),
    "visnet_vector": lambda: AutoEncoder(
        16, 3, **NARROW, latent_res=-1, fused_scale=True, use_pixelnorm=True,
        normalize_latents=True, correlation="normalized",
    ),
    "visnet_low": lambda: AutoEncoder(
        32, 3, **NARROW, latent_res=8, mode="predownscale", switching_res=16
    ),
}  # fmt: skip


def filled(make):
    """A network whose weights are all random, also those that training begins with zeros."""
    network, rng = make(), np.random.default_rng(5)
    scale = 0.3 if network.name in ("residual", "cooccurrence") else 1
    for variable in network.variables:
        values = rng.normal(size=variable.shape) * scale
        if "variance" in variable.path or "deviation" in variable.path:
            values = np.abs(values) + 0.5
        elif variable.path.endswith("scales"):
            values = [0.3, 0.4]
        variable.assign(values)
    return network


def answers_of(model, pixels):
    """What the graph says of images, by name of the output."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = {"images": pixels, "descriptors": descriptors(pixels).astype(np.float32)}
    feed = {x.name: given[x.name] for x in session.get_inputs()}
    names = [x.name for x in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_answers_as_its_network(name):
    network = filled(NETWORKS[name])
    side, arrays = network.arguments["resolution"], files.arrays_of(network)
    pixels = np.random.default_rng(1).integers(0, 256, (3, side, side, 3), np.uint8)
    model, beside = exported.model_of(network.name, network.arguments, arrays, 3, side)
    assert not beside
    found = answers_of(model, pixels)
    images = tf.cast(pixels, tf.float32) / 127.5 - 1
    expected = dict(zip(("logits", "features"), network.answers(images)[:2], strict=True))
    if network.name == "visnet_autoencoder":
        expected["fingerprints"] = network.outputs(images).fingerprints
    if families := getattr(network, "families", ()):
        alone = network.opinions(images)[2:]
        expected |= dict(zip((f"{x}_alone" for x in families), alone, strict=True))
    assert found.keys() == expected.keys()
    for output, values in expected.items():
        values = np.asarray(values)
        assert np.abs(values).max() > 0.01, output
        np.testing.assert_allclose(found[output], values, rtol=0, atol=3e-5, err_msg=output)


def test_a_graph_of_free_sizes_takes_any():
    network = filled(NETWORKS["three_members"])
    model, _ = exported.model_of(
        "residual", network.arguments, files.arrays_of(network), "images", "side", list("abc")
    )
    metadata = {x.key: x.value for x in model.metadata_props}
    assert metadata["source_names"] == '["a", "b", "c"]'
    for number, side in ((1, 32), (2, 64)):
        pixels = np.random.default_rng(2).integers(0, 256, (number, side, side, 3), np.uint8)
        expected = network.answers(tf.cast(pixels, tf.float32) / 127.5 - 1)[0]
        found = answers_of(model, pixels)["logits"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x.pop("8x8_Conv0/bias"), "array 8x8_Conv0/bias is missing"),
        (lambda x: x.update(more=np.zeros(3)), "array more: found it, expected no such array"),
        (lambda x: x.update({"8x8_Conv0/bias": np.zeros(1)}), r"8x8_Conv0/bias: found \(1,\)"),
        (lambda x: x.update({"4x4_Dense2/bias": np.zeros(1)}), r"4x4_Dense2/bias: found \(1,\)"),
    ],
)
def test_other_arrays_are_refused(change, said):
    network = NETWORKS["paper"]()
    arrays = files.arrays_of(network)
    change(arrays)
    with pytest.raises(Refused, match=said):
        exported.model_of("classifier", network.arguments, arrays, 1, 16)
