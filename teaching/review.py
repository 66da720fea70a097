"""Looking at a clip again, and at what there is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Collection, Mapping

import numpy as np

from sources import Source, open_source
from sources.clock import Clock

BACKGROUND = "background"
"""The label of what is none of the actions."""

FEW = 5  # clips of a label below which more are advised


class Replay:
    """Plays a clip in real time.

    Args:
        path: The clip.

    Raises:
        SourceError: It can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._source: Source = open_source(str(path.absolute()))
        self._clock = Clock()
        self._frame = self._source.read()

    def picture(self) -> np.ndarray | None:
        """Returns what is to be seen now, uint8 [H, W, 3] BGR; None once it is over, and then it is closed.

        Raises:
            SourceError: It can't be read.
        """
        while self._frame is not None:
            following = self._source.read()
            if following is None:
                break
        return None

    def close(self) -> None:
        """Ends it; may be called twice."""
        self._source.close()
