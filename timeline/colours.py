"""One look for a label, the same in the window, on the web page and in files; made for every kind of colour blindness.

A label's own colour follows from its name alone, so that it is the same in every run. Where two labels of a run have
the same one, the label that leads first keeps it and the other takes the next that is free. When none is free, labels
share colours, and those that are shown together differ by the pattern of their lines.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from video_classifier import Prediction

# Okabe and Ito's palette without black: all of it shows on a dark ground.
PALETTE = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")
# What a chart is drawn with besides.
GROUND, GRID, QUIET, TEXT = "#14171c", "#2e353e", "#a3adb8", "#eef1f4"

_SALT = 92  # with it, the seven labels of the demo have seven colours
_LEADS = 0.3  # probability from which on a first place is more than noise
# Of a line: lengths of its strokes and gaps, in widths of the line; () is a solid one.
_PATTERNS: tuple[tuple[float, ...], ...] = ((), (5.0, 2.5), (1.2, 2.2), (6.0, 2.2, 1.2, 2.2))


@dataclass(frozen=True)
class Look:
    """How the line of a label is drawn.

    Attributes:
        colour: "#rrggbb".
        pattern: Lengths of strokes and gaps, in widths of the line; empty for a solid one.
    """

    colour: str
    pattern: tuple[float, ...] = ()

    @property
    def bgr(self) -> tuple[int, int, int]:
        return bgr(self.colour)


class Looks:
    """The colours of a run. `notice` is for one thread; the rest for any."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}  # colour by label, in the order in which the labels first led

    def notice(self, prediction: Prediction) -> None:
        """Lets a label that leads for the first time take its colour."""
        best = prediction.top[0] if prediction.top else None
        if best is not None and best.probability >= _LEADS and best.label not in self._taken:
            self._taken[best.label] = self._free(best.label)

    def colour(self, label: str) -> str:
        """Returns a label's colour, "#rrggbb"."""
        return self._taken.get(label) or own_colour(label)

    def together(self, labels: Sequence[str]) -> list[Look]:
        """Returns the looks of different labels that are shown together, no two alike as far as 28 looks reach."""
        places = {label: place for place, label in enumerate(list(self._taken))}
        shared: dict[str, int] = {}
        looks: dict[str, Look] = {}
        # By who led first, not by rank: a line keeps its pattern while ranks change.
        for label in sorted(labels, key=lambda label: (places.get(label, len(places)), label)):
            colour = self.colour(label)
            looks[label] = Look(colour, _PATTERNS[shared.get(colour, 0) % len(_PATTERNS)])
            shared[colour] = shared.get(colour, 0) + 1
        return [looks[label] for label in labels]

    def _free(self, label: str) -> str:
        first = PALETTE.index(own_colour(label))
        following = PALETTE[first:] + PALETTE[:first]
        taken = set(self._taken.values())
        return next((colour for colour in following if colour not in taken), following[0])


def own_colour(label: str) -> str:
    """Returns the colour that follows from a label's name alone."""
    return PALETTE[zlib.crc32(label.encode(), _SALT) % len(PALETTE)]


def bgr(colour: str) -> tuple[int, int, int]:
    """Converts "#rrggbb" to blue, green and red, 0..255."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)
