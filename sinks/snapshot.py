"""Saves one picture."""

from __future__ import annotations

import itertools
import os
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from utils import write_whole


def save_snapshot(picture: np.ndarray, folder: str | os.PathLike[str]) -> Path:
    """Saves a picture as JPEG, named by the local time to a millisecond; no file is ever overwritten.

    Args:
        picture: uint8 [H, W, 3] BGR.
        folder: Must exist.

    Returns:
        The new file: snapshot-20261121-075701.123.jpg in the folder.

    Raises:
        OutputError: The folder can't be written.
    """
    name = datetime.now().strftime("snapshot-%Y%m%d-%H%M%S.%f")[:-3]
    path = Path(folder).expanduser() / f"{name}.jpg"
    for number in itertools.count(1):
        if not path.exists():
            break
        path = path.with_name(f"{name}-{number}.jpg")
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    write_whole(path, data.tobytes())
    return path
