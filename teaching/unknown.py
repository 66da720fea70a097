"""When the program should say "unknown" rather than name an action."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from errors import UserError

NAMES = ("background", "nothing", "unknown")
"""Labels, in any case, that are taken for the background: nobody there, or nothing that is to be recognized."""
MOST_CALLED = 0.05
"""Share of the background's moments that may be called an action."""
LEAST = 0.5
"""Least threshold: what is less likely than all else together isn't named."""


def apply_unknown(probabilities: np.ndarray, threshold: float, exempt: int | Sequence[int]) -> bool:
    """Says whether an answer is to be shown as "unknown": an action is the most likely, but not likely enough.

    Args:
        probabilities: float [classes], of one moment.
        threshold: 0..1, as choose_threshold found it.
        exempt: Index of the background, and of a class "unknown": they may always be named.
    """
    best = int(np.argmax(probabilities))
    return float(probabilities[best]) < threshold and not np.isin(best, exempt)


def find_background(labels: Sequence[str], wanted: str | None) -> int | None:
    """Returns the index of the background among the labels; None if there is none.

    Args:
        labels: The labels.
        wanted: The one that is meant; None to look for NAMES.

    Raises:
        UserError: The one that is meant isn't there.
    """
    names = NAMES if wanted is None else (wanted.casefold(),)
    for name in names:
        for index, label in enumerate(labels):
            if label.casefold() == name:
                return index
    if wanted is not None:
        raise UserError(f"--background {wanted!r} is none of the labels: {', '.join(labels)}")
    return None


def choose_threshold(
    probabilities: np.ndarray, weights: np.ndarray, exempt: int | Sequence[int], least: float
) -> float:
    """Returns the least threshold by which at most MOST_CALLED of the background's moments are called an action.

    Args:
        probabilities: float [n, classes] of held-out moments of the background.
        weights: float [n].
        exempt: As for apply_unknown.
        least: What it may not be below, 0..1.

    Returns:
        0..1, a multiple of 0.001; so many moments may be above 1 - 0.001 that not even 1 suffices.
    """
    best = probabilities.argmax(axis=1)
    called = np.where(np.isin(best, exempt), -1.0, probabilities.max(axis=1))
    share = weights / weights.sum()
    for threshold in np.arange(round(least * 1000), 1000) / 1000:
        if share[called >= threshold].sum() <= MOST_CALLED + 1e-9:
            return float(threshold)
    return 1.0
