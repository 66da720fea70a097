"""Names and lines of charts that OpenCV draws, many times a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Mapping

import cv2
import numpy as np

from panels import PLAIN, printable
from timeline.colours import Look

if TYPE_CHECKING:
    from lettering import Face

_SHIFT = 4  # binary digits of OpenCV's coordinates after the point: lines move by less than a pixel


@dataclass(frozen=True)
class Names:
    """How labels are written.

    Attributes:
        shown: The names of those labels that are shown otherwise: in another language.
        face: Draws these names: one of OpenCV's fonts, or of the system.
    """

    shown: Mapping[str, str] = field(default_factory=dict)
    face: Face | int = PLAIN

    def of(self, label: str) -> str:
        """Returns what is shown for a label."""
        return self.shown.get(label, label)

    def drawn(self, label: str) -> str:
        """Returns what is shown for a label, in letters that the face has."""
        return printable(self.of(label), self.face)


def draw_line(picture: np.ndarray, points: np.ndarray, look: Look, width: int) -> None:
    """Draws a line, broken where a point is NaN.

    Args:
        picture: uint8 [H, W, 3] BGR, drawn on.
        points: float [n, 2], columns and rows.
        look: Colour and pattern.
        width: Of the line, in pixels.
    """
    pieces = _pieces(points)
    if look.pattern:
        pieces = [stroke for piece in pieces for stroke in _strokes(piece, [width * part for part in look.pattern])]
    fixed = [np.round(piece * (1 << _SHIFT)).astype(np.int32) for piece in pieces]
    cv2.polylines(picture, fixed, False, look.bgr, width, cv2.LINE_AA, _SHIFT)


def _pieces(points: np.ndarray) -> list[np.ndarray]:
    """Splits points, float [n, 2], at those that are NaN."""
    broken = np.flatnonzero(np.isnan(points).any(axis=1))
    parts = np.split(points, broken) if len(broken) else [points]
    pieces = [part[np.isfinite(part).all(axis=1)] for part in parts]
    # A single point is drawn as a short line: OpenCV draws nothing for it.
    return [piece if len(piece) > 1 else np.repeat(piece, 2, axis=0) for piece in pieces if len(piece)]


def _strokes(points: np.ndarray, pattern: list[float]) -> list[np.ndarray]:
    """Cuts a line into strokes; `pattern` is the lengths of strokes and gaps in turn, in pixels."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    starts = np.arange(0, lengths[-1] + 1e-6, sum(pattern))
    strokes = []
    for start in starts.tolist():
        for stroke, gap in zip(pattern[::2], pattern[1::2]):
            ends = np.array([start, min(start + stroke, lengths[-1])])
            if start <= lengths[-1]:
                inside = points[(lengths > ends[0]) & (lengths < ends[1])]
                first, last = np.stack([np.interp(ends, lengths, points[:, axis]) for axis in (0, 1)], axis=1)
                strokes.append(np.vstack([first, inside, last]))
            start += stroke + gap
    return strokes
