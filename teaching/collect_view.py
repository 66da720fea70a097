"""What is drawn on the picture while clips are collected; legible from the other end of a room."""

from __future__ import annotations

import itertools
import math
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Sequence

import cv2
import numpy as np

from teaching.collect import Collector, Phase
from teaching.review import hint

# Blue, green, red.
_WHITE = (255, 255, 255)
_LIGHT = (225, 225, 225)
_YELLOW = (66, 228, 240)
_ORANGE = (0, 159, 230)
_RED = (50, 50, 235)
_BLACK = (0, 0, 0)
_TRACK = (95, 95, 95)

_KEYS = {
    Phase.REVIEW: "space: record   r: replay   d: discard   n: next label   q: quit",
    Phase.COUNTDOWN: "space: pause   r: replay   d: discard   n: next label   q: quit",
    Phase.RECORDING: "space: pause after this   d: discard this   q: quit",
    Phase.DONE: "q: quit",
}
_REPLAY_KEYS = "space: go on   d: discard   q: quit"
_PANEL_LIGHT = 0.25  # what a panel lets through of the picture under it
_PLAIN, _STRONG = cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX
_TRUETYPE = int(cv2.__version__.split(".")[0]) >= 5
_SMALLEST_SCALE = 0.32  # OpenCV's font scale below which letters run together
_COUNTS_SHARE = 0.42  # of the picture's width, for the list of labels
_MOST_ROWS = 8


@dataclass(frozen=True)
class Scene:
    """What is to be told besides the collector's state.

    Attributes:
        replay: The clip that is being played again, "waving 4"; "" if none is.
        message: What just happened.
        keys: Whether there are keys to press.
    """

    replay: str = ""
    message: str = ""
    keys: bool = True


def draw_scene(image: np.ndarray, collector: Collector, now: float, scene: Scene) -> np.ndarray:
    """Draws what goes on, on a copy of a frame.

    Args:
        image: uint8 [H, W, 3] BGR. Not modified.
        collector: Its state.
        now: The present, on the collector's clock.
        scene: What else is to be told.

    Returns:
        uint8 [H, W, 3] BGR.
    """
    picture = image.copy()
    canvas = _Canvas(picture)
    if collector.phase is Phase.RECORDING and not scene.replay:
        _draw_recording(canvas, collector, now)
    _draw_counts(canvas, collector)
    if scene.keys:
        canvas.footer(_REPLAY_KEYS if scene.replay else _KEYS[collector.phase])
    if scene.replay:
        canvas.tag(f"replay: {scene.replay}", _YELLOW)
    elif collector.away:
        canvas.banner(["no signal from the camera"], _YELLOW)
    elif collector.phase is Phase.COUNTDOWN:
        _draw_countdown(canvas, collector, now)
    elif collector.phase is Phase.REVIEW:
        _draw_review(canvas, collector, now, scene)
    return picture


def _draw_counts(canvas: _Canvas, collector: Collector) -> None:
    """Lists the labels with their counts, the current one marked; of many, those around it."""
    labels = list(collector.counts)
    at = max(0, min(labels.index(collector.label) - _MOST_ROWS // 2, len(labels) - _MOST_ROWS))
    rows = [
        (label, f"{collector.counts[label]} of {collector.clips}", label == collector.label)
        for label in labels[at : at + _MOST_ROWS]
    ]
    canvas.rows(rows)


def _draw_recording(canvas: _Canvas, collector: Collector, now: float) -> None:
    canvas.frame(_RED)
    canvas.tag(f"{collector.remaining(now):.1f} s", _WHITE, dot=_RED)
    canvas.bar(collector.progress(now), _RED)


def _draw_countdown(canvas: _Canvas, collector: Collector, now: float) -> None:
    seconds = max(1, math.ceil(collector.remaining(now) - 1e-3))
    words = hint(collector.label, collector.counts[collector.label])
    canvas.numeral(str(seconds), f"{collector.label}: {words}" if words else collector.label)


def _draw_review(canvas: _Canvas, collector: Collector, now: float, scene: Scene) -> None:
    lines = [scene.message] if scene.message else []
    if collector.all_complete:
        lines.append("all clips are recorded")
    elif collector.fresh:
        lines.append(f"next: {collector.label}")
        words = hint(collector.label, collector.counts[collector.label])
        lines += [words] if words else []
    if collector.paused:
        lines.append("paused")
    elif collector.fresh and not collector.all_complete:
        lines.append(f"in {max(1, math.ceil(collector.remaining(now)))} s")
    if lines:
        canvas.banner(lines, _WHITE)


class _Canvas:
    """A picture and the sizes that suit it."""

    def __init__(self, picture: np.ndarray) -> None:
        self._picture = picture
        self._height, self._width = picture.shape[:2]
        self._scale = max(_SMALLEST_SCALE, min(self._height, self._width) / 800)
        self._line = _line_height(self._scale)
        self._pad = max(3, round(0.45 * self._line))

    def rows(self, rows: Sequence[tuple[str, str, bool]]) -> None:
        """Lists names and numbers in the upper left corner."""
        pad, line = self._pad, self._line
        names = [_printable(name) for name, _, _ in rows]
        number_width = max(_width(number, _STRONG, self._scale) for _, number, _ in rows)
        most = max(line, round(_COUNTS_SHARE * self._width) - number_width - 4 * pad)
        name_width = min(most, max(_width(name, _STRONG, self._scale) for name in names))
        step = line + 3 * pad // 4
        panel = self._panel(pad, pad, name_width + number_width + 4 * pad, len(rows) * step + pad)
        for row, (name, (_, number, current)) in enumerate(zip(names, rows)):
            baseline = pad // 2 + row * step + line
            font, colour = (_STRONG, _WHITE) if current else (_PLAIN, _LIGHT)
            if current:
                cv2.rectangle(panel, (0, baseline - line), (max(2, pad // 3), baseline + pad // 3), _ORANGE, -1)
            _write(panel, name, (pad, baseline), name_width, self._scale, colour, font)
            left = panel.shape[1] - pad - _width(number, font, self._scale)
            _write(panel, number, (left, baseline), number_width, self._scale, colour, font)

    def tag(self, text: str, colour: tuple[int, int, int], dot: tuple[int, int, int] | None = None) -> None:
        """Writes into the upper right corner, large; with a dot before it if that has a colour."""
        scale = 1.5 * self._scale
        line, pad = _line_height(scale), self._pad
        dot_width = line + pad if dot is not None else 0
        text = _printable(text)
        width = min(_width(text, _STRONG, scale), self._width // 2 - 4 * pad - dot_width)
        panel = self._panel(self._width - width - dot_width - 3 * pad, pad, width + dot_width + 2 * pad, line + 2 * pad)
        if dot is not None:
            cv2.circle(panel, (pad + line // 2, pad + line // 2), max(3, round(0.45 * line)), dot, -1, cv2.LINE_AA)
        _write(panel, text, (pad + dot_width, pad + line), width, scale, colour, _STRONG)

    def banner(self, lines: Sequence[str], colour: tuple[int, int, int]) -> None:
        """Writes lines into the middle, the first one large."""
        pad, room = self._pad, self._width - 6 * self._pad
        scales = [(1.8 if row == 0 else 1.3) * self._scale for row in range(len(lines))]
        texts = [_printable(line) for line in lines]
        fitted = [_fit(text, room, _STRONG, scale) for text, scale in zip(texts, scales)]
        heights = [_line_height(scale) + 5 * pad // 4 for _, scale in fitted]
        width = max(_width(text, _STRONG, scale) for text, scale in fitted) + 4 * pad
        top = (self._height - sum(heights) - pad) // 2
        panel = self._panel((self._width - width) // 2, top, width, sum(heights) + pad)
        baseline = 0
        for row, ((text, scale), height) in enumerate(zip(fitted, heights)):
            baseline += height
            left = (panel.shape[1] - _width(text, _STRONG, scale)) // 2
            _write(panel, text, (left, baseline), room, scale, colour if row == 0 else _LIGHT, _STRONG)

    def numeral(self, number: str, words: str) -> None:
        """Writes a number as large as the picture allows, and words under it."""
        scale = 8 * self._scale
        line = _line_height(scale)
        left = (self._width - _width(number, _STRONG, scale)) // 2
        baseline = (self._height + line) // 2
        edge = max(1, self._pad // 3)
        for right, down in (*itertools.product((-edge, edge), repeat=2), (0, 0)):
            place, colour = (left + right, baseline + down), _BLACK if right else _WHITE
            cv2.putText(self._picture, number, place, _STRONG, scale, colour, _thickness(scale), cv2.LINE_AA)
        pad, room = self._pad, self._width - 6 * self._pad
        text, words_scale = _fit(_printable(words), room, _STRONG, 1.3 * self._scale)
        width = _width(text, _STRONG, words_scale)
        words_line = _line_height(words_scale)
        top = baseline + 2 * pad
        panel = self._panel((self._width - width) // 2 - pad, top, width + 2 * pad, words_line + 2 * pad)
        _write(panel, text, (pad, pad + words_line), room, words_scale, _WHITE, _STRONG)

    def footer(self, text: str) -> None:
        """Writes along the lower edge, over all else."""
        pad, line = self._pad, self._line
        panel = self._panel(0, self._height - line - 2 * pad, self._width, line + 2 * pad)
        room = self._width - 4 * pad
        text, scale = _fit(text, room, _PLAIN, self._scale)
        left = (self._width - _width(text, _PLAIN, scale)) // 2
        _write(panel, text, (left, pad + line), room, scale, _LIGHT, _PLAIN)

    def frame(self, colour: tuple[int, int, int]) -> None:
        """Draws a border around the picture."""
        thickness = max(2, self._pad // 2)
        cv2.rectangle(self._picture, (0, 0), (self._width - 1, self._height - 1), colour, 2 * thickness)

    def bar(self, share: float, colour: tuple[int, int, int]) -> None:
        """Draws a bar above the footer."""
        bottom = self._height - self._line - 3 * self._pad
        left, right = 2 * self._pad, self._width - 2 * self._pad
        bar = self._picture[max(0, bottom - self._pad) : bottom, left:right]
        bar[:] = _TRACK
        bar[:, : round(share * bar.shape[1])] = colour

    def _panel(self, left: int, top: int, width: int, height: int) -> np.ndarray:
        """Darkens a rectangle, as far as it lies in the picture, and returns it as a view to draw in."""
        left, top = max(0, left), max(0, top)
        panel = self._picture[top : top + max(0, height), left : left + max(0, width)]
        if panel.size:
            cv2.convertScaleAbs(panel, dst=panel, alpha=_PANEL_LIGHT)
        return panel


def _write(
    panel: np.ndarray,
    text: str,
    place: tuple[int, int],
    room: int,
    scale: float,
    colour: tuple[int, int, int],
    font: int,
) -> None:
    if panel.size:
        text, scale = _fit(text, room, font, scale)
        cv2.putText(panel, text, place, font, scale, colour, _thickness(scale), cv2.LINE_AA)


@lru_cache(maxsize=64)
def _line_height(scale: float) -> int:
    """Returns the height in pixels of capitals: lines are set by it, with padding around."""
    return int(cv2.getTextSize("A", _STRONG, scale, _thickness(scale))[0][1])


def _thickness(scale: float) -> int:
    # The strokes of OpenCV 5's TrueType font grow with the letters; those of 4.x have to be told to.
    return 1 if _TRUETYPE else max(1, round(1.6 * scale))


@lru_cache(maxsize=256)
def _width(text: str, font: int, scale: float) -> int:
    return int(cv2.getTextSize(text, font, scale, _thickness(scale))[0][0])


@lru_cache(maxsize=256)
def _fit(text: str, room: int, font: int, scale: float) -> tuple[str, float]:
    """Makes a text fit: as it is, else smaller, else with its end replaced by dots."""
    width = _width(text, font, scale)
    if width > room:
        scale = max(_SMALLEST_SCALE, 0.6 * scale, 0.98 * scale * room / width)
    shortened, kept = text, len(text)
    while kept and _width(shortened, font, scale) > room:
        kept -= 1
        shortened = text[:kept].rstrip() + "..."
    return shortened, scale


@lru_cache(maxsize=256)
def _printable(text: str) -> str:
    """Returns the text in letters that this OpenCV can draw: 4.x knows ASCII only."""
    if _TRUETYPE:
        return text
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode()
