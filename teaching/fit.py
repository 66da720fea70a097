"""Fits a new classifier to the features of clips, and measures it on clips that it didn't see.

Each clip is held out once (teaching/folds.py) and classified by what the others taught. From these answers come the
accuracy, the strength of the fit, the temperature and the threshold for "unknown". A clip counts as right by the answer
at its last moment, which is what the program shows when the action has been seen for longest. Augmented views are
learnt, never tested. What is written is then taught with all clips.

With `old`, the classes of the model stay beside the new ones. With z(x), the model's own logits, a(x), the new ones
fitted among themselves, their temperature t, and one offset g,

    p = softmax([z(x), a(x) / t + g]).

The old rows stay as they are to the last bit, so the ratio of two old classes is what it always was, whatever is seen:
p_i / p_j = exp(z_i - z_j); likewise among the new ones. Only what both groups share is decided anew, by the logarithms
of their summed exponentials, which is low for what a classifier doesn't know (Liu et al., Energy-based
Out-of-distribution Detection, NeurIPS 2020, arXiv 2010.03759); g balances them, see calibrate.choose_offset. A new
label that is also an old one takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterable, Sequence

import numpy as np

from errors import UserError
from evaluation.shares import Share
from teaching import calibrate, unknown
from teaching.features import Samples
from teaching.folds import ALWAYS_LEARNT, deal
from teaching.progress import track
from teaching.regression import STRENGTHS, Affine, fit_strengths, row_weights
from teaching.report import Calibration, Kept, Report, Unknown, Wrong

_UNTESTED_STRENGTH = 1.0  # where no clip can be held out


@dataclass(frozen=True, eq=False)
class Old:
    """The classifier that a model has.

    Attributes:
        weights: float32 [classes, features].
        bias: float32 [classes].
        labels: One a class.
    """

    weights: np.ndarray
    bias: np.ndarray
    labels: list[str]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A classifier that was taught.

    Attributes:
        weights: float32 [classes, features], the temperature folded in.
        bias: float32 [classes], likewise.
        labels: One a class.
        report: How good it is.
    """

    weights: np.ndarray
    bias: np.ndarray
    labels: list[str]
    report: Report


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """Moments of clips that were held out, one row each.

    Attributes:
        rows: int [n], which rows of the samples.
        weights: float64 [n], such that each clip weighs 1.
        last: bool [n], whether it is its clip's last moment.
        clips: Number of clips.
    """

    rows: np.ndarray
    weights: np.ndarray
    last: np.ndarray
    clips: int


def fit(
    samples: Samples,
    *,
    old: Old | None = None,
    background: str | None = None,
    seed: int = 0,
    progress: Callable[..., Iterable[int]] = track,
) -> Fitted:
    """Fits a classifier.

    Args:
        samples: Features of clips of two labels or more.
        old: The model's own classifier, to be kept beside the new one.
        background: The label that means "none of the actions"; None to look for unknown.NAMES.
        seed: Of the folds.
        progress: Goes through the folds and tells how far it has come, as track.

    Raises:
        UserError: `background` isn't a label, or no clip can be held out and `old` is given.
        PackageError: scikit-learn isn't installed.
    """
    present = np.unique(samples.labels)
    names = [samples.names[label] for label in present]
    labels = np.searchsorted(present, samples.labels)
    background_index = unknown.find_background(names, background)
    clips, first = np.unique(samples.clips, return_index=True)
    fold_of_clip = deal(labels[first], seed)
    fold = fold_of_clip[np.searchsorted(clips, samples.clips)]
    weights = row_weights(labels, samples.clips)
    held_out = _held_out(samples, fold)
    if old is not None and not held_out.clips:
        raise UserError("--keep-labels needs clips to be calibrated with: two of a label at least")

    strength, temperature, logits = _cross_validate(samples.features, labels, weights, fold, held_out, progress)
    affine = fit_strengths(samples.features, labels, weights, [strength])[0]
    truth = labels[held_out.rows]
    before = calibrate.reliability(calibrate.softmax_rows(logits), truth, held_out.weights) if held_out.clips else []
    calibrated = logits / temperature
    offset, kept_labels, kept_rows = 0.0, [], np.empty(0, int)
    if old is not None:
        replaced = {name.casefold() for name in names}
        kept_rows = np.array([row for row, name in enumerate(old.labels) if name.casefold() not in replaced], int)
        kept_labels = [old.labels[row] for row in kept_rows]
        own = samples.features[held_out.rows] @ old.weights[kept_rows].T + old.bias[kept_rows]
        offset = calibrate.choose_offset(own, calibrated, held_out.weights, held_out.clips)
        calibrated = np.concatenate([calibrated + offset, own], axis=1)  # the new ones first: as `truth` counts
    probabilities = calibrate.softmax_rows(calibrated) if held_out.clips else calibrated
    return _assemble(
        affine, temperature, offset, old, kept_rows,
        _report(...),
    )
