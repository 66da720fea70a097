"""Records the shown pictures as a video that survives a kill, a power cut and a full disk.

The file is written in fragments of a second, each complete in itself. (cv2.VideoWriter can't do this: it puts the
index of an MP4 at its end and keeps up to 256 KiB of any format to itself.)
"""

from __future__ import annotations

import atexit
import contextlib
import io
import math
import os
import re
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Sequence

# Before PyAV: both bring a libxcb, and where PyAV's is loaded first, the first window of OpenCV 5 hangs.
import cv2
import numpy as np

from errors import OutputError, PackageError, UserError
from utils import fit_frame
from video_classifier import Prediction

_TICKS = 60_000  # of the file's clock, in a second: whole numbers at 24, 25, 30 and 60 fps; MPEG-4 allows 65,535
_FRAGMENT = 1.0  # seconds that a kill can cost
_LONGEST_GAP = 60.0  # seconds between two pictures; a longer silence, or a clock that leaps, is shortened to this
_KEPT_FREE = 16_000_000  # bytes left to the rest of the system: a disk filled to the brim breaks other programs

# Suffix: the muxer's name and its options.
_FORMATS = {
    ".mp4": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ".mkv": ("matroska", {"cluster_time_limit": str(int(_FRAGMENT * 1000))}),
}
# Best first. Which of them a build of PyAV has depends on how its FFmpeg was made; "mpeg4" is always there.
_ENCODERS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "threads": "2"},
    "libopenh264": {"b": "4M"},
    "mpeg4": {"qmin": "4", "qmax": "4"},
}
COLORS = {"colorspace": "smpte170m", "color_range": "tv"}  # what cv2.COLOR_BGR2YUV_I420 makes

# Of a limit: what each unit measures, and how much of it.
_UNITS = {
    "": ("seconds", 60),
    "s": ("seconds", 1),
    "min": ("seconds", 60),
    "h": ("seconds", 3600),
    "kb": ("bytes", 10**3),
    "mb": ("bytes", 10**6),
    "gb": ("bytes", 10**9),
}
# What is written besides pictures, in bytes: at most this much a file, a picture, and a fragment in the final index.
_FILE_OVERHEAD, _PICTURE_OVERHEAD, _INDEX_ENTRY = 1024, 16, 32


class LimitReached(OutputError):
    """The recording is complete: it has reached the limit that the user set."""

    status = 0


@dataclass(frozen=True)
class Limit:
    """How long or large a recording may become.

    Attributes:
        text: As the user wrote it.
        seconds: Of video.
        bytes: Of the file.
    """

    text: str
    seconds: float = math.inf
    bytes: float = math.inf

    def __str__(self) -> str:
        return self.text


def parse_limit(text: str) -> Limit:
    """Reads "10" (minutes), "90s", "10min", "2h", "500kB", "500MB" or "2GB" (powers of 1000).

    Raises:
        UserError: It is none of these, or zero.
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?([a-z]*)", text.strip().lower())
    if not match or match.group(2) not in _UNITS or not float(match.group(1)):
        raise UserError(f"recording limit {text!r}: give a time or a size, such as 90s, 10min, 2h, 500MB or 2GB")
    measure, factor = _UNITS[match.group(2)]
    text = text.strip() + ("" if match.group(2) else " min")
    return Limit(text, **{measure: float(match.group(1)) * factor})


class VideoFile:
    """A sink that records H.264 (or MPEG-4) at the pictures' own times, of the first picture's size.

    Args:
        path: Ends in .mp4 or .mkv. An existing file is kept: the recording takes the next free name, out-1.mp4.
        fps: The usual rate. Only says how long the last picture lasts, and one whose timestamp doesn't advance.
        limit: Ends the recording.

    Attributes:
        path: The file's name in the end.
        limit: As given; it may be replaced.

    Raises:
        OutputError: The file can't be made.
        PackageError: PyAV is missing, or was built without an encoder.
    """

    wants_pictures = True

    def __init__(self, path: str | os.PathLike[str], fps: float | None = None, limit: Limit | None = None) -> None:
        self._fps = fps or 30.0
        self.limit = limit
        self._av = import_av()
        self._encoder = find_encoder(self._av)
        self._file = _create(Path(path).expanduser())
        self.path = Path(self._file.name)
        self._container: Any = None
        self._size = (0, 0)  # rows and columns of the first picture
        self._timestamp = 0.0  # of the last picture
        self._seconds = 0.0  # of the last picture, since the first
        self._ticks = -1  # the same, on the file's clock
        self._key_ticks = -_TICKS  # of the last key frame, with which its fragment begins
        self._whole = 0  # bytes of the file that are complete fragments
        self._waiting = 0  # bytes of the fragment that is being collected
        self._pieces = 0  # times that the file has grown: by its header, then by whole fragments

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Adds a picture.

        Args:
            picture: uint8 [H, W, 3] BGR. One of another size than the first is fitted between black borders.
            timestamp: Seconds. If it doesn't advance, the picture follows the last one at the usual interval.
            predictions: Not used: they are drawn on the picture.

        Raises:
            LimitReached: The recording is complete and closed, without this picture.
            OutputError: The disk is full or broken; the file is closed and plays up to its last whole second.
        """
        try:
            if self._container is None:
                self._open(picture, timestamp)
            self._advance(timestamp)
            if self._ticks - self._key_ticks >= _FRAGMENT * _TICKS:
                self._begin_fragment()
            packets = self._stream.encode(self._to_frame(picture))
            self._check_limit(packets)
            self._mux(packets)
        except LimitReached:
            self.close()
            raise
        except (OSError, self._av.error.FFmpegError) as error:
            self._abandon(error)

    def no_signal(self, seconds: float) -> None:
        """Does nothing: the last picture stands until the next one."""

    def close(self) -> None:
        """Finishes the file; one without any picture is removed. May be called twice.

        Raises:
            OutputError: The last second could not be written.
        """
        if self._file.closed:
            return
        try:
            if self._container is not None:
                self._mux(self._stream.encode(None))
                self._container.close()
                os.fsync(self._file.fileno())
        except (OSError, self._av.error.FFmpegError) as error:
            self._abandon(error)
        self._close_file()

    def _open(self, picture: np.ndarray, timestamp: float) -> None:
        muxer, options = _FORMATS[self.path.suffix.lower()]
        encoder, encoder_options = self._encoder
        # Given a name instead of our file, FFmpeg would keep up to 256 KiB to itself: minutes of a quiet picture.
        self._container = self._av.open(self._file, "w", format=muxer, options=options)
        atexit.register(self.close)  # PyAV crashes if Python ends while a container is open
        self._stream = self._container.add_stream(encoder, rate=Fraction(self._fps).limit_denominator(1001))
        self._size = (picture.shape[0], picture.shape[1])
        self._stream.height, self._stream.width = (side + side % 2 for side in self._size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {**encoder_options, **COLORS}
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._timestamp = timestamp

    def _advance(self, timestamp: float) -> None:
        """Moves the file's clock on to the next picture."""
        step = timestamp - self._timestamp
        self._timestamp = timestamp
        if self._ticks >= 0:
            self._seconds += min(step, _LONGEST_GAP) if step > 0 else 1 / self._fps
        self._ticks = max(self._ticks + 1, round(self._seconds * _TICKS))

    def _begin_fragment(self) -> None:
        self._key_ticks = self._ticks
        if is_full(self.path.parent):
            self.close()
            raise OutputError(f"{self.path}: recording ended at {self._seconds:.0f} s: the disk is full")
        if hasattr(os, "posix_fadvise"):
            # Starts writing the last second to the disk without waiting for it, as fsync would: a power cut then
            # costs seconds, not the half a minute that Linux may hold data back.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _to_frame(self, picture: np.ndarray) -> Any:
        yuv = to_yuv(picture, self._size)
        frame = self._av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts, frame.time_base = self._ticks, Fraction(1, _TICKS)
        if self._key_ticks == self._ticks:
            frame.pict_type = self._av.video.frame.PictureType.I
        return frame

    def _check_limit(self, packets: Sequence[Any]) -> None:
        """Ends the recording if these packets would take the finished file over its limit."""
        if self.limit is None:
            return
        size = self._whole + self._waiting + sum(packet.size + _PICTURE_OVERHEAD for packet in packets)
        size += _FILE_OVERHEAD + _INDEX_ENTRY * self._pieces
        if self._seconds >= self.limit.seconds or size > self.limit.bytes:
            raise LimitReached(f"{self.path}: recording ended at its limit of {self.limit.text}")

    def _mux(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            self._container.mux(packet)
            if self._file.tell() > self._whole:  # a key frame pushed the fragment before it out
                self._whole, self._waiting, self._pieces = self._file.tell(), 0, self._pieces + 1
            self._waiting += packet.size + _PICTURE_OVERHEAD

    def _abandon(self, error: Exception) -> None:
        """Closes a file that can't be written to any more, cut back to its last complete fragment."""
        if self._container is not None:
            with contextlib.suppress(OSError, self._av.error.FFmpegError):
                self._container.close()
        with contextlib.suppress(OSError):
            self._file.truncate(self._whole if self._pieces > 1 else 0)
        self._close_file()
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{self.path}: recording ended at {self._seconds:.0f} s: {reason}") from None

    def _close_file(self) -> None:
        empty = self._file.seek(0, os.SEEK_END) == 0
        self._file.close()
        atexit.unregister(self.close)
        if empty:
            with contextlib.suppress(OSError):
                self.path.unlink()


class _WholeWrites(io.FileIO):
    """A file without a buffer of its own that writes everything or raises OSError; FileIO may write a part."""

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[super().write(rest) :]
        return len(data)


def _create(path: Path) -> _WholeWrites:
    """Makes a new file of this name or the next free one; "x" lets no two processes take the same."""
    if path.suffix.lower() not in _FORMATS:
        raise OutputError(f"can't record to {path}: its name must end in {' or '.join(_FORMATS)}")
    if os.path.isdir(path):  # unlike Path.is_dir, it bears a name that is too long
        raise OutputError(f"can't record to {path}: it is a folder; name a file, such as {path}/out.mp4")
    try:
        if is_full(path.parent):
            raise OutputError(f"can't record to {path}: the disk is full; free some space or record elsewhere")
        free, number = path, 0
        while True:
            with contextlib.suppress(FileExistsError):
                return _WholeWrites(str(free), "x")
            number += 1
            free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    except OSError as error:
        raise OutputError(f"can't record to {path}: {error.strerror}; record to a folder you may write to") from None


def to_yuv(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns what an encoder takes: I420, in which colours are stored for squares of 2x2 pixels.

    Args:
        picture: uint8 [H, W, 3] BGR; of another size than the video's, it gets black bars.
        size: The video's height and width; where one is odd, the last row or column is doubled.

    Returns:
        uint8 [1.5 * height, width].
    """
    height, width = size
    if picture.shape[:2] != size:
        picture = fit_frame(picture, height, width, "pad")
    if height % 2 or width % 2:
        picture = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)


def is_full(folder: Path) -> bool:
    """Whether so little of the folder's disk is free that recording must end."""
    usage = shutil.disk_usage(folder)
    return 0 < usage.total and usage.free < _KEPT_FREE  # a network folder may say that it has no size at all


def import_av() -> ModuleType:
    """Returns PyAV.

    Raises:
        PackageError: It isn't installed.
    """
    try:
        import av
    except ImportError:
        raise PackageError("recording needs the package av; run ./setup.sh") from None
    return av


def find_encoder(av: ModuleType) -> tuple[str, dict[str, str]]:
    """Returns the name and the options of the best video encoder that PyAV was built with.

    Raises:
        PackageError: It has none.
    """
    for name, options in _ENCODERS.items():
        with contextlib.suppress(ValueError):  # UnknownCodecError
            av.codec.Codec(name, "w")
            return name, options
    raise PackageError("this build of av has no video encoder; try .venv/bin/pip install --force-reinstall av")
