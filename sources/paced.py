"""A file played in real time, as if it were a camera: beside cameras, nothing may be faster than they are."""

from __future__ import annotations

import time
from dataclasses import replace

from sources import Frame, Source
from sources.clock import Clock

_LOOK = 0.1  # seconds between looks at whether it was closed


class Paced:
    """A live source around one that is not.

    Args:
        source: Whose frames to play, each at its time.
    """

    live = True

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.fps = source.fps
        self._source = source
        self._clock = Clock()
        self._closed = False

    def read(self) -> Frame | None:
        """Waits until the next frame is due, and stamps it with the monotonic clock; None at the end."""
        frame = self._source.read()
        while frame is not None and not self._closed:
            remaining = self._clock.wait_time(frame.timestamp)
            if remaining <= 0:
                return replace(frame, timestamp=time.monotonic())
            time.sleep(min(remaining, _LOOK))
        return None

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._closed = True
        self._source.close()
