"""What video files and image folders have in common: a finite run of frames that waits to be read."""

from __future__ import annotations

from typing import Callable, Generator, Iterator, Tuple

import numpy as np

from errors import SourceError
from sources import Frame

# Seconds below which the distance of two positions is not believed: no camera of a file is faster than 480 fps.
MIN_STEP = 1 / 500

# Starts the run from its beginning: images, uint8 [H, W, 3] BGR, each with its position in seconds.
Play = Callable[[], Iterator[Tuple[np.ndarray, float]]]


class Recording:
    """A Source over a run of frames: numbers them, keeps their time rising, and starts again if asked.

    Args:
        name: What the user sees.
        fps: Frames a second, for where the positions don't rise.
        play: Starts the run from its beginning.
        loop: Start again at the end.

    Raises:
        SourceError: The run has no frame.
    """

    live = False

    def __init__(self, name: str, fps: float, play: Play, loop: bool) -> None:
        self.name = name
        self.fps: float | None = fps
        self._frames = _number(play, 1 / fps, loop)
        self._first = next(self._frames, None)
        if self._first is None:
            raise SourceError(f"{name} has no frame that can be read; give another file")

    def read(self) -> Frame | None:
        """Returns the next frame; None at the end, and ever after.

        Raises:
            SourceError: The file can't be opened for another round.
        """
        first, self._first = self._first, None
        return first or next(self._frames, None)

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._first = None
        self._frames.close()


def _number(play: Play, interval: float, loop: bool) -> Generator[Frame, None, None]:
    """Yields the frames of one round, or of round after round, with indexes and rising timestamps."""
    index, timestamp, step = 0, -interval, interval
    while True:
        begin, previous = index, None
        for image, position in play():
            # The last frame of a round lasts as long as the one before it: files don't say.
            if previous is not None:
                step = position - previous
            # Some files have no clock (all 0), or one that counts something else than seconds; some step back where
            # they were joined.
            if not step >= MIN_STEP:
                step = interval
            previous = position
            timestamp += step
            yield Frame(image, timestamp, index)
            index += 1
        # A file that was emptied meanwhile must not be opened again and again for ever.
        if not loop or index == begin:
            return
