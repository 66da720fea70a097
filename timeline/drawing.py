"""Text and lines with OpenCV, for charts that are drawn many times a second."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Mapping

import cv2
import numpy as np

from timeline.colours import Look

if TYPE_CHECKING:
    from lettering import Face

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TRUETYPE = int(cv2.__version__.split(".")[0]) >= 5
_TALLEST = "Ag(|"
_SHIFT = 4  # binary digits of OpenCV's coordinates after the point: lines move by less than a pixel


@dataclass(frozen=True)
class Names:
    """How labels are written.

    Attributes:
        shown: The names of those labels that are shown otherwise: in another language.
        face: Draws these names; None for OpenCV's font.
    """

    shown: Mapping[str, str] = field(default_factory=dict)
    face: Face | None = None

    def of(self, label: str) -> str:
        """Returns what is shown for a label."""
        return self.shown.get(label, label)


def write(
    picture: np.ndarray,
    text: str,
    left: int,
    baseline: int,
    room: int,
    scale: float,
    colour: tuple[int, int, int],
    face: Face | None = None,
) -> None:
    """Writes a line of text, shortened to at most `room` pixels, into uint8 [H, W, 3] BGR, in a BGR colour."""
    text = fit_text(text, room, scale, face)
    if not text or not picture.size:
        return
    if face is not None:
        face.draw(picture, text, left, baseline, scale, colour)
    else:
        cv2.putText(picture, text, (left, baseline), _FONT, scale, colour, _thickness(scale), cv2.LINE_AA)


@lru_cache(maxsize=512)
def fit_text(text: str, room: int, scale: float, face: Face | None = None) -> str:
    """Returns what of a text fits into so many pixels, in letters that can be drawn: OpenCV 4 knows ASCII only."""
    text = " ".join(text.split())
    if not _TRUETYPE and face is None:
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
        text = plain.encode("ascii", "replace").decode()
    kept, shortened = len(text), text
    while kept > 0 and text_width(shortened, scale, face) > room:
        kept -= 1
        shortened = text[:kept].rstrip(" (,") + "..."
    return shortened if kept > 0 else ""


@lru_cache(maxsize=512)
def text_width(text: str, scale: float, face: Face | None = None) -> int:
    """Returns the width of a text in pixels."""
    return cv2.getTextSize(text, _FONT, scale, _thickness(scale))[0][0] if face is None else face.width(text, scale)


@lru_cache(maxsize=64)
def text_height(scale: float) -> tuple[int, int]:
    """Returns the pixels that letters take above and below their line."""
    (_, ascent), descent = cv2.getTextSize(_TALLEST, _FONT, scale, _thickness(scale))
    return ascent + descent // 4, descent


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


def _thickness(scale: float) -> int:
    # The strokes of OpenCV 5's TrueType font grow with the letters; those of 4.x have to be told to.
    return 1 if _TRUETYPE else max(1, round(1.6 * scale))
