"""Text on dark panels: what the overlay and the other pictures for people are made of, in OpenCV's fonts or others."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from lettering import Face

# Blue, green, red. Orange of the Okabe-Ito palette stays apart for every kind of colour blindness.
ORANGE = (0, 159, 230)
WHITE = (255, 255, 255)
LIGHT = (225, 225, 225)
YELLOW = (66, 228, 240)
TRACK = (95, 95, 95)
BLACK = (0, 0, 0)

PLAIN, STRONG = cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX
SMALLEST_SCALE = 0.32
"""OpenCV's font scale below which letters run together."""

_TRUETYPE = int(cv2.__version__.split(".")[0]) >= 5
_TALLEST = "Ag(|"
_PANEL_LIGHT = 0.25  # what a panel lets through of the picture under it
_SHRINK = 0.75  # a text that doesn't fit gets this much smaller before it is shortened


def open_panel(picture: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray:
    """Darkens a rectangle, as far as it lies in the picture, and returns it as a view to draw in."""
    left, top = max(0, left), max(0, top)
    panel = picture[top : top + max(0, height), left : left + max(0, width)]
    if panel.size:
        cv2.convertScaleAbs(panel, dst=panel, alpha=_PANEL_LIGHT)
    return panel


def write(
    panel: np.ndarray,
    text: str,
    left: int,
    baseline: int,
    room: int,
    scale: float,
    colour: tuple[int, int, int],
    font: Face | int = PLAIN,
) -> None:
    """Writes one line of text, made to fit into `room` pixels.

    Args:
        panel: uint8 [H, W, 3] BGR; a view into a picture.
        text: Printable in the font.
        left: Column of its begin.
        baseline: Row that the letters stand on.
        room: Pixels that it may be wide.
        scale: OpenCV's font scale.
        colour: Blue, green and red, 0..255.
        font: One of OpenCV's, or of the system.
    """
    if panel.size:
        text, scale = fit_text(text, room, font, scale)
        put(panel, text, left, baseline, scale, colour, font)


def put(
    panel: np.ndarray,
    text: str,
    left: int,
    baseline: int,
    scale: float,
    colour: tuple[int, int, int],
    font: Face | int = PLAIN,
) -> None:
    """Writes one line of text as it is; arguments as for write()."""
    if isinstance(font, int):
        cv2.putText(panel, text, (left, baseline), font, scale, colour, _thickness(scale), cv2.LINE_AA)
    else:
        font.draw(panel, text, left, baseline, scale, colour)


@lru_cache(maxsize=256)
def fit_text(text: str, room: int, font: Face | int, scale: float) -> tuple[str, float]:
    """Makes a text fit: as it is, else smaller, else smaller and shortened; returns it with its scale."""
    width = text_width(text, font, scale)
    if width <= room:
        return text, scale
    scale = max(min(scale, SMALLEST_SCALE), _SHRINK * scale, 0.98 * scale * room / width)
    return shorten(text, room, font, scale), scale


@lru_cache(maxsize=512)
def shorten(text: str, room: int, font: Face | int, scale: float) -> str:
    """Returns a text whose end is replaced by dots if it doesn't fit; "" if not even these do."""
    kept, shortened = len(text), text
    while kept > 0 and text_width(shortened, font, scale) > room:
        kept -= 1
        shortened = text[:kept].rstrip(" (,（・·") + "..."
    return shortened if kept > 0 else ""


@lru_cache(maxsize=512)
def text_width(text: str, font: Face | int, scale: float) -> int:
    """Returns the width of a text in pixels."""
    if isinstance(font, int):
        return int(cv2.getTextSize(text, font, scale, _thickness(scale))[0][0])
    return font.width(text, scale)


@lru_cache(maxsize=64)
def text_height(font: int, scale: float) -> tuple[int, int]:
    """Returns the pixels that the letters of one of OpenCV's fonts take above and below their line."""
    (_, ascent), descent = cv2.getTextSize(_TALLEST, font, scale, _thickness(scale))
    # OpenCV 4 counts no space above capitals, 5 does: a little more sets the text in the middle of its line in both.
    return ascent + descent // 4, descent


@lru_cache(maxsize=256)
def printable(text: str, font: Face | int = PLAIN) -> str:
    """Returns the text in one line and in letters that the font has: OpenCV 4's know ASCII only."""
    text = " ".join(text.split())
    if _TRUETYPE or not isinstance(font, int):
        return text
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode()


def _thickness(scale: float) -> int:
    # The strokes of OpenCV 5's TrueType font grow with the letters; those of 4.x have to be told to.
    return 1 if _TRUETYPE else max(1, round(1.6 * scale))
