"""A drawn camera, the same on every machine."""

from __future__ import annotations

import time

import cv2
import numpy as np

from sources import Frame

SIZE = (480, 640)
FPS = 30.0


def draw_frame(number: int) -> np.ndarray:
    """Returns uint8 BGR [480, 640, 3]: a ball that moves over a grey ground."""
    image = np.full((*SIZE, 3), 90, np.uint8)
    cv2.circle(image, (number * 7 % SIZE[1], SIZE[0] // 2), 40, (60, 160, 250), -1)
    return image


class DrawnCamera:
    """A live source, 30 frames a second; a frame's timestamp is the moment at which it is due.

    Attributes:
        number: Of the latest frame, from 0; frames that the reader was too late for are skipped, as a driver does.
        cpu_seconds: CPU time that drawing took.
    """

    name, live, fps = "drawn camera", True, FPS

    def __init__(self) -> None:
        self._zero = time.monotonic()
        self.number = -1
        self.cpu_seconds = 0.0

    def read(self) -> Frame:
        """Waits for the next frame."""
        now = time.monotonic() - self._zero
        self.number = max(self.number + 1, int(now * FPS))
        time.sleep(max(0.0, self.number / FPS - now))
        start = time.thread_time()
        image = draw_frame(self.number)
        self.cpu_seconds += time.thread_time() - start
        return Frame(image, self._zero + self.number / FPS, self.number)

    def close(self) -> None:
        """Has nothing to release."""
