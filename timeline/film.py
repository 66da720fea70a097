"""The pictures of a film: the video, and beside it the chart of the labels' probabilities, which grows with time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from panels import PLAIN, put, shorten, text_height, text_width
from timeline.axis import ticks
from timeline.chart import Timebase
from timeline.colours import GRID, GROUND, QUIET, TEXT, Look, Looks, bgr
from timeline.drawing import Names, draw_line
from timeline.history import History

SPAN = 60.0  # seconds that the chart shows at most
_ROWS = 5  # labels named below the chart, at most
_ROWS_SHARE = 0.52  # of the height, that they may take
_LINES = 7  # more than rows: the line of a label that has lost its row goes on
_SHORTEST = 10.0  # seconds that its axis has from the start
_LEAST, _MOST = 320, 720  # rows of a film
_PANEL = 0.9  # width of the chart, as a share of the height
_TRACK = (62, 53, 46)


@dataclass(frozen=True)
class Layout:
    """Sizes in pixels, all even.

    Attributes:
        height: Of both parts.
        video: Width of the video's part.
        panel: Width of the chart's.
    """

    height: int
    video: int
    panel: int

    @staticmethod
    def of(height: int, width: int, most: int | None = None) -> Layout:
        """Suits a video of this height and width; `most` bounds the width of the whole."""
        rows = float(min(max(height, _LEAST), _MOST))
        if most is not None:
            rows = min(rows, most / (width / height + _PANEL))
        return Layout(_even(rows), _even(rows * width / height), _even(rows * _PANEL))


class Film:
    """Draws the pictures of a film. One thread at a time.

    Args:
        looks: The labels' colours.
        timebase: How the time axis counts.
        most: Width in pixels of a picture, at most; None for no bound.

    Attributes:
        names: How the labels are written; may be replaced.
        history: What the chart shows; to be given each prediction before the picture that follows it.
    """

    def __init__(self, looks: Looks, timebase: Timebase, most: int | None = None) -> None:
        self.history = History(bins=round(SPAN / 0.1) + 2, width=0.1, span=SPAN)
        self.names = Names()
        self._looks = looks
        self._timebase = timebase
        self._most = most
        self._layout: Layout | None = None
        self._rows: list[str] = []
        self._panel: np.ndarray | None = None
        self._drawn = float("nan")  # the history's time when the panel was drawn

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """Returns the next picture of the film.

        Args:
            picture: uint8 [H, W, 3] BGR of the video. The film takes its size from the first.

        Returns:
            uint8 [height, width, 3] BGR: the video, and the chart at its right.
        """
        if self._layout is None:
            self._layout = Layout.of(picture.shape[0], picture.shape[1], self._most)
        if self._panel is None or self.history.now != self._drawn:
            self._panel, self._drawn = self._draw_panel(), self.history.now
        size = self._layout.video, self._layout.height
        smaller = picture.shape[0] > self._layout.height
        video = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        return np.hstack([video, self._panel])

    def _draw_panel(self) -> np.ndarray:
        assert self._layout is not None
        height, width = self._layout.height, self._layout.panel
        panel = np.full((height, width, 3), bgr(GROUND), np.uint8)
        scale = max(0.34, height / 1000)
        ascent, descent = text_height(PLAIN, scale)
        pad = ascent
        row_height = round(2.1 * (ascent + descent))
        rows = max(1, min(_ROWS, round(_ROWS_SHARE * height) // row_height))
        below = height - rows * row_height - pad
        left = 2 * pad + text_width("100 %", PLAIN, 0.85 * scale)
        self._follow_leaders(rows)
        labels = self._rows + [label for label in self.history.leaders(_LINES) if label not in self._rows]
        looks = dict(zip(labels, self._looks.together(labels)))
        area = left, round(1.5 * pad), width - round(1.5 * pad), below - round(3.2 * pad)
        self._draw_chart(panel, area, looks, scale)
        now = [self.history.latest(label) for label in self._rows]
        for number, label in enumerate(self._rows):
            top = below + number * row_height
            best = now[number] == max(now)
            _draw_row(panel, self.names, label, now[number], looks[label], top, pad, scale, best)
        return panel

    def _follow_leaders(self, most: int) -> None:
        """A label keeps its row for as long as it leads; a new one takes the row of one that doesn't any more."""
        leaders = self.history.shown(most)
        fresh = [label for label in leaders if label not in self._rows]
        kept = [label if label in leaders else fresh.pop(0) if fresh else None for label in self._rows]
        self._rows = [label for label in kept if label is not None] + fresh

    def _draw_chart(
        self, panel: np.ndarray, area: tuple[int, int, int, int], looks: dict[str, Look], scale: float
    ) -> None:
        left, top, right, bottom = area
        history = self.history
        small = 0.85 * scale
        ascent, _ = text_height(PLAIN, small)
        for share in (0.0, 0.5, 1.0):
            row = round(bottom - share * (bottom - top))
            panel[row, left:right] = bgr(GRID)
            name = f"{share * 100:.0f} %"
            put(panel, name, left - ascent - text_width(name, PLAIN, small), row + ascent // 2, small, bgr(QUIET))
        if history.start is None:
            return
        first = max(history.start, history.now - SPAN)
        span = min(max(history.now - first, _SHORTEST), SPAN)
        pixels = (right - left) / span
        offset = self._timebase.offset
        for moment, name in ticks(first + offset, first + offset + span, 5, self._timebase.clock):
            column = round(left + (moment - offset - first) * pixels)
            panel[top : bottom + 1, min(column, right - 1)] = bgr(GRID)
            name_width = text_width(name, PLAIN, small)
            place = min(column - name_width // 2, panel.shape[1] - name_width - 2)
            put(panel, name, place, bottom + 2 * ascent, small, bgr(QUIET))
        width = max(2, round(panel.shape[0] / 240))
        for label, look in reversed(list(looks.items())):
            line = history.line(label)
            points = np.stack([left + (line.times - first) * pixels, bottom - line.means * (bottom - top)], axis=1)
            points[:, 0] = np.maximum(points[:, 0], left)
            draw_line(panel, points, look, width)
            end = tuple(np.round(points[-1]).astype(int).tolist())
            cv2.circle(panel, end, 2 * width, look.bgr, cv2.FILLED, cv2.LINE_AA)


def _draw_row(
    panel: np.ndarray,
    names: Names,
    label: str,
    probability: float,
    look: Look,
    top: int,
    pad: int,
    scale: float,
    best: bool,
) -> None:
    """Draws a label with its probability now, as a number and as a bar."""
    ascent, descent = text_height(PLAIN, scale)
    left, right = round(1.5 * pad), panel.shape[1] - round(1.5 * pad)
    colour = bgr(TEXT if best else QUIET)
    percentage = "<1 %" if probability < 0.005 else f"{100 * probability:.0f} %"
    radius = round(0.36 * ascent)
    cv2.circle(panel, (left + radius, top + ascent // 2 + 1), radius, look.bgr, cv2.FILLED, cv2.LINE_AA)
    name_left = left + 2 * radius + pad // 2
    room = right - name_left - text_width("100 %", PLAIN, scale) - pad
    name = shorten(names.drawn(label), room, names.face, scale)
    put(panel, name, name_left, top + ascent, scale, colour, names.face)
    put(panel, percentage, right - text_width(percentage, PLAIN, scale), top + ascent, scale, colour)
    bar_top = top + ascent + descent + 1
    bar = panel[bar_top : bar_top + max(3, round(0.6 * ascent)), left:right]
    bar[:] = _TRACK
    end = round((right - left) * min(1.0, probability))
    if not look.pattern:
        bar[:, :end] = look.bgr
    elif end:
        middle, height = bar.shape[0] / 2, bar.shape[0]
        draw_line(bar[:, :end], np.array([[0.0, middle], [end - 1.0, middle]]), look, height)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))
