"""Which frames the model sees: chosen by time, since models are trained at one frame rate and cameras have another."""

from __future__ import annotations

_TIMESTAMP_ROUNDING = 1e-3  # seconds; containers round timestamps to milliseconds


class Sampler:
    """Chooses the frames that the model sees, by their timestamps.

    Frames are taken on a grid of 1 / fps seconds, so that a camera's jitter doesn't lower the mean rate. After a gap a
    new grid begins: samples that were missed are never made up for in a burst.

    Args:
        fps: Frames a second to take.

    Attributes:
        fps: The same; may be changed, from the next sample on.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._next = float("-inf")
        self._last = float("inf")

    def due(self, timestamp: float) -> bool:
        """Says whether the frame taken at `timestamp` seconds is the model's next one."""
        period = 1.0 / self.fps
        went_back = timestamp < self._last - period
        if timestamp < self._next - _TIMESTAMP_ROUNDING and not went_back:
            return False
        if went_back or timestamp - self._next >= period:
            self._next = timestamp + period
        else:
            self._next = max(self._next + period, timestamp + period / 2)
        self._last = timestamp
        return True
