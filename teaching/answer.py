"""The answer "unknown" of a model that was taught when to give it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from errors import ModelError
from teaching.description import read_teaching
from teaching.unknown import apply_unknown

UNKNOWN = "unknown"


@dataclass(frozen=True)
class UnknownRule:
    """When the answer is to be UNKNOWN.

    Attributes:
        threshold: Probability below which an action isn't named, 0..1.
        background: Index of the class that may always be named.
        place: Index of the class UNKNOWN, which is then the answer; None if there is no such class.
    """

    threshold: float
    background: int
    place: int | None = None

    def applies(self, probabilities: np.ndarray) -> bool:
        """Says whether these probabilities, float [classes], are too low to name an action."""
        exempt = [self.background] if self.place is None else [self.background, self.place]
        return apply_unknown(probabilities, self.threshold, exempt)


def names_shown(labels: Sequence[str], rule: UnknownRule | None) -> list[str]:
    """Returns the names that a model's answers have: its labels, and UNKNOWN where only a rule gives that answer."""
    return [*labels, UNKNOWN] if rule is not None and rule.place is None else [*labels]


def is_unknown(label: str) -> bool:
    """Says whether a class is called UNKNOWN, in whatever case."""
    return label.strip().casefold() == UNKNOWN


def read_unknown(model: str | os.PathLike[str], labels: Sequence[str]) -> UnknownRule | None:
    """Returns the rule that a model file carries; None if it wasn't taught one, or is run with other labels.

    Raises:
        ModelError: What the file says is damaged.
    """
    rule = (read_teaching(model) or {}).get("unknown")
    if not rule:
        return None
    try:
        label, threshold = str(rule["label"]), float(rule["threshold"])
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"model {model}: what it says about its teaching is damaged; teach it again") from None
    place = next((place for place, name in enumerate(labels) if is_unknown(name)), None)
    return UnknownRule(threshold, labels.index(label), place) if label in labels else None
