"""A file played in real time, as if it were a camera: beside cameras, nothing may be faster than they are."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from sources import Frame, Source
from sources.clock import Clock


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
        self._closed = threading.Event()

    def read(self) -> Frame | None:
        """Waits until the next frame is due, and stamps it with the monotonic clock; None at the end and once closed.

        Raises:
            SourceError: The file broke.
        """
        frame = self._source.read()
        while frame is not None and not self._closed.is_set():
            remaining = self._clock.wait_time(frame.timestamp)
            if remaining <= 0:
                return replace(frame, timestamp=time.monotonic())
            self._closed.wait(min(remaining, threading.TIMEOUT_MAX))
        return None

    def interrupt(self) -> None:
        """Makes a read that waits return None, as all later ones will; returns at once."""
        self._closed.set()

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self.interrupt()
        self._source.close()
