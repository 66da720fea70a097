"""What is remembered of a run: its predictions in a bounded number of bins, and the spans of its events.

A day and a minute take the same memory: when there are too many bins, each two neighbours become one that keeps the
mean and the peak of every label.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable, Sequence

import numpy as np

if TYPE_CHECKING:
    from events import Event
    from video_classifier import Prediction

_KEPT = 12  # labels of a bin
_GAP = 3.0  # seconds without a prediction after which a line is broken, unless they usually come as rarely
_FAINT = 0.05  # a label that was never more probable isn't worth a line
_SPANS = 2000


class _Bin:
    """A part of the run, with the sum, the peak and the sum of the cubes of each label's probability."""

    __slots__ = ("number", "steps", "time", "values")

    def __init__(self, number: int) -> None:
        self.number = number
        self.steps = 0
        self.time = 0.0  # mean time of its steps
        self.values: dict[str, tuple[float, float, float]] = {}

    def add(self, moment: float, probabilities: Iterable[tuple[str, float]]) -> None:
        """Takes a step."""
        self._merge(1, moment, ((label, (p, p, p**3)) for label, p in probabilities))

    def absorb(self, other: _Bin) -> None:
        """Takes the steps of another one."""
        self._merge(other.steps, other.time, other.values.items())

    def _merge(self, steps: int, moment: float, values: Iterable[tuple[str, tuple[float, float, float]]]) -> None:
        self.steps += steps
        self.time += (moment - self.time) * steps / self.steps
        for label, (total, peak, cubes) in values:
            old = self.values.get(label, (0.0, 0.0, 0.0))
            self.values[label] = old[0] + total, max(old[1], peak), old[2] + cubes
        if len(self.values) > _KEPT:
            rank = sorted(self.values.items(), key=lambda item: item[1][0] / self.steps + item[1][1], reverse=True)
            self.values = dict(rank[:_KEPT])


@dataclass(frozen=True, eq=False)
class Line:
    """A label's probability over time, as arrays of float64 [n]; NaN where the stream has a gap.

    Attributes:
        times: Seconds.
        means: Of the probability, 0..1.
        peaks: Likewise.
    """

    times: np.ndarray
    means: np.ndarray
    peaks: np.ndarray


class History:
    """The predictions of one source. Not safe for threads.

    A source's clock that goes back, as that of a file that starts again, is taken to stand still.

    Args:
        bins: How many to keep at most, at least 2.
        width: Seconds of the first bins.
        span: Seconds to remember; None for all of the run.

    Attributes:
        width: Seconds of a bin now.
        start: Time of the first prediction, in seconds of the source's clock; None before it.
        now: Time of the latest one.
    """

    def __init__(self, bins: int = 1200, width: float = 0.1, span: float | None = None) -> None:
        self.width = width
        self.start: float | None = None
        self.now = -math.inf
        self._most = bins
        self._span = math.inf if span is None else span
        self._bins: deque[_Bin] = deque()
        self._weights: dict[str, float] = {}  # sum of the cubes of each label's probabilities
        self._offset = 0.0
        self._labels: list[str] = []
        self._candidates: np.ndarray | None = None
        self._lines: dict[str, Line] = {}  # drawn more often than they change

    def follow(self, labels: Sequence[str], candidates: np.ndarray) -> None:
        """Sets which labels to remember; without it, those that stand in the predictions' `top`.

        Args:
            labels: The model's, in the order of the probabilities.
            candidates: int [n], indices of those that are of interest.
        """
        self._labels, self._candidates = list(labels), np.asarray(candidates, np.intp)

    def add(self, prediction: Prediction) -> None:
        """Takes the next prediction; one without a timestamp is of now."""
        moment = self._advance(time.monotonic() if prediction.timestamp is None else prediction.timestamp)
        assert self.start is not None
        number = math.floor((moment - self.start) / self.width)
        if not self._bins or self._bins[-1].number < number:
            self._bins.append(_Bin(number))
        best = self._best(prediction)
        self._bins[-1].add(moment, best)
        for label, probability in best:
            self._weights[label] = self._weights.get(label, 0.0) + probability**3
        while self._bins[0].time < moment - self._span:
            self._forget(self._bins.popleft())
        while len(self._bins) > self._most:
            self._halve()
        self._lines.clear()

    def moment(self, timestamp: float) -> float:
        """Converts a timestamp of the source to a time of this history."""
        return timestamp + self._offset

    def leaders(self, most: int) -> list[str]:
        """Returns the labels that led most, those with the most weight first.

        The weight is the sum of the cubes of the probabilities: a second at 0.9 weighs more than an hour at 0.05.
        """
        rank = sorted(self._weights.items(), key=lambda item: item[1], reverse=True)
        return [label for label, weight in rank[:most] if weight >= _FAINT**3]

    def shown(self, most: int) -> list[str]:
        """Returns the leaders, the last of which makes room for the label that leads at the moment."""
        labels = self.leaders(most)
        values = self._bins[-1].values if self._bins else {}
        best = max(values, key=lambda label: values[label][0], default=None)
        if best is None or best in labels or values[best][1] < _FAINT:
            return labels
        return [*labels[: most - 1], best]

    def line(self, label: str) -> Line:
        """Returns a label's course; 0 where it wasn't among the best."""
        if label not in self._lines:
            self._lines[label] = self._line(label)
        return self._lines[label]

    def latest(self, label: str) -> float:
        """Returns a label's probability at the end; 0 if it isn't among the best."""
        return self._bins[-1].values.get(label, (0.0, 0.0, 0.0))[0] / self._bins[-1].steps if self._bins else 0.0

    def _advance(self, timestamp: float) -> float:
        if self.start is None:
            self.start = timestamp
        self._offset += max(0.0, self.now - self.moment(timestamp))
        self.now = max(self.now, self.moment(timestamp))
        return self.now

    def _best(self, prediction: Prediction) -> list[tuple[str, float]]:
        if self._candidates is None:
            return [(category.label, category.probability) for category in prediction.top]
        scores = prediction.probabilities[self._candidates]
        most = min(_KEPT, len(scores))
        best = np.argpartition(scores, len(scores) - most)[len(scores) - most :]
        return [(self._labels[self._candidates[place]], float(scores[place])) for place in best.tolist()]

    def _forget(self, old: _Bin) -> None:
        for label, (_, _, cubes) in old.values.items():
            weight = self._weights.pop(label, 0.0) - cubes
            if weight > _FAINT**3 / 1000:
                self._weights[label] = weight

    def _halve(self) -> None:
        """Makes the bins twice as wide."""
        self.width *= 2
        merged: deque[_Bin] = deque()
        for old in self._bins:
            old.number //= 2
            if merged and merged[-1].number == old.number:
                merged[-1].absorb(old)
            else:
                merged.append(old)
        self._bins = merged

    def _line(self, label: str) -> Line:
        times: list[float] = []
        means: list[float] = []
        peaks: list[float] = []
        usual = np.median(np.diff([each.time for each in self._bins])) if len(self._bins) > 1 else 0.0
        longest = max(_GAP, 3 * self.width, 3 * float(usual))
        for each in self._bins:
            if times and each.time - times[-1] > longest:
                times.append((times[-1] + each.time) / 2)
                means.append(math.nan)
                peaks.append(math.nan)
            total, peak, _ = each.values.get(label, (0.0, 0.0, 0.0))
            times.append(each.time)
            means.append(total / each.steps)
            peaks.append(peak)
        return Line(np.array(times), np.array(means), np.array(peaks))


@dataclass(frozen=True)
class Span:
    """An event, or several of a label that lie so close together that no picture could show them apart.

    Attributes:
        label: The class's name.
        start: In seconds of the history.
        end: Likewise.
    """

    label: str
    start: float
    end: float


class Spans:
    """The events of one source, at most some thousand spans. Not safe for threads.

    Args:
        history: That of the same source.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._lasting: dict[str, tuple[str, float]] = {}  # label and start by the event's id
        self._ended: list[Span] = []
        self._apart = 0.0  # seconds between two spans of a label, at least

    def add(self, event: Event) -> None:
        """Takes an event that has begun or ended."""
        # The clock may have gone back since it began.
        label, start = self._lasting.pop(event.id, (event.label, self._history.moment(event.position)))
        if event.ongoing:
            self._lasting[event.id] = label, start
            return
        self._ended.append(Span(label, start, start + event.duration))
        while len(self._ended) > _SPANS:
            self._apart = max(2 * self._apart, self._history.width)
            self._ended = _joined(self._ended, self._apart)

    def all(self) -> list[Span]:
        """Returns them in the order of their starts; one that lasts goes on to the latest prediction."""
        lasting = [Span(label, start, max(start, self._history.now)) for label, start in self._lasting.values()]
        return sorted([*self._ended, *lasting], key=lambda span: span.start)


def _joined(spans: Iterable[Span], apart: float) -> list[Span]:
    last: dict[str, Span] = {}
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        before = last.get(span.label)
        if before is not None and span.start - before.end <= apart:
            last[span.label] = Span(span.label, before.start, max(before.end, span.end))
            continue
        if before is not None:
            joined.append(before)
        last[span.label] = span
    return [*joined, *last.values()]
