"""The last seconds of a source in memory, as JPEG."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

_QUALITY = 85


@dataclass(frozen=True)
class Kept:
    """A compressed picture.

    Attributes:
        number: Pictures kept before it, since the start.
        timestamp: Seconds.
        data: JPEG.
    """

    number: int
    timestamp: float
    data: bytes

    def picture(self) -> np.ndarray:
        """Returns the picture, uint8 [H, W, 3] BGR."""
        return cv2.imdecode(np.frombuffer(self.data, np.uint8), cv2.IMREAD_COLOR)


class PreRoll:
    """Pictures by their number, the oldest of which are forgotten. Not safe for threads.

    Args:
        seconds: How long to keep them at least, if their sizes allow it.
        limit: Bytes of all of them, never exceeded; a picture that alone is larger is forgotten at once.
    """

    def __init__(self, seconds: float, limit: int) -> None:
        self.bytes = 0
        self._seconds = seconds
        self._limit = limit
        self._kept: deque[Kept] = deque()
        self._next = 0

    def append(self, timestamp: float, data: bytes, needed: int | None = None) -> None:
        """Keeps one more picture.

        Args:
            timestamp: Seconds, never less than the last one's.
            data: JPEG.
            needed: Number of the first picture that is still wanted, however old it is.
        """
        self._kept.append(Kept(self._next, timestamp, data))
        self.bytes += len(data)
        self._next += 1
        needed = self._next if needed is None else needed
        while self.bytes > self._limit or self._is_past(needed, timestamp):
            self.bytes -= len(self._kept.popleft().data)

    def since(self, timestamp: float) -> int:
        """Returns the number of the first picture that is not older; of the next one if none is here."""
        return next((kept.number for kept in self._kept if kept.timestamp >= timestamp), self._next)

    def at(self, number: int) -> Kept | None:
        """Returns the picture of this number, or the first one after it that is here."""
        if number >= self._next or not self._kept:
            return None
        return self._kept[max(0, number - self._kept[0].number)]

    def count(self, number: int) -> int:
        """Returns how many pictures from this number on are here."""
        return min(len(self._kept), self._next - number)

    def _is_past(self, needed: int, now: float) -> bool:
        return bool(self._kept) and self._kept[0].number < needed and self._kept[0].timestamp < now - self._seconds


def compress(picture: np.ndarray) -> bytes:
    """Returns a picture, uint8 [H, W, 3] BGR, as JPEG."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
