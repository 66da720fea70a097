"""How one thread hands frames to another: a slot for live sources, a bounded queue for files."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from sources import Frame

T = TypeVar("T")


class LatestFrame:
    """Room for one frame between a writer and any number of readers; a newer frame replaces an older one."""

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
        """Returns the newest frame if its index is above `after`; None if none came in `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._is_newer(after), timeout)
            return self._frame if self._is_newer(after) else None

    def close(self) -> None:
        """Says that no frame follows."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def finished(self, after: int) -> bool:
        """True when a reader that has seen the frame with index `after` has seen all."""
        with self._changed:
            return self._closed and not self._is_newer(after)

    def _is_newer(self, after: int) -> bool:
        return self._frame is not None and self._frame.index > after


class BoundedQueue(Generic[T]):
    """A first-in, first-out queue whose writer waits while it is full. One writer, one reader.

    Args:
        size: Items that it holds.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._closed = False

    def put(self, item: T) -> None:
        """Waits for room and appends; drops the item if the queue was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._size)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()

    def get(self, timeout: float) -> T | None:
        """Returns the oldest item; None if none came in `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout)
            if not self._items:
                return None
            self._changed.notify_all()
            return self._items.popleft()

    def close(self) -> None:
        """Says that nothing follows; what is in the queue can still be read."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def finished(self) -> bool:
        """True when the reader has seen all."""
        with self._changed:
            return self._closed and not self._items
