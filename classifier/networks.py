"""The attribution classifier (Yu, Davis, Fritz, ICCV 2019, fig. 2): an image in, a source out."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gan_fingerprints.networks.layers import feature_maps
from gan_fingerprints.networks.trunk import Headed, Mode, lowest_stage


class Classifier(Headed):
    """Convolutions and average pooling down to 4×4, then two dense layers.

    The features before the last layer are the *image fingerprint*; the columns of the last
    layer's weight are the *model fingerprints*.

    Args:
        resolution: side of the input images, a power of two from 8 up.
        num_sources: number of outputs.
        fmap_base: channels double at each halving, starting from fmap_base / resolution · 2.
        fmap_max: most channels of a layer.
        mode, switching_res: which part of the image the network sees, see `trunk.Trunk`.
        latent_res: -1 for dense layers at 4×4; k stops at k×k and goes on with 1×1 convolutions,
            whose logits are averaged: each sees a patch.
        fused_scale: see `trunk.Trunk`.

    Call: images float [N, R, R, 3] in [-1, 1] → logits float32 [N, num_sources].
    Raises ValueError for sizes that do not fit each other.
    """

    def __init__(
        self,
        resolution: int = 128,
        num_sources: int = 5,
        fmap_base: int = 1024,
        fmap_max: int = 512,
        mode: Mode = "postpool",
        switching_res: int = 4,
        latent_res: int = -1,
        fused_scale: bool = False,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "resolution": resolution, "num_sources": num_sources,
            "fmap_base": fmap_base, "fmap_max": fmap_max,
            "mode": mode, "switching_res": switching_res, "latent_res": latent_res,
            "fused_scale": fused_scale,
        }  # fmt: skip
        width = max(feature_maps(lowest_stage(latent_res), fmap_base, fmap_max), num_sources)
        super().__init__("classifier", arguments, num_sources, width, **kwargs)

    def fingerprints(self, images: tf.Tensor) -> tf.Tensor:
        """Image fingerprints: float32 [N, max(nf(1), sources)], 512 wide in the paper's network."""
        return self.answers(images)[1]
