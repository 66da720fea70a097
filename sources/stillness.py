"""Notices a camera that delivers one and the same picture for ever."""

from __future__ import annotations

import numpy as np

# Seconds of bit-identical pictures after which a camera counts as frozen. A sensor's noise makes any two pictures
# differ, but a network camera's codec repeats a still scene exactly until its next key frame, which most send every
# 1 to 10 s.
FROZEN_AFTER = 20.0
# A lens cap, a dark room or a test card look just like a frozen camera. So the time is doubled each time that opening
# the camera again has not set it in motion, up to this many seconds.
MOST_PATIENCE = 600.0
_MOTION = 2.0  # seconds without a new picture that end a stretch of motion


class Stillness:
    """Compares each picture with the one before.

    Args:
        patience: Seconds that a picture may last.
    """

    def __init__(self, patience: float = FROZEN_AFTER) -> None:
        self._usual = self._patience = patience
        self._picture: np.ndarray | None = None
        self._counted_from = self._changed_at = self._moving_since = 0.0

    def lasts_too_long(self, picture: np.ndarray, now: float) -> bool:
        """Takes a picture; True once it has lasted for the patience, after which time is counted anew.

        Args:
            picture: uint8 [H, W, 3]. Kept: it must not be modified later.
            now: Seconds of a clock that never goes back.
        """
        if self._picture is None or not _same(picture, self._picture):
            if now - self._changed_at > _MOTION:
                self._moving_since = now
            if now - self._moving_since >= self._usual:
                self._patience = self._usual
            self._picture, self._counted_from, self._changed_at = picture, now, now
        elif now - self._counted_from >= self._patience:
            self._counted_from = now
            self._patience = min(2 * self._patience, MOST_PATIENCE)
            return True
        return False


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    # Every sixteenth row first: that tells nearly all pictures apart, and costs a sixteenth.
    return np.array_equal(one[::16], other[::16]) and np.array_equal(one, other)
