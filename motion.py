"""Whether anything in the picture has changed: what lets an empty room save power.

A frame becomes a small grey picture of cells, each the mean of some of its pixels, so that the noise of single pixels
hardly counts. It is compared with the background, a running mean over the last seconds: light that changes slowly, and
whatever has been put down and stays, becomes part of that. A cell has changed if it differs from the background by more
than the noise could, apart from what the whole picture does when a camera adjusts its exposure. A few changed cells are
motion; a single one is not: it may be a blinking lamp or the seconds of a clock that a camera writes into its picture.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

_CELLS = (40, 30)  # (width, height)
_SAMPLES = 64  # pixels of a cell at least, in as few rows as hold them: what takes time is fetching memory
_LEAST_CHANGED = 3  # cells, a 400th of the picture: a hand, where a person is as tall as a third of it
_BACKGROUND = 2.0  # seconds that the background remembers
# Grey levels (of 255) by which a cell must differ at least. Video codecs repaint a still picture by about that.
_LEAST_DIFFERENCE = 4.0
_NOISE_FACTOR = 6.0  # standard deviations of a cell's noise by which it must differ
_MOST_NOISE = 3.0  # grey levels; beyond it what looks like noise is a moving camera
_MOST_SHIFT = 8.0  # grey levels by which the whole picture may shift at once; beyond it somebody switched the light
_MEDIAN_TO_SIGMA = 1 / 0.6745  # from the median of how far normal values are off to their standard deviation


class Motion:
    """Watches one camera. Takes about 0.1 ms a frame on a PC, so that every frame can be judged."""

    def __init__(self) -> None:
        self._background: np.ndarray | None = None  # float32 [30, 40]
        self._timestamp = 0.0

    def changed(self, image: np.ndarray, timestamp: float) -> bool:
        """Takes the next frame; says whether it shows anything new. The first one does.

        Args:
            image: uint8 [H, W, 3], of any size.
            timestamp: Seconds.
        """
        cells = _cells_of(image)
        if self._background is None:
            changed, self._background = True, cells
        else:
            changed = _count_changed(cells, self._background) >= _LEAST_CHANGED
            elapsed = max(0.0, timestamp - self._timestamp)  # a film that starts again goes back
            self._background += (cells - self._background) * (1 - math.exp(-elapsed / _BACKGROUND))
        self._timestamp = timestamp
        return changed


def _cells_of(image: np.ndarray) -> np.ndarray:
    """Returns float32 [30, 40] grey levels."""
    height, width = image.shape[:2]
    rows = _CELLS[1] * math.ceil(_SAMPLES * _CELLS[0] / width)
    sampled = image[:: max(1, height // rows)]
    cells = cv2.resize(sampled, _CELLS, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(cells, cv2.COLOR_BGR2GRAY).astype(np.float32)


def _count_changed(cells: np.ndarray, background: np.ndarray) -> int:
    difference = cells - background
    difference -= min(_MOST_SHIFT, max(-_MOST_SHIFT, _median(difference)))
    np.abs(difference, out=difference)
    # What changes is rarely half of the picture: the median is noise, also a codec's whenever it sends a whole picture.
    noise = min(_MOST_NOISE, _MEDIAN_TO_SIGMA * _median(difference))
    return int(np.count_nonzero(difference > max(_LEAST_DIFFERENCE, _NOISE_FACTOR * noise)))


def _median(values: np.ndarray) -> float:
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])  # np.median takes five times as long
