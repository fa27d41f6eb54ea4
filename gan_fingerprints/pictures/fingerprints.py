"""How fingerprints and responses become pictures, with the value ranges of the publication."""

from __future__ import annotations

import numpy as np

from gan_fingerprints import images

FOR, AGAINST = (178, 24, 43), (33, 102, 172)  # red and blue, as of ColorBrewer's RdBu
BRIGHTEST = 99.5  # percentile of contributions that has the full colour
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


def contributions(fingerprint: np.ndarray, models: np.ndarray) -> np.ndarray:
    """What each pixel says for or against each source: uint8 [sources, R, R, 3].

    fingerprint: float [R, R, 3]; models: float [R, R, 3, sources]. Red speaks for the source, blue
    against it, white is silent; colours mean the same for all sources of an image. The sum of what
    a picture shows, times a constant, is the logit of the source.
    """
    shares = np.einsum("hwc,hwcs->shw", np.asarray(fingerprint), np.asarray(models))
    # A percentile, as one odd pixel would leave all others pale.
    strongest = max(float(np.percentile(np.abs(shares), BRIGHTEST)), 1e-12)
    strength = np.clip(shares / strongest, -1, 1)[..., None]
    colour = np.where(strength > 0, np.array(FOR), np.array(AGAINST))
    return np.rint(255 + np.abs(strength) * (colour - 255.0)).astype(np.uint8)
