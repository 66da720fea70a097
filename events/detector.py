"""Finds actions that begin and end in a stream of predictions."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import Callable, Sequence

import numpy as np

from events import Event
from events.rules import Rules
from teaching.answer import is_unknown
from video_classifier import Prediction

# The model is sometimes given one frame a second only (idle, hot): so far apart, two steps are no gap in the stream.
_SLOWEST_STEPS = 1.5  # seconds
_MISSING_STEPS = 3.0  # usual intervals without a step that are a gap
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: in the order of ASCII, without I, L, O, U


@dataclass
class _Run:
    """A label's probability since it rose above `off`; of an event, as soon as that is announced.

    Attributes:
        start: Timestamp of its first step.
        last: Timestamp of its latest step at or above `off`.
        peak: Highest probability.
        total: Sum of the probabilities from start to last.
        steps: How many they are.
        pending: Sum of the probabilities since last: of a gap that may be bridged.
        pending_steps: How many they are.
        crossed: Whether the probability has reached `on`.
        id: The event's; "" before it is announced.
        epoch: The event's start in seconds since 1970.
    """

    start: float
    last: float
    peak: float = 0.0
    total: float = 0.0
    steps: int = 0
    pending: float = 0.0
    pending_steps: int = 0
    crossed: bool = False
    id: str = ""
    epoch: float = 0.0

    def extend(self, timestamp: float, probability: float) -> None:
        """Takes a step at or above `off`, and with it those of the gap before."""
        self.last = timestamp
        self.peak = max(self.peak, probability)
        self.total += self.pending + probability
        self.steps += self.pending_steps + 1
        self.pending, self.pending_steps = 0.0, 0

    def wait(self, probability: float) -> None:
        """Takes a step below `off`."""
        self.pending += probability
        self.pending_steps += 1


class EventDetector:
    """Makes events of one source's predictions.

    An action begins when its probability reaches `on`, and is announced once it has lasted `minimum` seconds. Its start
    is the first of the steps, all at or above `off`, that led there. It ends when the probability has been below `off`
    for longer than `gap` seconds; its end is the last step at or above `off`. What is too short is never heard of.

    Args:
        labels: The model's, in the order of the probabilities.
        rules: When an action counts.
        source: The source's name, without credentials.
        candidates: int [n], indices of the labels that may become events; None for all. "unknown" never does.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        labels: Sequence[str],
        rules: Rules,
        source: str,
        *,
        candidates: np.ndarray | Sequence[int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._labels = list(labels)
        self._source = source
        wanted = range(len(self._labels)) if candidates is None else candidates
        self._candidates = np.array([index for index in wanted if not is_unknown(self._labels[index])], np.intp)
        self._clock = clock
        self._runs: dict[int, _Run] = {}  # by index of the label
        self._timestamp: float | None = None  # of the latest step
        self._interval: float | None = None  # seconds between the latest two steps
        self.set_rules(rules)

    def set_rules(self, rules: Rules) -> None:
        """Sets when an action counts, from the next step on, also for actions that last."""
        self._rules_of = [rules.of(label) for label in self._labels]
        self._off = np.array([self._rules_of[index].off for index in self._candidates], np.float64)

    def step(self, prediction: Prediction) -> list[Event]:
        """Takes the next prediction.

        Args:
            prediction: Its timestamp is the source's; without one, this machine's clock counts.

        Returns:
            Events that have ended by now and events that have begun, in the order in which they did.
        """
        now = self._clock() if prediction.timestamp is None else prediction.timestamp
        probabilities = prediction.probabilities
        above = self._candidates[probabilities[self._candidates] >= self._off]
        elapsed, jumped = self._advance(now)
        if not len(above) and not self._runs:
            return []
        events = self.interrupt() if elapsed < 0 else []
        events += self._rest(set(self._runs).difference(above.tolist()), now, probabilities)
        for index in above.tolist():
            events += self._rise(index, now, float(probabilities[index]), jumped)
        return events

    def interrupt(self, seconds: float = math.inf) -> list[Event]:
        """Ends what lasts and may not pause for so long, since the stream has a gap.

        step() finds gaps by itself: timestamps that are more than `gap` apart (or, where the model is given few frames,
        more than 1.5 s and 3 usual intervals), or that go backwards, as those of a file that starts again.

        Args:
            seconds: For how long nothing has come; infinite if what comes next is of another time.

        Returns:
            The events that have ended.
        """
        over = [index for index in self._runs if seconds > self._rules_of[index].gap]
        return [event for index in over for event in self._end(index)]

    def finish(self) -> list[Event]:
        """Ends what lasts, since the stream has ended; returns the events that have ended with it."""
        return self.interrupt()

    def _advance(self, now: float) -> tuple[float, bool]:
        """Returns the seconds since the latest step, and whether they are many more than usual."""
        elapsed = 0.0 if self._timestamp is None else now - self._timestamp
        usual = elapsed if self._interval is None else self._interval
        if elapsed > 0:
            self._interval = elapsed
        self._timestamp = now
        return elapsed, elapsed > max(_SLOWEST_STEPS, _MISSING_STEPS * usual)

    def _rest(self, indices: set[int], now: float, probabilities: np.ndarray) -> list[Event]:
        """Looks at the runs of labels that are below `off` now."""
        events = []
        for index in sorted(indices):
            run = self._runs[index]
            if not run.crossed or now - run.last > self._rules_of[index].gap:
                events += self._end(index)
            else:
                run.wait(float(probabilities[index]))
        return events

    def _rise(self, index: int, now: float, probability: float, jumped: bool) -> list[Event]:
        """Looks at a label that is at or above `off` now."""
        rules, events = self._rules_of[index], []
        run = self._runs.get(index)
        if run is not None and (run.pending_steps or jumped) and now - run.last > rules.gap:
            events, run = self._end(index), None
        if run is None:
            run = self._runs[index] = _Run(start=now, last=now)
        run.extend(now, probability)
        run.crossed = run.crossed or probability >= rules.on
        if run.crossed and not run.id and now - run.start >= rules.minimum:
            run.epoch = self._clock() - (now - run.start)
            run.id = _make_id(run.epoch)
            events.append(self._event(index, run, ongoing=True))
        return events

    def _end(self, index: int) -> list[Event]:
        run = self._runs.pop(index)
        return [self._event(index, run, ongoing=False)] if run.id else []

    def _event(self, index: int, run: _Run, ongoing: bool) -> Event:
        return Event(
            id=run.id,
            label=self._labels[index],
            source=self._source,
            start=run.epoch,
            position=run.start,
            duration=run.last - run.start,
            peak=run.peak,
            mean=run.total / run.steps,
            ongoing=ongoing,
        )


def _make_id(epoch: float) -> str:
    """Returns 26 characters, a ULID: the time in milliseconds, and 80 random bits."""
    value = max(0, int(epoch * 1000)) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_BASE32[value >> shift & 31] for shift in range(125, -1, -5))
