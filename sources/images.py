"""A folder of images, played like a video."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Iterator

import cv2
import numpy as np

from errors import SourceError
from sources import Options, Source
from sources.recording import Recording

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# The rate at which the models were trained, so that every image is a step.
DEFAULT_FPS = 5.0


def open_folder(path: str, options: Options) -> Source:
    """Opens a folder: its images in natural order (img2 before img10), each for 1 / fps seconds, of any sizes.

    Images that can't be read are left out, with one warning for all of them.

    Raises:
        SourceError: The folder can't be listed, or has no image that can be read.
    """
    try:
        files = [file for file in Path(path).iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; check the folder") from None
    if not files:
        raise SourceError(f"{path} holds no images ({' '.join(SUFFIXES)}); give another folder")
    files.sort(key=_natural_key)
    fps = options.fps or DEFAULT_FPS
    return Recording(Path(path).resolve().name, fps, lambda: _play(files, fps), options.loop)


def _natural_key(file: Path) -> list[tuple[int, str]]:
    """Orders runs of digits by their value and the rest by its letters."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", file.name.lower())]


def _play(files: list[Path], fps: float) -> Iterator[tuple[np.ndarray, float]]:
    """Plays the images once; takes those that can't be read off the list, so that they are reported once."""
    unreadable = []
    for position, file in enumerate(files):
        image = _read_image(file)
        if image is None:
            unreadable.append(file)
        else:
            yield image, (position - len(unreadable)) / fps
    if unreadable:
        files[:] = [file for file in files if file not in unreadable]
        names = ", ".join(file.name for file in unreadable[:3]) + (", ..." if len(unreadable) > 3 else "")
        logging.getLogger(__name__).warning("left out of %s, not readable: %s", unreadable[0].parent, names)


def _read_image(file: Path) -> np.ndarray | None:
    """Returns uint8 [H, W, 3] BGR whatever the file holds (grey, alpha, 16 bits), upright; None if it's unreadable."""
    try:
        return cv2.imread(str(file), cv2.IMREAD_COLOR)
    except cv2.error:  # Larger than OpenCV dares to decode.
        return None
