"""Where pictures and predictions go: one file a kind."""

from __future__ import annotations

from typing import Protocol, Sequence

import numpy as np

from video_classifier import Prediction


class Sink(Protocol):
    """What every kind of sink offers. Called from the main thread only.

    Attributes:
        wants_pictures: Whether `write` needs its picture now; where nobody needs it, none is drawn. A sink that has an
            attribute `wants_frames` is given the frame as the source gave it instead.
    """

    @property
    def wants_pictures(self) -> bool: ...

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Takes one shown frame.

        Args:
            picture: uint8 [H, W, 3] BGR, with the overlay drawn if some sink wants pictures. Nobody modifies it, so it
                may be kept and read by other threads.
            timestamp: The frame's, in seconds.
            predictions: Those made since the last call, oldest first; often none.

        Raises:
            OutputError: The sink can take no more; the program drops it and goes on.
        """

    def no_signal(self, seconds: float) -> None:
        """Told once a second while the source gives no picture.

        Args:
            seconds: How long it has been so.

        Raises:
            OutputError: As in `write`.
        """

    def close(self) -> None:
        """Finishes the output; may be called twice."""
