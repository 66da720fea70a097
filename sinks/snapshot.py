"""Saves one picture."""

from __future__ import annotations

import itertools
import os
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from errors import OutputError
from utils import write_whole


def save_snapshot(picture: np.ndarray, path: str | os.PathLike[str]) -> Path:
    """Saves a picture.

    Args:
        picture: uint8 [H, W, 3] BGR.
        path: A .jpg or .png file, replaced if it is there; or a folder, in which a JPEG gets a name of its own by the
            local time to a millisecond, and replaces nothing.

    Returns:
        The new file: snapshot-20261121-075701.123.jpg in the folder.

    Raises:
        OutputError: It can't be written, or is no name of a picture.
    """
    path = Path(path).expanduser()
    path = _new_name(path) if os.path.isdir(path) else path
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise OutputError(f"snapshot {path}: its name must end in .jpg or .png, or be a folder's")
    _, data = cv2.imencode(path.suffix.lower(), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    write_whole(path, data.tobytes())
    return path


def make_folder(path: str | os.PathLike[str]) -> None:
    """Makes the folder of --snapshots if it is missing; its parent must exist.

    Raises:
        OutputError: It can't be made, or is a file.
    """
    try:
        Path(path).expanduser().mkdir(exist_ok=True)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise OutputError(f"can't keep snapshots in {path}: {reason}; give --snapshots another folder") from None


def _new_name(folder: Path) -> Path:
    name = datetime.now().strftime("snapshot-%Y%m%d-%H%M%S.%f")[:-3]
    path = folder / f"{name}.jpg"
    for number in itertools.count(1):
        if not os.path.lexists(path):
            break
        path = path.with_name(f"{name}-{number}.jpg")
    return path
