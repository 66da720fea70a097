"""Everything that is drawn on a frame: what the model sees, what it says, and how fast it all runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Sequence

import cv2
import numpy as np

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
    open_panel,
    printable,
    text_height,
    text_width,
    write,
)
from timeline.colours import bgr
from timeline.strip import draw_strip, strip_height

if TYPE_CHECKING:
    from lettering import Face, Lettering
    from timeline.colours import Looks
    from timeline.drawing import Names
    from timeline.history import History
    from video_classifier import Category, Prediction

KEYS = (
    ("q, Esc", "quit"),
    ("space", "pause"),
    ("r", "reset"),
    ("s", "snapshot"),
    ("f", "full screen"),
    ("t", "timeline"),
    ("h", "help"),
)

_SKY_BLUE = (233, 180, 86)  # of the same palette as the orange


@dataclass
class Status:
    """What the overlay says of the program itself.

    Attributes:
        camera_fps: Frames a second that arrive; 0 if not known yet.
        sample_fps: Frames a second that the model really gets; 0 if not known yet.
        wanted_fps: Frames a second that the model should get.
        warming_up: The model hasn't seen a second of video yet.
        paused: The picture stands still.
        help: The list of keys is shown.
        message: A few words about what just happened or goes on: "recording".
        truth: The true label, where the source knows it; shown small in a corner.
        source: The source's name, where there are several.
        pace: Why the model gets fewer frames than it should: "hot: 3 fps".
        strip: The chart of the last minute is shown.
        no_signal: Seconds for which the camera has given no picture; 0 while it does.
    """

    camera_fps: float
    sample_fps: float
    wanted_fps: float
    warming_up: bool
    paused: bool = False
    help: bool = False
    message: str = ""
    truth: str = ""
    source: str = ""
    pace: str = ""
    no_signal: float = 0.0
    strip: bool = False


@dataclass(frozen=True)
class _Style:
    """Lengths in pixels that suit one picture size; `scale` is OpenCV's font scale."""

    scale: float
    ascent: int
    descent: int
    pad: int
    bar: int

    @property
    def line(self) -> int:
        return self.ascent + self.descent


def draw_overlay(
    image: np.ndarray,
    prediction: Prediction | None,
    status: Status,
    box: tuple[int, int, int, int],
    recent: tuple[History, Looks, Names] | None = None,
    lettering: Lettering | None = None,
) -> np.ndarray:
    """Draws the overlay on a copy of a frame.

    Args:
        image: uint8 [H, W, 3] BGR, of any size. Not modified.
        prediction: The latest one; None before the first.
        status: Rates, marks and messages.
        box: Left, top, width and height in pixels of the part of the image that the model sees.
        recent: What the chart of the last minute shows, in which colours, and by which names.
        lettering: Draws the shown names; None for the labels themselves.

    Returns:
        uint8 [H, W, 3] BGR.
    """
    picture = image.copy()
    height, width = picture.shape[:2]
    style = _style(min(height, width))
    top = _draw_status(picture, style, _status_texts(prediction, status), _marks(status))
    bottom = height - style.pad
    help_height = _help_height(style) + 2 * style.pad if status.help else 0
    rows = strip_height(height)
    # On a small picture the help takes the place of the chart, and of the predictions.
    if status.strip and recent is not None and bottom - top - rows - style.pad >= help_height:
        history, looks, names = recent
        draw_strip(picture, history, looks, (style.pad, top, width - 2 * style.pad, rows), names)
        top += rows + style.pad
    if bottom - top >= 2 * help_height:
        looks = recent[1] if status.strip and recent is not None else None
        bottom = _draw_predictions(picture, style, prediction, top + help_height, bottom, lettering, looks)
    _draw_box(picture, box, top, bottom)
    if status.truth:
        _draw_truth(picture, style, status.truth, height - style.pad, lettering)
    if status.help:
        _draw_help(picture, style, top, bottom)
    elif status.no_signal:
        _draw_notice(picture, style, f"no signal for {_duration(status.no_signal)}", top, bottom)
    return picture


@lru_cache(maxsize=16)
def _style(side: int) -> _Style:
    scale = max(SMALLEST_SCALE, side / 1000)
    ascent, descent = text_height(STRONG, scale)
    return _Style(scale, ascent, descent, pad=max(2, round(0.5 * ascent)), bar=max(2, round(0.25 * ascent)))


def _draw_box(picture: np.ndarray, box: tuple[int, int, int, int], first: int, last: int) -> None:
    """Outlines the part that the model sees, light in dark so that it shows on any picture.

    Only from row `first` to before row `last`: lines across a panel would disturb the text.
    """
    left, top, width, height = box
    free = picture[first:last]
    if (height, width) == picture.shape[:2] or not free.size:
        return
    right, top, bottom = left + width - 1, top - first, top + height - 1 - first
    cv2.rectangle(free, (left, top), (right, bottom), BLACK)
    cv2.rectangle(free, (left + 1, top + 1), (right - 1, bottom - 1), LIGHT)


def _draw_status(picture: np.ndarray, style: _Style, texts: Sequence[str], marks: str) -> int:
    """Draws the strip along the top edge; returns the first row of pixels below it and its margin."""
    room = picture.shape[1] - 4 * style.pad
    text = _first_fitting(texts, room, style.scale)
    marks_width = text_width(marks, PLAIN, style.scale)
    two_lines = bool(marks) and text_width(text, PLAIN, style.scale) + 2 * style.line + marks_width > room
    height = style.line * (2 if two_lines else 1) + style.pad
    panel = open_panel(picture, style.pad, style.pad, picture.shape[1] - 2 * style.pad, height)
    baseline = style.pad // 2 + style.ascent
    write(panel, text, style.pad, baseline, room, style.scale, LIGHT)
    if two_lines:
        write(panel, marks, style.pad, baseline + style.line, room, style.scale, YELLOW)
    elif marks:
        write(panel, marks, style.pad + room - marks_width, baseline, marks_width, style.scale, YELLOW)
    return height + 2 * style.pad


def _status_texts(prediction: Prediction | None, status: Status) -> list[str]:
    """Returns the status line in words, from the longest form to the shortest."""
    camera, sampled = _number(status.camera_fps), _number(status.sample_fps)
    wanted, step = f"{status.wanted_fps:.3g}", _number(prediction.step_time * 1000 if prediction else 0)
    texts = [
        f"camera {camera} fps  |  model {sampled} of {wanted} fps  |  step {step} ms",
        f"{camera} fps | model {sampled} of {wanted} | {step} ms",
        f"{camera} fps | {sampled}/{wanted} | {step} ms",
        f"{camera} fps | {step} ms",
    ]
    name = printable(status.source)
    return [f"{name}  |  {text}" for text in texts] + [name] if name else texts


def _number(value: float) -> str:
    if value <= 0:
        return "--"
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def _marks(status: Status) -> str:
    marks = ["paused"] if status.paused else []
    marks += ["warming up"] if status.warming_up else []
    marks += [status.pace] if status.pace else []
    marks += [printable(status.message)] if status.message else []
    return "  |  ".join(marks)


def _draw_predictions(
    picture: np.ndarray,
    style: _Style,
    prediction: Prediction | None,
    top: int,
    bottom: int,
    lettering: Lettering | None,
    looks: Looks | None,
) -> int:
    """Draws the rows above `bottom`, as many as fit below `top`; returns the first row of pixels they take."""
    row_height = style.line + style.bar + style.pad // 2
    rows = prediction.top[: max(0, (bottom - top - style.pad) // row_height)] if prediction else []
    width = min(picture.shape[1] - 2 * style.pad, 27 * style.line)
    height = (len(rows) * row_height if rows else style.line) + style.pad
    panel = open_panel(picture, style.pad, bottom - height, width, height)
    room = width - 2 * style.pad
    for row, category in enumerate(rows):
        colour = None if looks is None else bgr(looks.colour(category.label))
        _draw_row(panel, style, category, style.pad // 2 + row * row_height, room, row == 0, lettering, colour)
    if not rows:
        empty = ["no action above the threshold", "no action"] if prediction else ["waiting for the model", "waiting"]
        text = _first_fitting(empty, room, style.scale)
        write(panel, text, style.pad, style.pad // 2 + style.ascent, room, style.scale, LIGHT)
    return bottom - height - style.pad


def _draw_truth(picture: np.ndarray, style: _Style, truth: str, bottom: int, lettering: Lettering | None) -> None:
    """Writes the true label small into the right corner above `bottom`, if the predictions leave room for it."""
    font: Face | int = PLAIN if lettering is None else lettering.regular
    text, scale = f"truth: {printable(truth, font)}", max(SMALLEST_SCALE, 0.8 * style.scale)
    width = text_width(text, font, scale)
    predictions_right = 2 * style.pad + 27 * style.line
    left = picture.shape[1] - 3 * style.pad - width
    if left < predictions_right:
        return
    height = style.line + style.pad
    panel = open_panel(picture, left, bottom - height, width + 2 * style.pad, height)
    write(panel, text, style.pad, style.pad // 2 + style.ascent, width, scale, LIGHT, font)


def _draw_notice(picture: np.ndarray, style: _Style, text: str, top: int, bottom: int) -> None:
    """Writes large into the middle of what is free between `top` and `bottom`."""
    large = _style(round(1.5 * min(picture.shape[:2])))
    room = picture.shape[1] - 4 * style.pad
    width = min(room, text_width(text, STRONG, large.scale)) + 2 * style.pad
    height = large.line + large.pad
    panel = open_panel(picture, (picture.shape[1] - width) // 2, (top + bottom - height) // 2, width, height)
    write(panel, text, style.pad, large.pad // 2 + large.ascent, room, large.scale, YELLOW, STRONG)


def _duration(seconds: float) -> str:
    """Returns "7 s", "5 min" or "3 h", which all fit a small picture."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.0f} h"


def _draw_row(
    panel: np.ndarray,
    style: _Style,
    category: Category,
    top: int,
    room: int,
    best: bool,
    lettering: Lettering | None,
    own_colour: tuple[int, int, int] | None,
) -> None:
    """Draws label and percentage, and under them a bar that would be `room` pixels long at 100 %.

    Beside the chart of the last minute, the bar has the label's own colour.
    """
    font, colour, bar_colour = (STRONG, WHITE, ORANGE) if best else (PLAIN, LIGHT, _SKY_BLUE)
    bar_colour = own_colour or bar_colour
    name = category.label
    face: Face | int = font
    if lettering is not None:
        name, face = category.shown, lettering.bold if best else lettering.regular
    percentage = _percentage(category.probability)
    percentage_left = style.pad + room - text_width(percentage, font, style.scale)
    # Room for the widest percentage, so that a label doesn't change size with the digits beside it.
    label_room = room - text_width("100%", STRONG, style.scale) - style.pad
    baseline = top + style.ascent
    write(panel, printable(name, face), style.pad, baseline, label_room, style.scale, colour, face)
    write(panel, percentage, percentage_left, baseline, room, style.scale, colour, font)
    bar = panel[top + style.line : top + style.line + style.bar, style.pad : style.pad + room]
    bar[:] = TRACK
    bar[:, : round(room * min(1.0, category.probability))] = bar_colour


def _percentage(probability: float) -> str:
    return "<1%" if probability < 0.005 else f"{100 * probability:.0f}%"


def _help_height(style: _Style) -> int:
    return len(KEYS) * (style.line + style.pad // 2) + style.pad


def _draw_help(picture: np.ndarray, style: _Style, top: int, bottom: int) -> None:
    """Draws the keys in the middle of what is free between `top` and `bottom`, closer together if they must be."""
    key_width, words_width = (max(text_width(text, STRONG, style.scale) for text in texts) for texts in zip(*KEYS))
    width = key_width + words_width + 4 * style.pad
    row_height = min(style.line + style.pad // 2, (bottom - top - style.pad) // len(KEYS))
    height = len(KEYS) * row_height + style.pad
    panel = open_panel(picture, (picture.shape[1] - width) // 2, (top + bottom - height) // 2, width, height)
    for row, (key, words) in enumerate(KEYS):
        baseline = style.pad // 2 + row * row_height + style.ascent
        write(panel, key, style.pad, baseline, key_width, style.scale, YELLOW, STRONG)
        write(panel, words, key_width + 3 * style.pad, baseline, words_width, style.scale, LIGHT)


def _first_fitting(texts: Sequence[str], room: int, scale: float) -> str:
    return next((text for text in texts if text_width(text, PLAIN, scale) <= room), texts[-1])
