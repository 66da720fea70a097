"""Writes one clip: an H.264 MP4 with its index in front, as browsers and phones like it best."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import Any, Iterator, Sequence

import numpy as np

from events.clips_folder import Part
from sinks.video_file import COLORS, find_encoder, import_av, to_yuv

_TICKS = 60_000  # of the file's clock, in a second; MPEG-4 allows 65,535
_KEY_INTERVAL = 30  # pictures between two at which a player can begin
_LONGEST_GAP = 60.0  # seconds between two pictures; a longer silence is shortened to this
# Bytes of the index, which is written last into the room that was left for it: at most this much, and this a picture.
_INDEX, _INDEX_ENTRY = 4096, 32
_PACKET_OVERHEAD = 64  # bytes that a packet can gain as it is put into the file


class ClipFile:
    """A clip being written; its pictures have the size of the first. One thread at a time.

    Args:
        part: Where to write; kept or discarded by `close`.
        fps: The usual rate.
        frames: Pictures that it will have at most.

    Attributes:
        frames: Pictures written.

    Raises:
        PackageError: PyAV is missing, or was built without an encoder.
    """

    def __init__(self, part: Part, fps: float, frames: int) -> None:
        self.frames = 0
        self._part = part
        self._av = import_av()
        encoder, options = find_encoder(self._av)
        index = _INDEX + _INDEX_ENTRY * frames
        # Given a name, FFmpeg would open the file itself, unlocked and unlimited.
        self._container = self._av.open(part, "w", format="mp4", options={"moov_size": str(index)})
        self._stream: Any = self._container.add_stream(encoder, rate=Fraction(fps).limit_denominator(1001))
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {**options, **COLORS}
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.gop_size = _KEY_INTERVAL
        self._size = (0, 0)  # rows and columns
        self._bytes = index + 1024  # of the file at most
        self._last = 0.0  # the last picture's time, and the same on the file's clock
        self._ticks = -1

    def write(self, picture: np.ndarray, timestamp: float) -> bool:
        """Adds a picture.

        Args:
            picture: uint8 [H, W, 3] BGR.
            timestamp: Seconds, more than the last picture's.

        Returns:
            False if the limit leaves no room for it: the clip is complete without.

        Raises:
            OSError: The disk is full or broken, or the encoder fails.
        """
        if not self.frames:
            self._size = (picture.shape[0], picture.shape[1])
            self._stream.height, self._stream.width = (side + side % 2 for side in self._size)
        else:
            self._ticks += max(1, round(min(timestamp - self._last, _LONGEST_GAP) * _TICKS))
        self._ticks, self._last = max(0, self._ticks), timestamp
        with self._os_errors():
            if not self._mux(self._stream.encode(self._to_frame(picture))):
                return False
        self.frames += 1
        return True

    def close(self) -> bool:
        """Finishes the file; returns False if it had no picture and was removed.

        Raises:
            OSError: As in `write`; the file is removed.
        """
        try:
            if not self.frames:
                return False
            with self._os_errors():
                self._mux(self._stream.encode(None))
                self._container.close()
            self._part.keep()
            return True
        finally:
            self.discard()

    def discard(self) -> None:
        """Removes an unfinished file; does nothing to a finished one."""
        if self._part.closed:
            return
        with contextlib.suppress(OSError), self._os_errors():  # what could not be written is not wanted
            self._container.close()
        self._part.discard()

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[None]:
        try:
            yield
        except self._av.error.FFmpegError as error:
            raise OSError(error.errno, error.strerror) from None

    def _mux(self, packets: Sequence[Any]) -> bool:
        for packet in packets:
            self._bytes += packet.size + _PACKET_OVERHEAD
            if not self._part.reserve(self._bytes):
                return False
            self._container.mux(packet)
        return True

    def _to_frame(self, picture: np.ndarray) -> Any:
        frame = self._av.VideoFrame.from_ndarray(to_yuv(picture, self._size), format="yuv420p")
        frame.pts, frame.time_base = self._ticks, Fraction(1, _TICKS)
        return frame
