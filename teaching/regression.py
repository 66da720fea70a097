"""Multinomial logistic regression on features, as an affine layer that takes the features as they are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from errors import PackageError
from teaching.calibrate import OLD_SHARE, log_sum

STRENGTHS = (0.1, 1.0, 10.0)
"""Values of scikit-learn's C among which cross-validation chooses: the greater, the closer it follows the clips."""

# Least deviation that a feature is divided by, as a share of all features' (root of the mean square). Some features of
# A0 hardly change in one room; a classifier that magnifies them goes astray as soon as the light changes.
_LEAST_DEVIATION = 0.1
# Share of the variance that the components hold which are fitted. Of the 2048 features of A0 that are some 130, with
# the same answers on clips that were held out as all of them, in a fifth of the time.
_VARIANCE = 0.9999
_ITERATIONS = 100
_TOLERANCE = 1e-3  # a tenth of it takes three times as long for the same answers


@dataclass(frozen=True, eq=False)
class Affine:
    """A layer that makes logits of features.

    Attributes:
        weights: float64 [classes, features].
        bias: float64 [classes].
    """

    weights: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Returns float64 [n, classes] for [n, features]."""
        return np.asarray(features @ self.weights.T + self.bias)


def import_regression() -> Any:
    """Returns scikit-learn's LogisticRegression.

    Raises:
        PackageError: It isn't installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise PackageError("train.py fit needs scikit-learn; run ./setup.sh --extras teach") from None
    return LogisticRegression


def one_thread() -> Any:
    """Returns a context in which numpy and scikit-learn compute in one thread: such matrices are no work for several.

    Waiting for each other, two threads took twice the processor time of one: 7.8 and 4.0 s, by `time python train.py
    fit` with 20 clips whose features are in the cache (2-core x86-64, other work beside it).
    To be called when scikit-learn has been imported.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1)


def row_weights(labels: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """Returns what each row weighs: the same for each label, and within a label the same for each of its clips.

    So neither a long clip nor a label with many clips counts for more.

    Args:
        labels: int [n], the label of each row.
        clips: int [n], the clip that each row is of.

    Returns:
        float64 [n]; they add up to the number of clips.
    """
    _, clip, rows = np.unique(clips, return_inverse=True, return_counts=True)
    weights = 1.0 / rows[clip]
    _, label = np.unique(labels, return_inverse=True)
    per_label = np.bincount(label, weights)  # clips of each label
    return np.asarray(weights * per_label.sum() / len(per_label) / per_label[label])


def deviation(variance: np.ndarray) -> np.ndarray:
    """Returns what each feature is divided by, for its variance: float [features]."""
    least = _LEAST_DEVIATION * np.sqrt(variance.mean())
    return np.maximum(np.sqrt(variance), max(least, 1e-30))


def fit_strengths(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, strengths: Sequence[float] = STRENGTHS
) -> list[Affine]:
    """Fits one classifier for each strength, by scikit-learn; the rows of weights and the bias add up to 0.

    Args:
        features: float [n, features], of any scale.
        labels: int [n], each of 0..classes - 1 at least once.
        weights: float [n], from row_weights.
        strengths: Ascending; each fit starts from the one before.

    Raises:
        PackageError: scikit-learn isn't installed.
    """
    space = _Space(features, weights)
    model = import_regression()(max_iter=_ITERATIONS, tol=_TOLERANCE, warm_start=True)
    fitted = []
    for strength in strengths:
        model.C = strength
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it stopped before the last digit
            model.fit(space.scores, labels, sample_weight=weights)
        rows, bias = model.coef_, model.intercept_
        if len(rows) == 1:  # of two classes it fits the difference
            rows, bias = np.concatenate([-rows, rows]) / 2, np.concatenate([-bias, bias]) / 2
        fitted.append(space.unfold(rows - rows.mean(axis=0), bias - bias.mean()))
    return fitted


def fit_beside(
    features: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    old: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
) -> list[Affine]:
    """Like fit_strengths, fits new classes beside old ones, whose logits stay as they are.

    One softmax over old and new classes; of the old ones only log_sum enters, since the clips show none of them. What
    is wanted of each row is OLD_SHARE for all of them together and the rest for its label: if it were nothing, the new
    classes would gain from growing without end.

    Args:
        features: As in fit_strengths.
        labels: Likewise.
        weights: Likewise.
        old: float [n], log_sum of the old classes' logits.
        strengths: Likewise.
    """
    from scipy.optimize import minimize

    space = _Space(features, weights)
    rows, size = space.scores.shape
    classes = int(labels.max()) + 1
    wanted = np.zeros((rows, classes + 1))
    wanted[np.arange(rows), labels] = 1 - OLD_SHARE
    wanted[:, classes] = OLD_SHARE

    def loss(flat: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        """The objective of scikit-learn's LogisticRegression, and its derivative."""
        layer = flat.reshape(classes, size + 1)
        logits = np.column_stack([space.scores @ layer[:, :size].T + layer[:, size], old])
        total = log_sum(logits)
        error = (weights[:, None] * (np.exp(logits - total[:, None]) - wanted))[:, :classes] * strength
        value = strength * float(weights @ (total - (logits * wanted).sum(axis=1))) + (layer[:, :size] ** 2).sum() / 2
        slope = np.column_stack([error.T @ space.scores + layer[:, :size], error.sum(axis=0)])
        return value, slope.ravel()

    fitted = []
    flat = np.zeros(classes * (size + 1))
    for strength in strengths:
        flat = minimize(loss, flat, (strength,), "L-BFGS-B", jac=True, options={"maxiter": _ITERATIONS}).x
        layer = flat.reshape(classes, size + 1)
        fitted.append(space.unfold(layer[:, :size], layer[:, size]))
    return fitted


class _Space:
    """Features standardised and turned to their principal components.

    Args:
        features: float [n, features].
        weights: float [n].

    Attributes:
        scores: float64 [n, components].
    """

    def __init__(self, features: np.ndarray, weights: np.ndarray) -> None:
        share = weights / weights.sum()
        # One copy, worked on in place: of some hundred clips each more would take another hundred megabytes.
        rows = features.astype(np.float64)
        self._mean = share @ rows
        rows -= self._mean
        variance = np.einsum("n,nf,nf->f", share, rows, rows)
        self._deviation = deviation(variance)
        rows /= self._deviation
        root = np.sqrt(share)[:, None]
        rows *= root
        self._axes = _principal_axes(rows)
        self.scores = rows @ self._axes.T / root

    def unfold(self, rows: np.ndarray, bias: np.ndarray) -> Affine:
        """Returns what a layer that takes the scores is for the features themselves."""
        weights = rows @ self._axes / self._deviation
        return Affine(weights, bias - weights @ self._mean)


def _principal_axes(rows: np.ndarray) -> np.ndarray:
    """Returns the principal axes of centred rows [n, features] that hold _VARIANCE of it: [axes, features]."""
    small = len(rows) < rows.shape[1]
    values, vectors = np.linalg.eigh(rows @ rows.T if small else rows.T @ rows)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    count = 1 + int(np.searchsorted(np.cumsum(values), _VARIANCE * values.sum()))
    axes = rows.T @ vectors[:, :count] if small else vectors[:, :count]
    return np.asarray((axes / np.maximum(np.linalg.norm(axes, axis=0), 1e-300)).T)
