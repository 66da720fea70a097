"""Watches one source's predictions for events, films them, and tells of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Callable, Iterable, Sequence

import numpy as np

from events import Event
from events.detector import EventDetector
from events.rules import Rules
from video_classifier import Prediction

if TYPE_CHECKING:
    from events.clips import ClipRecorder


class EventFinder:
    """A sink.

    Args:
        source: The source's name.
        tell: Is told of each event, once when it has begun and once when it has ended.
        clips: Films them; None not to. To be closed by who made it.
    """

    def __init__(self, source: str, tell: Callable[[Event], None], clips: ClipRecorder | None = None) -> None:
        self._source = source
        self._tell = tell
        self._clips = clips
        self._clip_of: dict[str, str | None] = {}  # by the id of an event that lasts
        self._what: tuple[list[str], list[int]] | None = None
        self._detector: EventDetector | None = None

    @property
    def wants_pictures(self) -> bool:
        return self._clips is not None

    def follow(self, labels: Sequence[str], candidates: np.ndarray, rules: Rules) -> None:
        """Sets what to look for; where the labels change, the events that last end.

        Args:
            labels: The model's, in the order of the probabilities.
            candidates: int [n], indices of those that may become events.
            rules: When an action counts.
        """
        what = list(labels), candidates.tolist()
        if self._detector is not None and what == self._what:
            self._detector.set_rules(rules)
            return
        self._end(self._detector)
        self._what = what
        self._detector = EventDetector(labels, rules, self._source, candidates=candidates)

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Takes a picture for the clips, and predictions; see Sink."""
        if self._clips is not None:
            self._clips.write(picture, timestamp, predictions)
        if self._detector is not None:
            for prediction in predictions:
                self._report(self._detector.step(prediction))

    def no_signal(self, seconds: float) -> None:
        """Ends what lasts, once the camera has been away for longer than an event of its label may pause."""
        if self._detector is not None:
            self._report(self._detector.interrupt(seconds))

    def close(self) -> None:
        """Ends the events that last, and begins to finish their clips; may be called twice."""
        detector, self._detector = self._detector, None
        try:
            self._end(detector)
        finally:
            if self._clips is not None:
                self._clips.finish()

    def _end(self, detector: EventDetector | None) -> None:
        if detector is not None:
            self._report(detector.finish())

    def _report(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.ongoing:
                self._clip_of[event.id] = self._clips.begin(event) if self._clips is not None else None
            elif self._clips is not None:
                self._clips.end(event)
            clip = self._clip_of[event.id] if event.ongoing else self._clip_of.pop(event.id, None)
            self._tell(dataclasses.replace(event, clip=clip))
