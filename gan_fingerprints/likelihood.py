"""Likelihood ratios: how much more probable is what was seen if one thing is true than if another.

`same` and `other` are log10 likelihood ratios float [N], of cases in which the first proposition is
true (the source made the image) and of cases in which the second is (another one did). 0 says
nothing, infinity is admitted. Probabilities, scores and ratios are of cases that are alike: each
side has the weight 1/2, whatever the numbers of cases.
"""

from __future__ import annotations

import bisect

import numpy as np

LN10 = np.log(10.0)
STEP = 0.01  # of log10, in which bounds are looked for
WORDS = {
    0.0: "no support",
    np.log10(2.0): "weak support",
    1.0: "moderate support",
    2.0: "moderately strong support",
    3.0: "strong support",
    4.0: "very strong support",
    6.0: "extremely strong support",
}
"""log10 LR from which on → the words for it: ENFSI, "Guideline for Evaluative Reporting" (2015)."""
STEEPEST = 1e3  # of a fit, as scores that differ by rounding are no evidence


def verbal(log10_lr: float) -> str:
    """ENFSI's words for a ratio: of support for the first proposition, or "… for the other".

    LRs from 1/2 to 2 are "no support" for either.
    """
    bounds = list(WORDS)
    words = WORDS[bounds[bisect.bisect_right(bounds, abs(log10_lr)) - 1]]
    return words if log10_lr >= 0 or words == WORDS[0.0] else f"{words} for the other"


def cllr(same: np.ndarray, other: np.ndarray) -> float:
    """Cost of log likelihood ratios: 0 for perfect ones, 1 for those that say nothing.

    ½ · (mean of log2(1 + 1/LR) over `same` + mean of log2(1 + LR) over `other`). Brümmer and du
    Preez (2006), "Application-independent evaluation of speaker detection", equation 15.
    """
    return float(ece(same, other, np.zeros(1))[0])


def ece(same: np.ndarray, other: np.ndarray, log10_odds: np.ndarray) -> np.ndarray:
    """Empirical cross-entropy in bits at each of some log10 prior odds: float64 [len(log10_odds)].

    π · mean of log2(1 + 1/(odds · LR)) over `same` + (1 - π) · mean of log2(1 + odds · LR) over
    `other`. Ramos (2007), PhD thesis, Universidad Autónoma de Madrid, chapter 6.
    """
    priors = 1 / (1 + 10.0 ** -np.asarray(log10_odds, np.float64))
    bits = [
        prior * _bits(-(np.asarray(same) + at)) + (1 - prior) * _bits(np.asarray(other) + at)
        for prior, at in zip(priors, log10_odds, strict=True)
    ]
    return np.array(bits, np.float64)


def _bits(log10_odds: np.ndarray) -> float:
    """Mean of log2(1 + odds), also of odds that a float cannot hold."""
    return float(np.logaddexp(0.0, LN10 * log10_odds.astype(np.float64)).mean() / np.log(2.0))


def pav(same: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both after the best calibration that keeps their order: pool adjacent violators.

    What is left of their cost is what they cannot tell apart. Infinite where one kind alone is.
    """
    from sklearn.isotonic import IsotonicRegression

    # Ranks: isotonic regression asks for the order only, and takes no infinite numbers.
    ranks = np.unique(np.concatenate([same, other]), return_inverse=True)[1].astype(np.float64)
    truth, weights = (
        np.repeat(pair, [len(same), len(other)])
        for pair in ((1.0, 0.0), (0.5 / len(same), 0.5 / len(other)))
    )
    shares = IsotonicRegression(y_min=0, y_max=1).fit(ranks, truth, weights).predict(ranks)
    with np.errstate(divide="ignore"):
        found = np.log10(shares) - np.log10(1 - shares)
    return found[: len(same)], found[len(same) :]


def cllr_min(same: np.ndarray, other: np.ndarray) -> float:
    """`cllr` after `pav`; what `cllr` is more than this is the calibration loss."""
    return cllr(*pav(same, other))


def misleading(same: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Share of `same` with an LR below 1, and share of `other` with one above 1."""
    return float(np.mean(np.asarray(same) < 0)), float(np.mean(np.asarray(other) > 0))


def tippett(same: np.ndarray, other: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of `same`, and share of `other`, whose log10 LR is above each number of `at`."""
    both = [len(x) - np.searchsorted(np.sort(x), at, side="right") for x in (same, other)]
    return both[0] / len(same), both[1] / len(other)


def elub(
    same: np.ndarray, other: np.ndarray, added: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float]:
    """Empirical lower and upper bound of log10 LRs, on a grid of 0.01: so much the cases support.

    At a threshold t of LR (accept the first proposition above it) a ratio costs

        share of `same` not accepted + t · share of `other` accepted,

    and one that always says 1 costs min(1, t). The bounds are the largest range around 1 without
    a threshold at which the ratios cost more, after misleading ones were added to either side.
    Vergeer and others (2016), "Numerical likelihood ratios outputted by LR systems are often based
    on extrapolation: when to stop extrapolating?", Science & Justice 56.

    added: misleading cases on each side. One where cases are independent; where several of them
        are one image, or one group of images, as many.
    """
    lowest = max(min(np.min(same), np.min(other)), -np.log10(len(same) + 1))
    highest = min(max(np.max(same), np.max(other)), np.log10(len(other) + 1))
    first, last = min(0, lowest // STEP), max(0, highest // STEP + 1)
    at = np.arange(first, last + 1) * STEP
    above, false = tippett(same, other, at)
    refused = 1 - above * len(same) / (len(same) + added[0])
    accepted = (false * len(other) + added[1]) / (len(other) + added[1])
    worse = refused + 10.0**at * accepted > np.minimum(1, 10.0**at)
    low = np.max(at[worse & (at <= 0)] + STEP, initial=at[0])
    high = np.min(at[worse & (at >= 0)] - STEP, initial=at[-1])
    return float(min(low, 0.0)), float(max(high, 0.0))


def log_odds(logits: np.ndarray) -> np.ndarray:
    """log(P / (1 - P)) of each source, float64 [N, sources], of logits [N, sources].

    With equal priors in training, the LR of a source against the K - 1 others, before it is
    calibrated, is (K - 1) · P / (1 - P): the factor is a part of a fit's `a`.
    """
    logits = np.asarray(logits, np.float64)
    sources = logits.shape[1]
    # From the logits, as 1 - P of a sure answer is rounded to 0.
    others = [np.logaddexp.reduce(np.delete(logits, i, 1), axis=1) for i in range(sources)]
    return logits - np.stack(others, axis=1)


def fit(same: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """(a, b) of log LR = a + b · score, natural logarithms, by `logistic` regression of scores.

    Where higher scores speak against the first proposition, (0, 0): no evidence.
    """
    a, b = logistic(same[:, None], other[:, None])
    return (float(a), float(b)) if 0 < b <= STEEPEST else (0.0, 0.0)


def logistic(same: np.ndarray, other: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """float64 [1 + F], (a, b1, …) of log LR = a + b1 · score1 + …, of scores [N, F] and [M, F].

    The cost is convex; each side has the weight 1/2, so that the sum is a log LR, not posterior
    odds. Truth is not 1 and 0 but (n + 1) / (n + 2) and 1 / (n + 2), as in Platt (1999),
    "Probabilistic outputs for support vector machines", section 2.2: sides that scores separate
    would make b infinite else.

    ridge: half of it times the squared slopes of scores in standard deviations is added to the
        cost, in natural logarithms.
    """
    from scipy.optimize import minimize

    scores = np.concatenate([same, other]).astype(np.float64)
    counts = [len(same), len(other)]
    truth = np.repeat([(counts[0] + 1) / (counts[0] + 2), 1 / (counts[1] + 2)], counts)
    weights = np.repeat([0.5 / n for n in counts], counts)
    centre, width = scores.mean(axis=0), np.maximum(scores.std(axis=0), 1e-9)
    inputs = np.concatenate([np.ones((len(scores), 1)), (scores - centre) / width], axis=1).T
    penalty = np.repeat([0.0, ridge], [1, len(centre)])

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        log_ratios = x @ inputs
        losses = np.logaddexp(0, log_ratios) - truth * log_ratios
        slope = inputs @ (weights * (_share(log_ratios) - truth)) + penalty * x
        return weights @ losses + penalty @ x**2 / 2, slope

    def curvature(x: np.ndarray) -> np.ndarray:
        shares = _share(x @ inputs)
        return (inputs * weights * shares * (1 - shares)) @ inputs.T + np.diag(penalty)

    found = minimize(
        cost, np.zeros(len(inputs)), jac=True, hess=curvature, method="trust-exact",
        options={"gtol": 1e-10},
    )  # fmt: skip
    slopes = found.x[1:] / width
    return np.concatenate([[found.x[0] - slopes @ centre], slopes])


def _share(log_odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -log_odds))
