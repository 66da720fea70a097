"""Probabilities that mean what they say: measured, and mended by dividing the logits by one number, the temperature.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv 1706.04599). All of it on clips that were held
out. Weights let each clip count the same, however long it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

_BINS = 10


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


def pseudo_count(clips: int) -> float:
    """Returns the probability that is to be expected of what none of so many clips showed: 1 / (clips + 2), Laplace."""
    return 1 / (clips + 2)


def choose_temperature(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, clips: int) -> tuple[float, float]:
    """Finds the temperature whose probabilities fit the truth best, in negative log likelihood.

    The truth is taken to be uncertain by pseudo_count(clips): where all answers are right, nothing else would keep the
    confidence from going to 1.

    Args:
        logits: float [n, classes] of rows that were held out.
        labels: int [n], their true classes.
        weights: float [n].
        clips: Number of clips that the rows are of.

    Returns:
        The temperature, and the mean negative log likelihood at it.
    """
    doubt = pseudo_count(clips)
    rows = np.arange(len(labels))
    wanted = (1 - doubt) * logits[rows, labels] + doubt * logits.mean(axis=1)
    share = weights / weights.sum()

    def slope(sharpness: float) -> float:
        """The derivative by the inverse of the temperature, in which the likelihood is convex."""
        mean = (softmax_rows(logits * sharpness) * logits).sum(axis=1)
        return float(share @ (mean - wanted))

    sharpness = np.exp(_root(lambda exponent: slope(np.exp(exponent)), np.log(1e-3), np.log(1e3)))
    loss = share @ (log_sum(logits * sharpness) - wanted * sharpness)
    return float(1 / sharpness), float(loss)


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


def choose_offset(old: np.ndarray, new: np.ndarray, weights: np.ndarray, clips: int) -> float:
    """Finds what is to be added to the new classes' logits so that they can stand beside the old ones.

    Among the new classes alone, and among the old ones alone, probabilities compare already; the offset g decides
    between the groups. Of clips that show new classes only, an old class is right on none; so with so many clips the
    probability of all old classes together should be pseudo_count(clips) on average:

        mean of sigmoid(log_sum(old) - log_sum(new) - g) = 1 / (clips + 2).

    Args:
        old: float [n, old classes], logits of held-out rows, all of which show new classes.
        new: float [n, new classes], likewise, with the temperature applied.
        weights: float [n].
        clips: Number of clips that the rows are of.
    """
    gap = log_sum(old) - log_sum(new)
    share = weights / weights.sum()
    wanted = pseudo_count(clips)

    def excess(offset: float) -> float:
        return float(share @ (0.5 * (1 + np.tanh((gap - offset) / 2)))) - wanted

    return _root(lambda offset: -excess(offset), float(gap.min()) - 50, float(gap.max()) + 50)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Returns where a rising function crosses 0, by halving; an end if it doesn't."""
    for _ in range(80):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
