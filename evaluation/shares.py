"""A share of right answers, with the interval that it is known to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Iterable

_Z = 1.959964  # standard normal quantile of a two-sided 95 % interval


@dataclass(frozen=True)
class Share:
    """How many of a number of independent trials went well.

    Attributes:
        right: Those that did.
        of: All.
    """

    right: int
    of: int

    @classmethod
    def count(cls, outcomes: Iterable[bool]) -> Share:
        """Counts the outcomes that are true."""
        outcomes = list(outcomes)
        return cls(int(sum(outcomes)), len(outcomes))

    @property
    def value(self) -> float:
        """0..1; not a number if there was no trial."""
        return self.right / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the probability behind it, 0..1; it holds for few trials and near 0 and 1, too."""
        n, z = self.of, _Z
        if not n:
            return 0.0, 1.0
        centre = (self.right + z * z / 2) / (n + z * z)
        half = z / (n + z * z) * math.sqrt(self.right * (n - self.right) / n + z * z / 4)
        # At the ends the bound is 0 or 1 itself, but for rounding.
        return (centre - half if self.right else 0.0), (centre + half if self.right < n else 1.0)

    def to_json(self) -> dict[str, Any]:
        """Returns what JSON can hold of it."""
        low, high = self.interval
        share = round(self.value, 6) if self.of else None
        return {"right": self.right, "of": self.of, "share": share, "low": round(low, 6), "high": round(high, 6)}
