"""How fingerprints and responses become pictures, with the value ranges of the publication."""

from __future__ import annotations

import numpy as np

from gan_fingerprints import images

RESPONSE_SCALE = 0.2  # of the published pictures: a response of 5 is the brightest


def of_image(fingerprints: np.ndarray) -> np.ndarray:
    """float in [-2, 2] → uint8 of the same shape; what is beyond ±1 is saturated.

    (The published program lets such values wrap around, from white to black.)
    """
    return images.to_uint8(np.asarray(fingerprints))


def of_models(weight: np.ndarray) -> np.ndarray:
    """float [R, R, 3, sources] → uint8 [sources, R, R, 3], from the least value of all to the
    greatest."""
    weight = np.moveaxis(np.asarray(weight), 3, 0)
    low, high = float(weight.min()), float(weight.max())
    return images.to_uint8((weight - low) / max(high - low, 1e-12) * 2 - 1)


def response(fingerprint: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Where an image fingerprint responds to a model fingerprint, as uint8 [..., R, R, 3].

    Both are float [..., R, R, 3]. Their product, where it is positive in all three channels; grey
    elsewhere.
    """
    product = np.asarray(fingerprint) * np.asarray(model)
    product = product * (product > 0).all(axis=-1, keepdims=True)
    return images.to_uint8(product * RESPONSE_SCALE)
