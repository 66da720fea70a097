"""What happens when, while clips are recorded: a state machine of time and frames, without a camera or a disk.

It serves a window and a run without one alike; whoever drives it reads its attributes to show what goes on, and does
with the clip what each call returns.
"""

from __future__ import annotations

import enum
import math
from typing import Mapping

LEAST = 1.0  # seconds of a clip that was cut short by the end of the program, to be worth keeping

_SLACK = 1e-4  # seconds by which the times of a file's frames may be rounded


class Phase(enum.Enum):
    """What goes on."""

    REVIEW = "review"  # a moment to get ready, and to look at the last clip
    COUNTDOWN = "countdown"
    RECORDING = "recording"
    DONE = "done"


class Clip(enum.Enum):
    """What is to be done with the clip that is being recorded."""

    ADD = "add"  # this frame belongs to it; the first one begins it
    KEEP = "keep"  # it is complete
    DROP = "drop"  # the camera was away meanwhile, or there is too little of it
    DISCARD = "discard"  # the user doesn't want it


class Collector:
    """Goes through the labels in turn, and for each one through countdown, recording and review until it has enough.

    Times are seconds of one clock, that of the frames' timestamps.

    Args:
        counts: How many clips of each label there are already. Their order is that of the labels.
        clips: How many of each label there should be.
        seconds: Length of a clip.
        countdown: Seconds before each clip.
        pause: Seconds to get ready for a label.
        review: Seconds after each clip.
        linger: Seconds after the last one.
        gap: Seconds without a frame after which the camera counts as away.
        now: The present.

    Attributes:
        counts: As given, with what was recorded since.
        clips: As given.
        label: What is being recorded, or next.
        phase: What goes on.
        paused: Whether nothing is recorded after this until the user says so.
        away: Whether the camera gives no frames.
        fresh: Whether the label has changed, and nothing was recorded of it since.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        *,
        clips: int,
        seconds: float,
        countdown: float,
        pause: float = 0.0,
        review: float = 0.0,
        linger: float = 0.0,
        gap: float = math.inf,
        now: float = 0.0,
    ) -> None:
        self.counts = dict(counts)
        self.clips = clips
        self.label = next(iter(self.counts))
        self.phase = Phase.REVIEW
        self.paused = False
        self.away = False
        self.fresh = True
        self._seconds = seconds
        self._countdown = countdown
        self._pause = pause
        self._review_time = review
        self._linger = linger
        self._gap = gap
        self._until = now + pause  # when the phase ends
        self._last_frame = now
        self._first: float | None = None  # time of the clip's first frame, and of the newest
        self._newest = 0.0
        self._frames = 0
        self._next_wanted = False
        if self.complete(self.label):
            self._turn_to(self._next_incomplete() or self.label, now)

    def remaining(self, now: float) -> float:
        """Returns the seconds until the phase ends by itself."""
        return max(0.0, self._until - now)

    def seconds_left(self, now: float) -> int:
        """Returns what a countdown says: whole seconds, at least 1."""
        return max(1, math.ceil(self.remaining(now) - 1e-3))

    def progress(self, now: float) -> float:
        """Returns how much of the clip is recorded, from 0 to 1."""
        return min(1.0, max(0.0, 1 - (self._until - now) / self._seconds)) if self.phase is Phase.RECORDING else 0.0

    def complete(self, label: str) -> bool:
        """Returns whether there are enough clips of a label."""
        return self.counts[label] >= self.clips

    @property
    def all_complete(self) -> bool:
        return all(self.complete(label) for label in self.counts)

    def update(self, now: float) -> Clip | None:
        """Lets time pass; to be called often, and before each frame's `see`.

        Returns:
            DROP if the camera went away while it recorded; None else.
        """
        self.away = now - self._last_frame > self._gap
        if self.away and self.phase is not Phase.DONE:
            lost = self.phase is Phase.RECORDING
            self._review(now, self._review_time)
            return Clip.DROP if lost else None
        if self.phase is Phase.REVIEW and not self.paused and now >= self._until - _SLACK:
            self._go_on(now)
        if self.phase is Phase.COUNTDOWN and now >= self._until - _SLACK:
            self.phase = Phase.RECORDING
            self._until += self._seconds
            self._first, self._frames = None, 0
        return None

    def see(self, timestamp: float) -> Clip | None:
        """Takes note of a frame.

        Returns:
            ADD if it belongs to the clip, KEEP if it is the first one after it, DROP if there was none in it; None
            while nothing is recorded.
        """
        self._last_frame = max(self._last_frame, timestamp)
        if self.phase is not Phase.RECORDING or timestamp < self._until - self._seconds - _SLACK:
            return None
        if timestamp >= self._until - _SLACK:
            return self._finish(timestamp)
        self._first = timestamp if self._first is None else self._first
        self._newest = timestamp
        self._frames += 1
        return Clip.ADD

    def stop(self) -> Clip | None:
        """Ends it all. A clip that is being recorded is kept if there is a second of it."""
        recording, self.phase = self.phase is Phase.RECORDING, Phase.DONE
        if not recording or self._first is None:
            return None
        if self._length() < min(LEAST, self._seconds) - _SLACK:
            return Clip.DROP
        self.counts[self.label] += 1
        return Clip.KEEP

    def go_on_or_pause(self, now: float) -> None:
        """Begins the next countdown; or ends the one that runs, or pauses after the clip that is being recorded."""
        if self.phase is Phase.REVIEW:
            self.paused = False
            self._count_down(now)
        elif self.phase is Phase.COUNTDOWN:
            self.pause(now)
        elif self.phase is Phase.RECORDING:
            self.paused = not self.paused

    def pause(self, now: float) -> None:
        """Records nothing more for now; a clip that is being recorded is completed."""
        if self.phase is Phase.COUNTDOWN:
            self._review(now, 0.0)
        self.paused = self.phase is not Phase.DONE

    def turn_to_next(self, now: float) -> None:
        """Goes on with the next label, also one of which there are enough; after the clip that is being recorded."""
        if self.phase is Phase.RECORDING:
            self._next_wanted = True
        elif self.phase is not Phase.DONE:
            labels = list(self.counts)
            self._turn_to(labels[(labels.index(self.label) + 1) % len(labels)], now)

    def abandon(self, now: float) -> Clip | None:
        """Ends the clip that is being recorded, since it went wrong; returns DISCARD if there is something of it."""
        if self.phase is not Phase.RECORDING:
            return None
        begun = self._first is not None
        self._review(now, self._review_time)
        return Clip.DISCARD if begun else None

    def take_back(self, label: str, now: float) -> None:
        """Notes that a clip was discarded: another one is to be recorded."""
        self.counts[label] -= 1
        if self.phase in (Phase.REVIEW, Phase.COUNTDOWN):
            self.label = label
            self._review(now, self._review_time)

    def _length(self) -> float:
        """Returns the seconds of the clip so far, its last frame's included."""
        if self._first is None or self._frames < 2:
            return 0.0
        return (self._newest - self._first) * self._frames / (self._frames - 1)

    def _finish(self, now: float) -> Clip:
        if self._first is None:
            self._review(now, self._review_time)
            return Clip.DROP
        self.counts[self.label] += 1
        self.fresh = False
        self._review(now, self._linger if self.all_complete else self._review_time)
        if self._next_wanted:
            self.turn_to_next(now)
        return Clip.KEEP

    def _review(self, now: float, seconds: float) -> None:
        self.phase, self._until = Phase.REVIEW, now + seconds

    def _count_down(self, now: float) -> None:
        self.phase, self._until = Phase.COUNTDOWN, now + self._countdown

    def _go_on(self, now: float) -> None:
        """Begins what follows a review."""
        wanted = self._next_incomplete()
        if wanted is None:
            self.phase = Phase.DONE
        elif wanted == self.label:
            self._count_down(now)
        else:
            self._turn_to(wanted, now)
            if not self._pause:
                self._count_down(now)

    def _turn_to(self, label: str, now: float) -> None:
        self.label, self.fresh, self._next_wanted = label, True, False
        self._review(now, self._pause)

    def _next_incomplete(self) -> str | None:
        """Returns this label if it wants clips, else the next one that does; None if there is none."""
        labels = list(self.counts)
        at = labels.index(self.label)
        return next((label for label in labels[at:] + labels[:at] if not self.complete(label)), None)
