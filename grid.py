"""Several pictures as one."""

from __future__ import annotations

import math
from typing import Sequence

import cv2
import numpy as np


def tile(pictures: Sequence[np.ndarray | None], width: int, height: int) -> np.ndarray:
    """Puts pictures side by side and in rows, each as large as its cell allows, between black borders.

    Args:
        pictures: uint8 [H, W, 3] of any sizes; None leaves its cell black.
        width: Columns of the result, in pixels.
        height: Its rows.

    Returns:
        uint8 [height, width, 3]. Two pictures stand side by side, three and four in two rows of two, and so on.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    grid = np.zeros((height, width, 3), np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        top, bottom = height * row // rows, height * (row + 1) // rows
        left, right = width * column // columns, width * (column + 1) // columns
        if picture is not None:
            _fit_into(grid[top:bottom, left:right], picture)
    return grid


def _fit_into(cell: np.ndarray, picture: np.ndarray) -> None:
    scale = min(cell.shape[0] / picture.shape[0], cell.shape[1] / picture.shape[1])
    height, width = max(1, int(picture.shape[0] * scale)), max(1, int(picture.shape[1] * scale))
    top, left = (cell.shape[0] - height) // 2, (cell.shape[1] - width) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cell[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=interpolation)
