"""Prints one line a second, for a machine without a display."""

from __future__ import annotations

import sys
from typing import Sequence, TextIO

import numpy as np

from languages import display_width, shorten
from printing import STDOUT, write_line
from utils import RateMeter
from video_classifier import Prediction

_PERIOD = 1.0  # seconds between lines
_WIDTH = 80  # columns
_TIME_WIDTH = 11  # columns of the time, "    7.0 s  "
_LABELS_WIDTH = 46  # columns left between the time and the speed


class Console:
    """A sink that prints the latest labels, the achieved rate and the time of a step, once a second.

    Seconds are those of the frames, counted from the first, so that a file reads like a live source.

    Args:
        stream: Where to print; standard output if None.
        name: The source's, at the begin of each line; "" where there is only one.

    Attributes:
        name: As given; it may be replaced.
    """

    wants_pictures = False

    def __init__(self, stream: TextIO | None = None, name: str = "") -> None:
        self._stream = stream or sys.stdout
        self._stream_name = STDOUT if stream is None else "the console"
        self.name = name
        self._meter = RateMeter()
        self._start: float | None = None  # timestamps, in seconds
        self._line_at = 0.0
        self._timestamp = 0.0
        self._latest: Prediction | None = None
        self._printed: Prediction | None = None

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Prints a line if one is due.

        Args:
            picture: Not used.
            timestamp: Seconds, the frame's.
            predictions: Those made since the last call, oldest first.

        Raises:
            ReaderGone: Nobody reads the pipe any more.
            OutputError: It can't be written.
        """
        if self._start is None:
            self._start = self._line_at = timestamp
        self._timestamp = timestamp
        for prediction in predictions:
            self._latest = prediction
            self._meter.tick(timestamp if prediction.timestamp is None else prediction.timestamp)
        if timestamp - self._line_at >= _PERIOD:
            self._line_at = timestamp
            self._print()

    def no_signal(self, seconds: float) -> None:
        """Prints that there is no picture."""
        self._printed = self._latest  # what was seen before is not printed after this
        self._print_line(self._timestamp + seconds, f"no signal for {seconds:.0f} s")

    def close(self) -> None:
        """Prints the last prediction if it hasn't been yet; may be called twice."""
        if self._latest is not self._printed:
            self._print()

    def _print(self) -> None:
        self._printed = self._latest
        text = "no prediction yet"
        if self._latest is not None:
            rate = self._meter.rate(self._timestamp)
            often = f"{rate:.1f} steps/s, " if rate else ""  # a clip model's are further apart than the meter looks
            speed = f"({often}{self._latest.step_time * 1000:.0f} ms)"
            text = _labels(self._latest)
            text += " " * (_LABELS_WIDTH - display_width(text))
            text += speed.rjust(_WIDTH - _TIME_WIDTH - display_width(text))
        self._print_line(self._timestamp, text)

    def _print_line(self, timestamp: float, text: str) -> None:
        if self._stream is None:  # the shell's >&-
            return
        line = f"{timestamp - (self._start or 0.0):7.1f} s  ".ljust(_TIME_WIDTH) + text
        line = f"{self.name}: {line}" if self.name else line
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        write_line(self._stream, line.encode(encoding, "replace").decode(encoding), self._stream_name)


def _labels(prediction: Prediction) -> str:
    """Returns the categories, best first, as many as fit; the best always, shortened if it must be."""
    if not prediction.top:
        return "no action"
    line = ""
    for category in prediction.top:
        percent = " <1 %" if category.probability < 0.005 else f" {category.probability:4.0%}".replace("%", " %")
        if not line:
            room = _LABELS_WIDTH - len(percent)
            line = shorten(category.shown, room) + percent
        elif display_width(line + "   " + category.shown + percent) <= _LABELS_WIDTH:
            line += "   " + category.shown + percent
        else:
            break
    return line
