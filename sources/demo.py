"""The demo: a drawn figure that acts, at a camera's rate, on a machine without a camera."""

from __future__ import annotations

import math
import threading
import time

from sources import Frame, Options
from sources.play import ACTIONS, Play

DEFAULT_FPS = 30.0


class Demo:
    """A live source that plays the drawn film as it goes on: who reads slowly gets the newest moment.

    Args:
        address: Not used: there is one demo.
        options: Size, frames a second and seed.

    Attributes:
        name: "demo".
        live: True.
        fps: Frames a second.
        actions: What `truth` may return.
    """

    live = True
    actions = ACTIONS

    def __init__(self, address: str, options: Options) -> None:
        self.name = "demo" if options.demo_seed == 0 else f"demo, seed {options.demo_seed}"
        self.fps = options.fps or DEFAULT_FPS
        self._size = options.camera_size
        self._play = Play(options.demo_seed)
        # Another one, since `truth` is asked from another thread than `read`, and a play writes its script as it goes.
        self._script = Play(options.demo_seed)
        self._start = time.monotonic()
        self._index = 0  # frames delivered
        self._number = 0  # of the next frame, those left out counted
        self._closed = threading.Event()

    def read(self) -> Frame | None:
        """Waits for the next moment of which a frame is due and draws it; None once closed."""
        due = math.ceil((time.monotonic() - self._start) * self.fps)
        self._number = max(self._number, due)
        timestamp = self._start + self._number / self.fps
        if self._closed.wait(max(0.0, timestamp - time.monotonic())):
            return None
        frame = Frame(self._play.draw(timestamp - self._start, *self._size), timestamp, self._index)
        self._index += 1
        self._number += 1
        return frame

    def truth(self, timestamp: float) -> str:
        """Returns what the figure does in the frame of this timestamp, one of `actions`."""
        return self._script.action(max(0.0, timestamp - self._start))

    def interrupt(self) -> None:
        """Makes a read that waits return None, as all later ones will; returns at once."""
        self._closed.set()

    def close(self) -> None:
        """Ends the film; may be called twice."""
        self.interrupt()
