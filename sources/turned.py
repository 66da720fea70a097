"""Turns the pictures of any source, for a camera that isn't mounted upright."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2

from sources import Frame, Source

_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turn(source: Source, degrees: int) -> Source:
    """Returns a source whose pictures are turned.

    Args:
        source: If it has an attribute `rotation`, its pictures are turned by so many degrees already.
        degrees: 0, 90, 180 or 270, clockwise.
    """
    left = (degrees - getattr(source, "rotation", 0)) % 360
    return Turned(source, left) if left else source


class Turned:
    """A Source that turns what another one delivers; everything else is the other one's.

    Args:
        source: Whose pictures are turned. Is closed by close.
        degrees: 90, 180 or 270, clockwise.
    """

    def __init__(self, source: Source, degrees: int) -> None:
        self.name = source.name
        self.live = source.live
        self.fps = source.fps
        self._source = source
        self._code = _CODES[degrees]

    def read(self) -> Frame | None:
        """Blocks for the next frame; None at the end.

        Raises:
            SourceError: The source broke.
        """
        frame = self._source.read()
        if frame is None:
            return None
        image = cv2.rotate(frame.image, self._code)
        lores = None if frame.lores is None else cv2.rotate(frame.lores, self._code)
        return dataclasses.replace(frame, image=image, lores=lores)

    def close(self) -> None:
        """Closes the source; may be called twice."""
        self._source.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
