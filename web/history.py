"""What the page remembers: the predictions of the last minutes, and the newest events."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict, deque
from dataclasses import asdict
from typing import Any, Sequence

from events import Event
from timeline.colours import Looks
from video_classifier import Prediction

MINUTES = 5
_PERIOD = 0.5  # seconds between two points that are kept
_EVENTS = 200
_LABELS = 100  # whose events are counted apart


class History:
    """The predictions of one source. `add` is for the main thread; the rest for any.

    Args:
        looks: The labels' colours.

    Attributes:
        latest: The newest one, ready for JSON; None before the first.
    """

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self.latest: dict[str, Any] | None = None
        # Each with its moment by the monotonic clock: the system's is set back and forth, on a Pi at every boot.
        self._points: deque[tuple[float, list[dict[str, Any]]]] = deque(maxlen=round(MINUTES * 60 / _PERIOD))

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Takes new predictions, oldest first."""
        for prediction in predictions:
            self.latest, now = _record(prediction, self._looks), round(time.monotonic(), 3)
            if not self._points or now - self._points[-1][0] >= _PERIOD:
                self._points.append((now, self.latest["top"]))

    def points(self, seconds: float) -> list[dict[str, Any]]:
        """Returns the last seconds, oldest first, two points a second."""
        now = time.monotonic()
        epoch = round(time.time() - now, 3)
        points = self._points.copy()
        return [{"time": round(epoch + at, 3), "top": top} for at, top in points if now - at <= seconds]


class EventList:
    """The newest events. All methods may be called from any thread.

    Args:
        looks: The labels' colours.
    """

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._lock = threading.Lock()
        self._events: OrderedDict[str, tuple[int, Event]] = OrderedDict()  # by id, with the number of its news
        self._news = 0
        self._ended: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        """Takes an event that has begun or ended."""
        with self._lock:
            self._news += 1
            self._events[event.id] = (self._news, event)
            while len(self._events) > _EVENTS:
                self._events.popitem(last=False)
            if not event.ongoing:
                known = event.label in self._ended or len(self._ended) < _LABELS
                self._ended[event.label if known else "other"] += 1

    def newest(self, limit: int, before: str | None) -> list[Event]:
        """Returns the events that began last.

        Args:
            limit: How many at most.
            before: Only those before the event with this id; None for all.

        Returns:
            The newest first.
        """
        with self._lock:
            events = [event for _, event in self._events.values()]
        older = [event for event in events if before is None or event.id < before]
        return sorted(older, key=lambda event: event.id, reverse=True)[:limit]

    def since(self, news: int) -> tuple[int, list[Event]]:
        """Returns the number of the last news, and the events that had any after the given number."""
        with self._lock:
            return self._news, [event for number, event in self._events.values() if number > news]

    def record(self, event: Event) -> dict[str, Any]:
        """Returns an event, with its label's colour, ready for JSON."""
        record = {**asdict(event), "end": event.end, "colour": self._looks.colour(event.label)}
        return {key: _number(value, 3) if isinstance(value, float) else value for key, value in record.items()}

    def ended(self) -> dict[str, int]:
        """Returns how many events have ended, by label."""
        with self._lock:
            return dict(self._ended)


def _record(prediction: Prediction, looks: Looks) -> dict[str, Any]:
    return {
        "time": round(time.time(), 3),
        "timestamp": _number(prediction.timestamp, 3),
        "step": prediction.step,
        "top": [
            {
                "label": one.label,
                "probability": _number(one.probability, 4) or 0.0,
                "index": int(one.index),
                "colour": looks.colour(one.label),
            }
            for one in prediction.top
        ],
    }


def _number(value: float | None, digits: int) -> float | None:
    """Rounds a number; JSON has none that isn't finite."""
    return round(float(value), digits) if value is not None and math.isfinite(value) else None
