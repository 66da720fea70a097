"""Where frames come from: one file a kind, opened by one URI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Frame:
    """One image and when it was taken.

    Attributes:
        image: uint8 [H, W, 3], blue, green, red (OpenCV's order).
        timestamp: Seconds. Files count from their own start; live sources use the monotonic clock.
        index: Frames delivered before this one.
    """

    image: np.ndarray
    timestamp: float
    index: int


class Source(Protocol):
    """What every kind of source offers.

    Attributes:
        name: What the user sees, without credentials: "video.mp4", "USB camera 0".
        live: True if frames come at the camera's own pace, so that a slow reader must drop them; False if every
            frame waits to be read.
        fps: Frames a second as far as the source knows, else None.
    """

    name: str
    live: bool
    fps: float | None

    def read(self) -> Frame | None:
        """Blocks for the next frame; None at the end.

        Raises:
            SourceError: The source broke.
        """

    def close(self) -> None:
        """Releases the device or file; may be called twice."""
