"""Asks a USB camera what it offers, in the kernel's own language (linux/videodev2.h): a Pi may have no v4l2-ctl."""

from __future__ import annotations

import errno
import fcntl
import struct
from dataclasses import dataclass
from typing import BinaryIO, Iterator

_MOST = 1000  # entries that are believed of a list which a driver never ends


@dataclass(frozen=True)
class Mode:
    """One size of picture that a camera offers in one pixel format.

    Attributes:
        pixel_format: Its four letters: "YUYV" is raw, "MJPG" compressed.
        size: (width, height) in pixels; the largest where a range is offered.
        smallest: The smallest of that range; else None.
        rates: Frames a second at that size, in the camera's order; of a range its ends. Empty if the driver doesn't
            tell.
    """

    pixel_format: str
    size: tuple[int, int]
    smallest: tuple[int, int] | None
    rates: tuple[float, ...]


def read_modes(device: BinaryIO) -> Iterator[Mode]:
    """Yields every mode of an open video device, in the driver's order.

    Raises:
        OSError: The device is gone, or isn't a video device.
    """
    for _, _, _, _, code, *_ in _entries(device, _ENUM_FMT, _FMTDESC, _VIDEO_CAPTURE):
        letters = struct.pack("<I", code & 0x7FFFFFFF)  # bit 31 says big-endian
        for _, _, kind, *sizes in _entries(device, _ENUM_FRAMESIZES, _FRMSIZEENUM, code):
            if kind == _DISCRETE:
                size, smallest = (sizes[0], sizes[1]), None
            else:  # least, greatest and step of the width, then of the height
                size, smallest = (sizes[1], sizes[4]), (sizes[0], sizes[3])
            yield Mode(letters.decode("ascii", "replace").strip(), size, smallest, tuple(_rates(device, code, size)))


def _rates(device: BinaryIO, code: int, size: tuple[int, int]) -> Iterator[float]:
    for _, _, _, _, kind, *intervals in _entries(device, _ENUM_FRAMEINTERVALS, _FRMIVALENUM, code, *size):
        # Intervals are fractions of a second; of a range the shortest, the longest and the step.
        ends = 1 if kind == _DISCRETE else 2
        for numerator, denominator in list(zip(intervals[::2], intervals[1::2]))[:ends]:
            if numerator:
                yield denominator / numerator


def _entries(device: BinaryIO, request: int, layout: struct.Struct, *key: int) -> Iterator[tuple]:
    """Yields the entries of one of the driver's lists, each as the fields of its structure."""
    for index in range(_MOST):
        question = struct.pack(f"={1 + len(key)}I", index, *key).ljust(layout.size, b"\0")
        try:
            answer = fcntl.ioctl(device, request, question)
        except OSError as error:
            # EINVAL is the end of a list; ENOTTY (not a typewriter) a driver that doesn't know its sizes or rates.
            if error.errno == errno.EINVAL or (error.errno == errno.ENOTTY and request != _ENUM_FMT):
                return
            raise
        yield layout.unpack(answer)


def _request(number: int, layout: struct.Struct) -> int:
    """Returns the code of an ioctl that reads and writes a structure, _IOWR('V', number, structure)."""
    return 3 << 30 | layout.size << 16 | ord("V") << 8 | number


# Every field is a 32-bit number (the description apart), so that these are the same on all of a Pi's systems.
_FMTDESC = struct.Struct("=3I32s5I")  # index, buffer type, flags, description, pixel format, ...
_FRMSIZEENUM = struct.Struct("=3I6I2I")  # index, pixel format, kind, sizes, ...
_FRMIVALENUM = struct.Struct("=5I6I2I")  # index, pixel format, width, height, kind, intervals, ...
_ENUM_FMT = _request(2, _FMTDESC)
_ENUM_FRAMESIZES = _request(74, _FRMSIZEENUM)
_ENUM_FRAMEINTERVALS = _request(75, _FRMIVALENUM)
_VIDEO_CAPTURE = 1  # of enum v4l2_buf_type
_DISCRETE = 1  # of enum v4l2_frmsizetypes and of enum v4l2_frmivaltypes; the other kinds are ranges
