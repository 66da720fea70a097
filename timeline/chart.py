"""What a picture of a run shows, made from what is remembered of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from timeline.colours import Look, Looks
from timeline.drawing import Names
from timeline.history import History, Line, Span, Spans

_LEADERS = 6
_MOST = 9  # lines, with those of labels that had events


@dataclass(frozen=True)
class Timebase:
    """How the axis counts.

    Attributes:
        offset: From the source's timestamps to the axis, in seconds.
        clock: Whether the axis shows this machine's clock; else the source's time.
    """

    offset: float
    clock: bool

    @staticmethod
    def of(live: bool, now: float) -> Timebase:
        """Returns the clock's time for a live source whose timestamp is `now`, a file's own time for a file."""
        return Timebase(time.time() - now if live else 0.0, live)


@dataclass(frozen=True)
class Course:
    """A label's line.

    Attributes:
        name: What is shown for the label.
        look: How it is drawn.
        line: Its times are those of the axis.
        spans: Its events, with times of the axis.
    """

    name: str
    look: Look
    line: Line
    spans: Sequence[Span]


@dataclass(frozen=True)
class Chart:
    """All that a picture of a run shows.

    Attributes:
        title: What was watched.
        start: Time of the axis, in seconds, at which it begins.
        end: At which it ends.
        clock: See Timebase.
        courses: Those of the leading labels, the most important one first.
        font: A file that has the letters of their names; None if any has.
    """

    title: str
    start: float
    end: float
    clock: bool
    courses: Sequence[Course]
    font: Path | None = None


def make_chart(title: str, history: History, spans: Spans, looks: Looks, timebase: Timebase, names: Names) -> Chart:
    """Chooses the labels that led most, and those with events, and copies what is to be drawn of them.

    Args:
        title: What was watched.
        history: With at least one prediction.
        spans: The events.
        looks: The labels' colours.
        timebase: How the axis counts.
        names: How the labels are written.
    """
    offset = timebase.offset
    events = [Span(span.label, span.start + offset, span.end + offset) for span in spans.all()]
    labels = history.leaders(_LEADERS)
    seconds: dict[str, float] = {}
    for span in events:
        seconds[span.label] = seconds.get(span.label, 0.0) + span.end - span.start
    labels += [label for label in sorted(seconds, key=seconds.__getitem__, reverse=True) if label not in labels]
    labels = labels[:_MOST]
    courses = []
    for label, look in zip(labels, looks.together(labels)):
        line = history.line(label)
        line = Line(line.times + offset, line.means, line.peaks)
        courses.append(Course(names.of(label), look, line, [span for span in events if span.label == label]))
    assert history.start is not None and math.isfinite(history.now)
    start = history.start + offset
    font = None if isinstance(names.face, int) else names.face.path
    return Chart(title, start, max(history.now + offset, start + 1.0), timebase.clock, courses, font)
