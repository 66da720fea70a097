"""Probabilities that mean what they say: measured, and mended by dividing the logits by one number, the temperature.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv 1706.04599). All of it on clips that were held
out. Weights let each clip count the same, however long it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

OLD_SHARE = 0.05
"""Probability that old classes are left with, all together, where new ones are shown. The clips alone would have it 0,
since they show no old class; the camera will."""

_BINS = 10
_HIGHEST_TEMPERATURE = 10.0
"""Where the answers are no better than chance, the best temperature is infinite, and a file can't hold that. Ten times
flatter logits say "don't know" just as well."""


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        confidence: Their mean probability.
        right: Share of them that is right.
        share: Share of all answers that is among them.
    """

    confidence: float
    right: float
    share: float


def softmax_rows(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits [n, classes]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def log_sum(logits: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the sum of the exponentials of each row: [n] for [n, classes]."""
    largest = logits.max(axis=1)
    return np.asarray(largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)))


def choose_temperature(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Finds the temperature whose probabilities fit the truth best, in negative log likelihood.

    At least 1: where all answers are right, any more confidence would fit better, but some dozens of clips don't prove
    it. At most 10.

    Args:
        logits: float [n, classes] of rows that were held out.
        labels: int [n], their true classes.
        weights: float [n].

    Returns:
        The temperature, and the mean negative log likelihood at it.
    """
    true = logits[np.arange(len(labels)), labels]
    share = weights / weights.sum()

    def slope(sharpness: float) -> float:
        """The derivative by the inverse of the temperature, in which the likelihood is convex."""
        return float(share @ ((softmax_rows(logits * sharpness) * logits).sum(axis=1) - true))

    sharpness = root(slope, 1 / _HIGHEST_TEMPERATURE, 1.0)
    return 1 / sharpness, float(share @ (log_sum(logits * sharpness) - true * sharpness))


def reliability(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> list[Bin]:
    """Sorts answers by confidence and compares it to how often they are right.

    Args:
        probabilities: float [n, classes].
        labels: int [n], the true classes.
        weights: float [n].

    Returns:
        The bins of equal width that hold any answer, by confidence.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    bins = []
    for place in np.unique(places):
        here = places == place
        weight = weights[here]
        bins.append(
            Bin(
                float(np.average(confidence[here], weights=weight)),
                float(np.average(right[here], weights=weight)),
                float(weight.sum() / weights.sum()),
            )
        )
    return bins


def calibration_error(bins: list[Bin]) -> float:
    """Returns the expected calibration error: how far confidence and share of right answers are apart on average."""
    return sum(each.share * abs(each.confidence - each.right) for each in bins)


def choose_offset(old: np.ndarray, new: np.ndarray, weights: np.ndarray) -> float:
    """Finds what is to be added to the new classes' logits so that they stand beside the old ones.

    With the offset g, the probability of all old classes together is OLD_SHARE on average where new ones are shown:
    the mean of sigmoid(log_sum(old) - log_sum(new) - g).

    Args:
        old: float [n, old classes], logits of held-out rows, all of which show new classes.
        new: float [n, new classes], likewise.
        weights: float [n].
    """
    gap = log_sum(old) - log_sum(new)
    share = weights / weights.sum()

    def lacking(offset: float) -> float:
        return OLD_SHARE - float(share @ (0.5 * (1 + np.tanh((gap - offset) / 2))))

    return root(lacking, float(gap.min()) - 50, float(gap.max()) + 50)


def root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Returns where a rising function crosses 0, by halving; an end if it doesn't."""
    for _ in range(80):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
