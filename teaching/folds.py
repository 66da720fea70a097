"""Cross-validation by clip: which clips are held out together."""

from __future__ import annotations

import numpy as np

FOLDS = 5
ALWAYS_LEARNT = -1
"""The fold of a clip that is never held out, since no other shows its label."""


def deal(labels: np.ndarray, seed: int, folds: int = FOLDS) -> np.ndarray:
    """Deals the clips of each label out to the folds like cards, shuffled, going on where the label before ended.

    A whole clip is held out or none of it: its moments are so alike that a classifier would recognize them. Two clips
    of a label never share a fold unless it has more clips than there are folds, so that each label with two clips or
    more is both learnt and tested in the fold of each of its clips.

    Args:
        labels: int [clips], what each clip shows.
        seed: Of the shuffling.
        folds: At least 2.

    Returns:
        int [clips], 0..folds - 1 or ALWAYS_LEARNT.
    """
    random = np.random.default_rng(seed)
    found = np.full(len(labels), ALWAYS_LEARNT)
    dealt = 0
    for label in np.unique(labels):
        clips = random.permutation(np.flatnonzero(labels == label))
        if len(clips) > 1:
            found[clips] = (dealt + np.arange(len(clips))) % folds
            dealt += len(clips)
    return found
