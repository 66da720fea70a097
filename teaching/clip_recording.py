"""A clip while it is recorded: under a hidden name until it is whole and on the disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import struct
from datetime import datetime
from pathlib import Path

import numpy as np

from errors import OutputError, SourceError
from sinks.video_file import VideoFile
from teaching.clips import one_line, read_clip
from teaching.collect import LEAST

PART = re.compile(r"\.(\d{8}-\d{6}\.\d{3})\.part(-\d+)?\.mp4")
"""The name of a clip that is being recorded."""

_ROUNDING = 0.01  # seconds


class Recording:
    """A clip that is being recorded, under a hidden name.

    Args:
        folder: Its label's.
        fps: The camera's usual rate.

    Raises:
        OutputError: The folder can't be written to, or the disk is full.
    """

    def __init__(self, folder: Path, fps: float | None) -> None:
        name = f"{datetime.now():%Y%m%d-%H%M%S.%f}"[:-3]  # to a millisecond: sorted by name is sorted by time
        self._video = VideoFile(folder / f".{name}.part.mp4", fps)
        self.frames = 0

    def add(self, picture: np.ndarray, timestamp: float) -> None:
        """Adds a frame, uint8 [H, W, 3] BGR.

        Raises:
            OutputError: The disk is full or broken. What had been recorded is kept if it is worth it.
        """
        try:
            self._video.write(picture, timestamp, ())
        except OutputError:
            with contextlib.suppress(OSError):
                settle(self._video.path)
            raise
        self.frames += 1

    def keep(self) -> Path:
        """Finishes the clip; returns its file, which is on the disk.

        Raises:
            OutputError: The disk is full or broken. What had been recorded is kept if it is worth it.
        """
        part = self._video.path
        try:
            self._video.close()
            return _publish(part)
        except OSError as error:
            raise OutputError(one_line(f"can't keep {part}: {error.strerror}")) from None
        except OutputError:
            with contextlib.suppress(OSError):
                settle(part)
            raise

    def drop(self) -> None:
        """Throws the clip away."""
        with contextlib.suppress(OutputError):
            self._video.close()
        with contextlib.suppress(OSError):
            self._video.path.unlink()


def settle(part: Path) -> Path | None:
    """Makes a clip of what was recorded of one, or removes it; returns the clip.

    Raises:
        OSError: The file can't be changed.
    """
    if not part.exists():
        return None
    _cut_to_fragments(part)
    if _seconds(part) < LEAST - _ROUNDING:
        part.unlink()
        return None
    return _publish(part)


def _publish(part: Path) -> Path:
    """Gives a part its name."""
    match = PART.fullmatch(part.name)
    assert match is not None
    return rename(part, part.with_name(f"{match.group(1)}.mp4"))


def rename(path: Path, target: Path) -> Path:
    """Gives a file or folder a name, or the next free one like it; returns which."""
    for number in itertools.count():
        name = target.with_name(f"{target.stem}_{number}{target.suffix}") if number else target
        if _take_name(path, name):
            break
    _sync(name.parent)
    return name


def _take_name(path: Path, name: Path) -> bool:
    """Renames a file or folder; returns False if there is one of that name, which os.rename would replace."""
    try:
        os.link(path, name, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError:  # a folder, or a file system without hard links: a USB stick, some network folders
        if os.path.lexists(name):
            return False
        os.rename(path, name)
    else:
        os.unlink(path)
    return True


def _sync(folder: Path) -> None:
    """Makes sure that a new name is on the disk."""
    with contextlib.suppress(OSError):  # some file systems can't for a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cut_to_fragments(path: Path) -> None:
    """Cuts a fragmented MP4 after its last complete fragment: the rest would play as damaged pictures."""
    with path.open("rb+") as file:
        size = os.fstat(file.fileno()).st_size
        end = whole = 0
        while end + 8 <= size:
            file.seek(end)
            length, kind = struct.unpack(">I4s", file.read(8))
            end += max(length, 8)
            if kind in (b"moov", b"mdat") and end <= size:
                whole = end
        file.truncate(whole)
        os.fsync(file.fileno())


def _seconds(path: Path) -> float:
    """Returns the length of a video; 0 if it can't be played."""
    times: list[float] = []
    try:
        with contextlib.closing(read_clip(path)) as frames:
            times = [frame.timestamp for frame in frames]
    except SourceError:
        pass
    return (times[-1] - times[0]) * len(times) / (len(times) - 1) if len(times) > 1 else 0.0
