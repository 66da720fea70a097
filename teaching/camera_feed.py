"""A source read in a thread, so that recording, drawing and the keys never make a camera wait."""

from __future__ import annotations

import threading
from typing import Iterator

from errors import UserError
from sources import Frame, Source
from sources.handover import BoundedQueue

_QUEUED = 30  # frames: a second in which the disk may be slow; 30 MB at 640x480
_AT_ONCE = 8  # frames between two looks at the keys
_STOP_WITHIN = 1.0  # seconds; the program as a whole has 2


class Feed:
    """Every frame of a source, in order. A context manager; leaving it closes the source.

    Args:
        source: Open.

    Attributes:
        ended: Whether nothing more comes.
    """

    def __init__(self, source: Source) -> None:
        self.ended = False
        self._source = source
        self._frames: BoundedQueue[Frame] = BoundedQueue(_QUEUED)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._frames.close()
        interrupt = getattr(self._source, "interrupt", None)
        if interrupt is not None:  # its read blocks for as long as the camera is away
            interrupt()
        self._thread.join(_STOP_WITHIN)
        if not self._thread.is_alive():
            self._source.close()

    def take(self, timeout: float) -> Iterator[Frame]:
        """Yields the frames that are new, after waiting for the first one; none if none came in `timeout` seconds.

        Raises:
            SourceError: The source broke.
        """
        for number in range(_AT_ONCE):
            frame = self._frames.get(0.0 if number else timeout)
            if frame is None:
                break
            yield frame
        if self._frames.finished():
            self.ended = True
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                frame = self._source.read()
                if frame is None:
                    break
                self._frames.put(frame)
        except UserError as error:  # the main thread raises it
            self._error = error
        finally:
            self._frames.close()
