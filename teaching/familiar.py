"""Whether what is seen is like any of the taught clips: what isn't is unknown, however sure the classifier is.

A classifier of four actions divides all that there is among the four; something that it never saw lies far from all
clips, but on one side of each border nevertheless, and gets a probability near 1. So its features are compared to the
clips' own. Deep nearest neighbours on features of length 1 (Sun et al., ICML 2022, arXiv 2204.06507), with a few
prototypes in place of all moments of all views:

    likeness(f) = max_k cos(angle between g(f) and p_k),  g(f) = (f - mean) / deviation
    logit of "unknown" = greatest of the other logits + slope * (threshold - likeness)

so that the answer is unknown where the likeness is below the threshold. Slope and threshold are chosen on clips that
were held out: of known ones each clip by itself, and of unknown ones all clips of a label, one label after another.

Of 46 choices of two to four drawn actions and a background, the others as unknown, some with another person in another
room, the area under the curve (the share of pairs in the right order) on clips that were held out was, on the demo's
model and the published A0, .976 and .957; with plain distances in place of angles .973 and .911, with Mahalanobis'
distances (Lee et al. 2018, arXiv 1807.03888) .971 and .942. Prototypes that are means of all views, in place of the
last moments of plain ones, let a known action be known sooner. With what is chosen here, of 23 such choices in one room
each, 87 and 86 % of the unknown clips are called so, and 4 and 1 % of the known ones; a second after another action
still 20 and 83 % of these, two seconds after it 7 and 34 %.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from teaching.calibrate import root
from teaching.regression import deviation

ACCEPTED = 0.95
"""Share of the clips of known labels that are, at their last moments, at least as like the others as is asked for."""
EPSILON = 1e-6
"""Added to the mean square of standardised features, about 1, before it is a divisor."""

_PER_LABEL = 6  # prototypes; three to twelve say the same
_MOST = 64  # prototypes of all labels together, as far as each has one
_DOUBT = 0.05  # most probability of "unknown" for a known clip in the middle of all
_LEAST_GAP = 1e-3  # of likenesses that are all alike
_STEEPEST = 1e4


@dataclass(frozen=True, eq=False)
class Familiar:
    """What the taught clips are like.

    Attributes:
        mean: float32 [features].
        scale: float32 [features], what the difference to it is multiplied by.
        prototypes: float32 [prototypes, features] of length 1 but for rounding to values that float16 holds, too.
        slope: By which the logit of "unknown" falls with the likeness.
        threshold: Likeness below which all is unknown.
    """

    mean: np.ndarray
    scale: np.ndarray
    prototypes: np.ndarray
    slope: float = 1.0
    threshold: float = 0.0

    def likeness(self, features: np.ndarray) -> np.ndarray:
        """Returns the cosine of the angle to the nearest prototype: float [n] for [n, features]."""
        standard = (features - self.mean) * self.scale
        length = np.sqrt(np.square(standard).sum(axis=1) + EPSILON * standard.shape[1])
        return np.asarray((standard @ self.prototypes.T).max(axis=1) / length)

    def beside(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Returns float [n, classes + 1]: the logits [n, classes] and that of "unknown"."""
        return with_unknown(logits, self.slope * (self.threshold - self.likeness(features)))


def with_unknown(logits: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """Returns float [n, classes + 1]: logits [n, classes], and one that is so much, [n], above the greatest of them."""
    return np.column_stack([logits, logits.max(axis=1) + excess])


def choose_prototypes(features: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int = 0) -> Familiar:
    """Finds what stands for the clips: means of like rows (k-means), about as many of each label.

    Args:
        features: float32 [n, features].
        labels: int [n].
        weights: float [n], from row_weights.
        seed: Of k-means.
    """
    from sklearn.cluster import KMeans  # who has fitted a classifier has it

    share = (weights / weights.sum()).astype(np.float32)
    mean = share @ features
    standard = features - mean  # in place from here on: there may be thousands of rows
    scale = (1 / deviation(np.einsum("n,nf,nf->f", share, standard, standard))).astype(np.float32)
    standard *= scale
    standard /= np.linalg.norm(standard, axis=1, keepdims=True) + EPSILON
    names = np.unique(labels)
    count = min(_PER_LABEL, max(1, _MOST // len(names)))
    found = []
    for name in names:
        rows = standard[labels == name]
        means = KMeans(min(count, len(rows)), n_init=1, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some rows are the same
            found.append(means.fit(rows).cluster_centers_)
    prototypes = np.concatenate(found)
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True) + EPSILON
    return Familiar(mean, scale, prototypes.astype(np.float16).astype(np.float32))


def choose_least(known: np.ndarray, altered: np.ndarray) -> float:
    """Returns the likeness that ACCEPTED of the known clips have, and of their altered views.

    Altered views count, since to be seen a little darker, or after another action, makes no action unknown. Unknown
    clips don't: labels that were held out differ from each other more than something unknown may from one of them.

    Args:
        known: float [n], likenesses of clips to others.
        altered: float [m], of these and of altered views of them.
    """
    return float(min(np.quantile(each, 1 - ACCEPTED, method="lower") for each in (known, altered)))


def choose_slope(known: np.ndarray, unknown: np.ndarray, threshold: float) -> float:
    """Returns the slope of the logistic curve that tells known from unknown best, both as likely.

    Targets are those of Platt (1999), (n + 1) / (n + 2) and 1 / (n + 2) for n clips: without, the curve of likenesses
    that don't overlap would be a step. It is at least so steep that a known clip in the middle of all loses no more
    than _DOUBT of its probability.

    Args:
        known: float [n], likenesses of clips to others of their label and of others.
        unknown: float [m], likenesses of clips to those of other labels.
        threshold: Where the curve has its middle.
    """
    count = min(len(known), len(unknown))
    low, high = 1 / (count + 2), (count + 1) / (count + 2)

    def gain(slope: float) -> float:
        """The derivative of the likelihood by the slope, in which it is concave."""
        lacking = threshold - known, threshold - unknown
        return sum(
            float((each * (target - 0.5 - 0.5 * np.tanh(slope * each / 2))).mean())
            for each, target in zip(lacking, (low, high))
        )

    gap = max(float(np.median(known)) - threshold, _LEAST_GAP)
    least = float(np.log(1 / _DOUBT - 1)) / gap
    return max(least, root(lambda slope: -gain(slope), 0.0, _STEEPEST))
