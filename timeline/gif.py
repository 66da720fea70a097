"""Writes an endless GIF as its pictures come, in bounded memory."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np

from errors import OutputError
from sinks.video_file import LimitReached, import_av, is_full
from timeline.free_name import create

FPS = 10.0  # at most
LONGEST = 120.0  # seconds: some 30 MB of a drawn film, 85 of a real one
_TOGETHER = 10  # pictures that share a palette
_TIME_BASE = Fraction(1, 100)  # GIF counts hundredths of a second


class GifFile:
    """Its pictures have the size of the first. Each second of them shares the 256 colours that suit them best.

    Args:
        path: Ends in .gif. An existing file is kept: the GIF takes the next free name.

    Attributes:
        path: The file's name in the end.

    Raises:
        OutputError: The file can't be made.
        PackageError: PyAV is missing.
    """

    def __init__(self, path: Path) -> None:
        self._av = import_av()
        self._file = create(path)
        self.path = Path(self._file.name)
        self._container: Any = None
        self._stream: Any = None
        self._waiting: list[tuple[int, np.ndarray]] = []
        self._start = 0.0
        self._ticks = -1

    def write(self, picture: np.ndarray, timestamp: float) -> None:
        """Adds a picture, uint8 [H, W, 3] BGR, unless it comes sooner than a tenth of a second after the last.

        Raises:
            LimitReached: The GIF is complete and closed, without this picture.
            OutputError: The disk is full or broken; the file is closed.
        """
        if self._ticks < 0:
            self._start = timestamp
        ticks = round((timestamp - self._start) * 100)
        if self._ticks >= 0 and ticks < self._ticks + 100 / FPS - 1:
            return
        if timestamp - self._start >= LONGEST:
            self.close()
            raise LimitReached(f"{self.path}: ended at {LONGEST:.0f} s, as every GIF does; an .mp4 has no limit")
        self._ticks = ticks
        self._waiting.append((ticks, picture))
        if len(self._waiting) >= _TOGETHER:
            self._flush()

    def close(self) -> None:
        """Finishes the file; one without any picture is removed. May be called twice.

        Raises:
            OutputError: The last pictures could not be written.
        """
        if self._file.closed:
            return
        self._flush()
        try:
            if self._container is not None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
            self._file.close()
        except (OSError, self._av.error.FFmpegError) as error:
            self._abandon(error)
        if self._container is None:
            self.path.unlink()

    def _flush(self) -> None:
        """Writes the pictures that wait."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            if is_full(self.path.parent):
                raise OSError(28, "the disk is full")
            if self._container is None:
                self._open(*waiting[0][1].shape[:2])
            for frame in map_to_palette(waiting, _TIME_BASE):
                self._container.mux(self._stream.encode(frame))
            self._file.flush()
        except (OSError, self._av.error.FFmpegError) as error:
            self._abandon(error)

    def _open(self, height: int, width: int) -> None:
        self._container = self._av.open(self._file, "w", format="gif", options={"loop": "0"})
        self._stream = self._container.add_stream("gif", rate=round(FPS))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "pal8"
        self._stream.codec_context.time_base = _TIME_BASE

    def _abandon(self, error: Exception) -> None:
        with contextlib.suppress(OSError, self._av.error.FFmpegError):
            if self._container is not None:
                self._container.close()
        with contextlib.suppress(OSError):
            self._file.close()
        if not os.path.getsize(self.path):
            self.path.unlink()
        raise OutputError(
            f"{self.path}: ended at {self._ticks / 100:.0f} s: {getattr(error, 'strerror', None) or error}"
        ) from None


def map_to_palette(pictures: Sequence[tuple[int, np.ndarray]], time_base: Fraction) -> Iterator[Any]:
    """Maps pictures to the 256 colours that suit all; ordered dithering stands still with the picture and packs well.

    Args:
        pictures: Times in ticks, ascending, and uint8 [H, W, 3] BGR of one size.
        time_base: Seconds of a tick.

    Yields:
        Frames for a GIF's encoder, with their times.
    """
    av = import_av()
    graph = av.filter.Graph()
    height, width = pictures[0][1].shape[:2]
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=time_base)
    split, choose = graph.add("split"), graph.add("palettegen")
    use, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(choose, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for ticks, picture in pictures:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[..., ::-1]), format="rgb24")
        frame.pts, frame.time_base = ticks, time_base
        graph.push(frame)
    graph.push(None)
    while True:
        try:
            frame = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return
        frame.pts, frame.time_base = round(frame.time / time_base), time_base
        yield frame
