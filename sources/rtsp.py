"""RTSP cameras, opened by PyAV: OpenCV watches a stream for 30 frames before it gives the first."""

from __future__ import annotations

import logging
import threading
import time
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from credentials import public_name
from errors import SourceError
from sources import Frame, Options, Source, opencv  # before PyAV: see sinks/video_file.py

if TYPE_CHECKING:
    from av.container import InputContainer

_OPTIONS = {
    # Over UDP lost packets smear the picture, and firewalls drop it.
    "rtsp_transport": "tcp",
    # Sound and metadata that go on while the picture has stopped would keep a read from noticing.
    "allowed_media_types": "video",
    # FFmpeg is to look at as little as it can, in microseconds and frames, since the decoder finds out all the rest.
    # Never "fflags=nobuffer": what FFmpeg has looked at would be lost, which is the key frame that all others need.
    "analyzeduration": "1",
    "fpsprobesize": "0",
}
# Each thread but one delays the picture by a frame; one alone is too slow for 1080p on a Pi.
_THREADS = 2
_AT_ONCE = 0.05  # seconds that are too few to tell


def open_rtsp(url: str, options: Options) -> Source:
    """Opens an RTSP stream over TCP, through OpenCV where PyAV is not installed.

    Raises:
        SourceError: Nothing answers, or it gives no picture.
    """
    try:
        import av
    except ImportError:  # 32-bit Raspberry Pi OS
        return opencv.open_stream(url, options)
    logging.getLogger("libav").setLevel(logging.CRITICAL + 1)  # where PyAV 10 and 11 put what FFmpeg says
    try:
        container = av.open(url, options=dict(_OPTIONS), timeout=(opencv.OPEN_TIMEOUT, options.read_timeout))
    except (av.error.FFmpegError, OSError, ValueError):  # They hold the URL.
        raise SourceError(f"{public_name(url)} can't be opened: {opencv.explain(url)}") from None
    if not container.streams.video:
        container.close()
        raise SourceError(f"{public_name(url)} sends no video; check the path")
    return RtspStream(public_name(url), av, container, options.read_timeout)


class RtspStream:
    """A Source over an opened RTSP stream.

    Args:
        name: What the user sees.
        av: PyAV.
        container: Has a video stream; is closed by close, or here if it gives no picture.
        read_timeout: Seconds without a frame after which it is given up.

    Raises:
        SourceError: It gives no picture.
    """

    live = True

    def __init__(self, name: str, av: ModuleType, container: InputContainer, read_timeout: float) -> None:
        self.name = name
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        # PyAV 10 and 11 hand to Python what FFmpeg says: if a decoder's thread does while Python waits for its end,
        # both wait for ever.
        stream.thread_count = _THREADS if av.logging.get_level() is None else 1
        fps = float(stream.average_rate or 0)
        self.fps = fps if 0 < fps <= opencv.MAX_FPS else None
        self._av = av
        self._container = container
        self._packets = container.demux(stream)
        self._read_timeout = read_timeout
        self._index = 0
        self._reading = threading.Lock()
        self._closed = False
        try:
            self._first = self._next_frame()
        except SourceError:
            self.close()
            raise

    def read(self) -> Frame | None:
        """Blocks for the next frame, which is stamped with its arrival; None once closed.

        Raises:
            SourceError: Nothing came for the read timeout, or the camera hung up.
        """
        first, self._first = self._first, None
        return first or self._next_frame()

    def close(self) -> None:
        """Closes the stream; may be called twice, and while another thread reads, which then does it."""
        self._closed = True
        self._close_unless_reading()

    def _close_unless_reading(self) -> None:
        if self._reading.acquire(blocking=False):
            self._container.close()
            self._reading.release()

    def _next_frame(self) -> Frame | None:
        asked = time.monotonic()
        with self._reading:
            image = self._next_image(asked + self._read_timeout)
        if self._closed:
            self._close_unless_reading()
            return None
        now = time.monotonic()
        if image is None:
            since = f"for {now - asked:.1f} s" if now - asked >= _AT_ONCE else "any more"  # the camera hung up
            raise SourceError(f"no frame from {self.name} {since}; check its cable or network")
        self._index += 1
        return Frame(image, now, self._index - 1)

    def _next_image(self, deadline: float) -> np.ndarray | None:
        """Returns uint8 [H, W, 3] BGR; None if there is none before the deadline or the stream has ended."""
        while time.monotonic() < deadline and not self._closed:
            try:
                frames = next(self._packets).decode()
            except self._av.error.InvalidDataError:  # one damaged picture
                continue
            except (self._av.error.FFmpegError, OSError, StopIteration):
                return None
            if frames:
                return frames[-1].to_ndarray(format="bgr24")
        return None
