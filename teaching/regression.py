"""Multinomial logistic regression on features, as an affine layer that takes the features as they are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from errors import PackageError

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Values of scikit-learn's C among which cross-validation chooses: the greater, the closer it follows the clips."""

# Share of the variance that the components hold which are fitted. Of the 2048 features of A0 that are some 130, with
# the same answers on clips that were held out as all of them, in a fifth of the time.
_VARIANCE = 0.9999
_ITERATIONS = 300
_TOLERANCE = 1e-3  # a tenth of it takes three times as long for the same answers


@dataclass(frozen=True, eq=False)
class Affine:
    """A layer that makes logits of features.

    Attributes:
        weights: float64 [classes, features]; the rows add up to 0, as softmax can't tell what they have in common.
        bias: float64 [classes], likewise.
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
        raise PackageError("train.py fit needs scikit-learn; pip install -r requirements-teach.txt") from None
    return LogisticRegression


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


def fit_strengths(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, strengths: Sequence[float] = STRENGTHS
) -> list[Affine]:
    """Fits one classifier for each strength.

    The features are standardised and turned to their principal components; both are undone in the result, which is for
    features as they are.

    Args:
        features: float [n, features].
        labels: int [n], each of 0..classes - 1 at least once.
        weights: float [n], from row_weights.
        strengths: Ascending; each fit starts from the one before.

    Raises:
        PackageError: scikit-learn isn't installed.
    """
    mean = np.average(features, axis=0, weights=weights)
    centred = features - mean
    deviation = np.sqrt(np.average(centred**2, axis=0, weights=weights))
    deviation[deviation <= 1e-6 * deviation.max()] = np.inf  # what never changes says nothing
    standard = centred / deviation
    components = _components(standard * np.sqrt(weights / weights.sum())[:, None])
    scores = standard @ components.T
    model = import_regression()(max_iter=_ITERATIONS, tol=_TOLERANCE, warm_start=True)
    fitted = []
    for strength in strengths:
        model.C = strength
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it stopped before the last digit
            model.fit(scores, labels, sample_weight=weights)
        rows, bias = model.coef_, model.intercept_
        if len(rows) == 1:  # of two classes it fits the difference
            rows, bias = np.concatenate([-rows, rows]) / 2, np.concatenate([-bias, bias]) / 2
        folded = (rows - rows.mean(axis=0)) @ components / deviation
        fitted.append(Affine(folded, bias - bias.mean() - folded @ mean))
    return fitted


def _components(rows: np.ndarray) -> np.ndarray:
    """Returns the principal axes of centred rows [n, features] that hold _VARIANCE of it: [axes, features]."""
    small = len(rows) < rows.shape[1]
    values, vectors = np.linalg.eigh(rows @ rows.T if small else rows.T @ rows)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    count = 1 + int(np.searchsorted(np.cumsum(values), _VARIANCE * values.sum()))
    axes = rows.T @ vectors[:, :count] if small else vectors[:, :count]
    return np.asarray((axes / np.maximum(np.linalg.norm(axes, axis=0), 1e-300)).T)
