"""The live strip chart: the probabilities of the last minute, on the picture."""

from __future__ import annotations

import cv2
import numpy as np

from panels import PLAIN, SMALLEST_SCALE, TRACK, put, shorten, text_height, text_width
from timeline.colours import TEXT, Looks, bgr
from timeline.drawing import Names, draw_line
from timeline.history import History

SPAN = 60.0  # seconds
_MOST = 5  # lines
_PANEL_LIGHT = 0.25  # what the panel lets through of the picture under it
_NAMES_SHARE = 0.36  # share of the width that names may take
_AS_THEY_ARE = Names()
_LEAST = 24  # pixels of height and of the chart's width below which nothing is drawn


def recent_history() -> History:
    """Returns an empty history that remembers what the strip shows."""
    return History(bins=round(SPAN / 0.1) + 2, width=0.1, span=SPAN)


def strip_height(height: int) -> int:
    """Returns the rows that a strip should take of a picture with so many."""
    return max(2 * _LEAST, round(0.17 * height))


def draw_strip(
    picture: np.ndarray, history: History, looks: Looks, box: tuple[int, int, int, int], names: Names = _AS_THEY_ARE
) -> None:
    """Draws the last minute of the leading labels, with their names at the right where they are now.

    Args:
        picture: uint8 [H, W, 3] BGR, drawn on.
        history: What happened lately.
        looks: The labels' colours.
        box: Left, top, width and height in pixels; what lies outside the picture is left out.
        names: How the labels are written.
    """
    left, top = max(0, box[0]), max(0, box[1])
    panel = picture[top : max(top, box[1] + box[3]), left : max(left, box[0] + box[2])]
    height, width = panel.shape[:2]
    if height < _LEAST or width < 3 * _LEAST:
        return
    cv2.convertScaleAbs(panel, dst=panel, alpha=_PANEL_LIGHT)
    scale = max(SMALLEST_SCALE, min(height / 230, width / 1300))
    ascent, descent = text_height(PLAIN, scale)
    row_height = max(ascent + descent, 0 if isinstance(names.face, int) else names.face.height(scale) + 1)
    pad = max(2, ascent // 2)
    line_width = max(1, round(height / 100))
    labels = history.shown(max(1, min(_MOST, (height - pad) // row_height)))
    room = min(
        round(_NAMES_SHARE * width),
        max((text_width(names.drawn(label), names.face, scale) for label in labels), default=0) + 1,
    )
    right, bottom = width - room - 7 * pad // 2, height - 1 - pad
    _draw_grid(panel, (pad, pad, right, bottom))

    rise = bottom - pad  # of a line from 0 to 100 %
    for label, look in reversed(list(zip(labels, looks.together(labels)))):
        line = history.line(label)
        columns = right - (history.now - line.times) * ((right - pad) / SPAN)
        draw_line(panel, np.stack([np.maximum(columns, pad), bottom - rise * line.means], axis=1), look, line_width)
    rows = spread([bottom - rise * history.latest(label) for label in labels], row_height, pad, height - pad)
    for label, look, middle in zip(labels, looks.together(labels), rows):
        cv2.circle(panel, (right + pad, round(middle)), max(2, round(0.3 * ascent)), look.bgr, cv2.FILLED, cv2.LINE_AA)
        baseline = round(middle + (ascent - descent / 4) / 2)
        name = shorten(names.drawn(label), room, names.face, scale)
        put(panel, name, right + 5 * pad // 2, baseline, scale, bgr(TEXT), names.face)


def spread(rows: list[float], apart: float, first: float, last: float) -> list[float]:
    """Moves names apart, each as little as may be, in the order of their rows.

    Args:
        rows: Where they would stand, in pixels.
        apart: Pixels between two, at least.
        first: Upper end of the room; the first name's middle lies half of `apart` below it.
        last: Lower end.

    Returns:
        Where they stand.
    """
    order = sorted(range(len(rows)), key=lambda place: rows[place])
    low, high = first + apart / 2, last - apart / 2
    placed: dict[int, float] = {}
    floor = low
    for place in order:
        placed[place] = max(floor, rows[place])
        floor = placed[place] + apart
    ceiling = high
    for place in reversed(order):
        placed[place] = min(ceiling, placed[place])
        ceiling = placed[place] - apart
    return [placed[place] for place in range(len(rows))]


def _draw_grid(panel: np.ndarray, area: tuple[int, int, int, int]) -> None:
    """Draws 0, 50 and 100 %, and every ten seconds."""
    left, top, right, bottom = area
    for share in (0.0, 0.5, 1.0):
        panel[round(bottom - share * (bottom - top)), left:right] = TRACK
    for tenth in range(1, round(SPAN / 10)):
        column = round(right - tenth * 10 / SPAN * (right - left))
        panel[top : bottom + 1, column] = TRACK
