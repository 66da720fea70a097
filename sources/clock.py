"""Playing a file in real time."""

from __future__ import annotations

import time


class Clock:
    """Tells when a file's frame is to be shown, so that a file plays in real time."""

    def __init__(self) -> None:
        self._zero: float | None = None

    def wait_time(self, timestamp: float) -> float:
        """Returns the seconds until the frame with this timestamp is due; negative if it is late."""
        now = time.monotonic()
        if self._zero is None or self._zero + timestamp < now - 1.0:
            self._zero = now - timestamp  # the first frame, or so late that going on from here looks better
        return self._zero + timestamp - now

    def restart(self) -> None:
        """Lets time go on with the next frame, however long ago the last one was."""
        self._zero = None
