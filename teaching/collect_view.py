"""What is drawn on the picture while clips are collected; legible from the other end of a room."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Sequence

import cv2
import numpy as np

from lettering import OPENCV, Face, Lettering
from panels import (
    BLACK,
    LIGHT,
    ORANGE,
    PLAIN,
    SMALLEST_SCALE,
    STRONG,
    TRACK,
    WHITE,
    YELLOW,
    fit_text,
    open_panel,
    printable,
    put,
    text_height,
    text_width,
    write,
)
from teaching.collect import Collector, Phase
from teaching.review import hint

_RED = (50, 50, 235)  # blue, green, red

_KEYS = {
    Phase.REVIEW: "space: record   r: replay   d: discard   n: next   q: quit",
    Phase.COUNTDOWN: "space: pause   r: replay   d: discard   n: next   q: quit",
    Phase.RECORDING: "space: pause after this   d: discard this   q: quit",
    Phase.DONE: "q: quit",
}
_REPLAY_KEYS = "space: go on   d: discard   q: quit"
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


def draw_scene(
    image: np.ndarray, collector: Collector, now: float, scene: Scene, lettering: Lettering = OPENCV
) -> np.ndarray:
    """Draws what goes on, on a copy of a frame.

    Args:
        image: uint8 [H, W, 3] BGR. Not modified.
        collector: Its state.
        now: The present, on the collector's clock.
        scene: What else is to be told.
        lettering: Draws what isn't ASCII.

    Returns:
        uint8 [H, W, 3] BGR.
    """
    picture = image.copy()
    canvas = _Canvas(picture, lettering)
    if collector.phase is Phase.RECORDING and not scene.replay:
        _draw_recording(canvas, collector, now)
    _draw_counts(canvas, collector)
    if scene.keys:
        canvas.footer(_REPLAY_KEYS if scene.replay else _KEYS[collector.phase])
    if scene.replay:
        canvas.tag(f"replay: {scene.replay}", YELLOW)
    elif collector.away:
        canvas.banner(["no signal from the camera"], YELLOW)
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
    canvas.tag(f"{collector.remaining(now):.1f} s", WHITE, dot=_RED)
    canvas.bar(collector.progress(now), _RED)


def _draw_countdown(canvas: _Canvas, collector: Collector, now: float) -> None:
    seconds = collector.seconds_left(now)
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
        lines.append(f"in {collector.seconds_left(now)} s")
    if lines:
        canvas.banner(lines, WHITE)


class _Canvas:
    """A picture and the sizes that suit it."""

    def __init__(self, picture: np.ndarray, lettering: Lettering) -> None:
        self._picture = picture
        self._lettering = lettering
        self._height, self._width = picture.shape[:2]
        self._scale = max(SMALLEST_SCALE, min(self._height, self._width) / 800)
        self._line = _line(self._scale)
        self._pad = max(3, round(0.45 * self._line))

    def rows(self, rows: Sequence[tuple[str, str, bool]]) -> None:
        """Lists names and numbers in the upper left corner."""
        pad, line = self._pad, self._line
        number_width = max(text_width(number, STRONG, self._scale) for _, number, _ in rows)
        most = max(line, round(_COUNTS_SHARE * self._width) - number_width - 4 * pad)
        fonts = [self._strong(name) if current else self._plain(name) for name, _, current in rows]
        names = [printable(name, font) for (name, _, _), font in zip(rows, fonts)]
        strong = [self._strong(name) for name, _, _ in rows]  # in which any of them is in its turn
        name_width = min(most, max(text_width(name, font, self._scale) for name, font in zip(names, strong)))
        step = line + 3 * pad // 4
        panel = open_panel(self._picture, pad, pad, name_width + number_width + 4 * pad, len(rows) * step + pad)
        for row, (name, name_font, (_, number, current)) in enumerate(zip(names, fonts, rows)):
            baseline = pad // 2 + row * step + line
            font, colour = (STRONG, WHITE) if current else (PLAIN, LIGHT)
            if current:
                cv2.rectangle(panel, (0, baseline - line), (max(2, pad // 3), baseline + pad // 3), ORANGE, -1)
            write(panel, name, pad, baseline, name_width, self._scale, colour, name_font)
            left = panel.shape[1] - pad - text_width(number, font, self._scale)
            write(panel, number, left, baseline, number_width, self._scale, colour, font)

    def tag(self, text: str, colour: tuple[int, int, int], dot: tuple[int, int, int] | None = None) -> None:
        """Writes into the upper right corner, large; with a dot before it if that has a colour."""
        scale = 1.5 * self._scale
        line, pad = _line(scale), self._pad
        dot_width = line + pad if dot is not None else 0
        font = self._strong(text)
        text = printable(text, font)
        width = min(text_width(text, font, scale), self._width // 2 - 4 * pad - dot_width)
        whole = width + dot_width + 2 * pad
        panel = open_panel(self._picture, self._width - whole - pad, pad, whole, line + 2 * pad)
        if dot is not None:
            cv2.circle(panel, (pad + line // 2, pad + line // 2), max(3, round(0.45 * line)), dot, -1, cv2.LINE_AA)
        write(panel, text, pad + dot_width, pad + line, width, scale, colour, font)

    def banner(self, lines: Sequence[str], colour: tuple[int, int, int]) -> None:
        """Writes lines into the middle, the first one large."""
        pad, room = self._pad, self._width - 6 * self._pad
        scales = [(1.8 if row == 0 else 1.3) * self._scale for row in range(len(lines))]
        fonts = [self._strong(line) for line in lines]
        texts = [printable(line, font) for line, font in zip(lines, fonts)]
        fitted = [fit_text(text, room, font, scale) for text, font, scale in zip(texts, fonts, scales)]
        heights = [_line(scale) + 5 * pad // 4 for _, scale in fitted]
        width = max(text_width(text, font, scale) for (text, scale), font in zip(fitted, fonts)) + 4 * pad
        top = (self._height - sum(heights) - pad) // 2
        panel = open_panel(self._picture, (self._width - width) // 2, top, width, sum(heights) + pad)
        baseline = 0
        for row, ((text, scale), font, height) in enumerate(zip(fitted, fonts, heights)):
            baseline += height
            left = (panel.shape[1] - text_width(text, font, scale)) // 2
            write(panel, text, left, baseline, room, scale, colour if row == 0 else LIGHT, font)

    def numeral(self, number: str, words: str) -> None:
        """Writes a number as large as the picture allows, and words under it."""
        scale = 8 * self._scale
        line = _line(scale)
        left = (self._width - text_width(number, STRONG, scale)) // 2
        baseline = (self._height + line) // 2
        edge = max(1, self._pad // 3)
        for right, down in (*itertools.product((-edge, edge), repeat=2), (0, 0)):
            place, colour = (left + right, baseline + down), BLACK if right else WHITE
            put(self._picture, number, *place, scale, colour, STRONG)
        pad, room = self._pad, self._width - 6 * self._pad
        font = self._strong(words)
        text, words_scale = fit_text(printable(words, font), room, font, 1.3 * self._scale)
        width = text_width(text, font, words_scale)
        words_line = _line(words_scale)
        top = baseline + 2 * pad
        panel = open_panel(self._picture, (self._width - width) // 2 - pad, top, width + 2 * pad, words_line + 2 * pad)
        write(panel, text, pad, pad + words_line, room, words_scale, WHITE, font)

    def footer(self, text: str) -> None:
        """Writes along the lower edge, over all else."""
        pad, line = self._pad, self._line
        panel = open_panel(self._picture, 0, self._height - line - 2 * pad, self._width, line + 2 * pad)
        room = self._width - 4 * pad
        text, scale = fit_text(text, room, PLAIN, self._scale)
        left = (self._width - text_width(text, PLAIN, scale)) // 2
        write(panel, text, left, pad + line, room, scale, LIGHT, PLAIN)

    def frame(self, colour: tuple[int, int, int]) -> None:
        """Draws a border around the picture."""
        thickness = max(2, self._pad // 2)
        cv2.rectangle(self._picture, (0, 0), (self._width - 1, self._height - 1), colour, 2 * thickness)

    def bar(self, share: float, colour: tuple[int, int, int]) -> None:
        """Draws a bar above the footer."""
        bottom = self._height - self._line - 3 * self._pad
        left, right = 2 * self._pad, self._width - 2 * self._pad
        bar = self._picture[max(0, bottom - self._pad) : bottom, left:right]
        bar[:] = TRACK
        bar[:, : round(share * bar.shape[1])] = colour

    def _strong(self, text: str) -> Face | int:
        return STRONG if text.isascii() else self._lettering.bold

    def _plain(self, text: str) -> Face | int:
        return PLAIN if text.isascii() else self._lettering.regular


def _line(scale: float) -> int:
    """Returns the height in pixels of a line of letters, which is set with padding around."""
    return text_height(STRONG, scale)[0]
