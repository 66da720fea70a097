"""Which frames the model sees: a choice by time, since models are trained at a frame rate and cameras have their own."""

from __future__ import annotations

_TIMESTAMP_ROUNDING = 1e-3  # seconds; containers round timestamps to milliseconds


class Sampler:
    """Chooses the frames that the model sees, by their timestamps.

    Frames are taken on a grid of 1 / fps seconds, so that a camera's jitter doesn't lower the mean rate. After a gap a
    new grid begins: samples that were missed are never made up for in a burst.

    Args:
        fps: Frames a second to take.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._period = 1.0 / fps
        self._next = float("-inf")
        self._last = float("inf")

    def due(self, timestamp: float) -> bool:
        """Says whether the frame taken at `timestamp` seconds is the model's next one."""
        went_back = timestamp < self._last - self._period
        if timestamp < self._next - _TIMESTAMP_ROUNDING and not went_back:
            return False
        on_grid = not went_back and timestamp - self._next < self._period
        following = max(self._next + self._period, timestamp + self._period / 2) if on_grid else timestamp + self._period
        self._last, self._next = timestamp, following
        return True


class LatestFrame:
    """A slot for one frame between a writer and any number of readers; a newer frame replaces an older one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False

    def put(self, frame: Frame) -> None:
        """Replaces the frame and wakes every reader."""
        with self._changed:
            self._frame = frame
            self._changed.notify_all()

    def get(self, after: int, timeout: float) -> Frame | None:
        """Returns the newest frame if its index is above `after`; None if none came in `timeout` seconds or will."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._is_newer(after), timeout)
            return self._frame if self._is_newer(after) else None

    def close(self) -> None:
        """Says that no frame follows."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True when no frame follows the one in the slot."""
        return self._closed

    def _is_newer(self, after: int) -> bool:
        return self._frame is not None and self._frame.index > after
