"""A Raspberry Pi that grows too hot slows itself down; giving it less to do cools it.

What the firmware says is asked for the way `vcgencmd get_throttled` does it, by a message to /dev/vcio. That needs no
process, only the group "video". (The kernel once had a file for it, get_throttled, that filled the log with a warning;
since 2025 it is gone: github.com/raspberrypi/linux/pull/6697.) The temperature, which anybody may read, tells of heat
on other boards too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

STEPS = (1.0, 0.6, 0.4, 0.2)
"""Shares of the wanted sample rate while the processor stays hot: of 5 frames a second 5, 3, 2, 1."""

_HOT = 80.0  # degrees Celsius from which every Raspberry Pi slows down, as its documentation says
_COOL = 75.0  # below which it counts as cool again
_LOOK = 2.0  # seconds between two readings
_DOWN = 10.0  # seconds after a step down until the next one: heat follows slowly
_UP = 60.0  # seconds that it must have been cool for a step up

# What the firmware is asked: the size of the message, 0 for a request, the tag GET_THROTTLED, the size of its value,
# the size of what is given with it (0: a mask would clear the firmware's history), the value, and the end.
_MESSAGE = struct.Struct("=7I")
_GET_THROTTLED = 0x00030046
_VALUE = 5  # its place in the message
# The kernel's _IOWR(100, 0, char *): both directions, the size of a pointer, "type" 100, number 0.
_PROPERTY = 3 << 30 | struct.calcsize("P") << 16 | 100 << 8

_UNDER_VOLTAGE = 1 << 0
_SLOWED = 1 << 1 | 1 << 2  # frequency capped, throttled; bit 3, a 3B+ at 60 degrees, costs it little


@dataclass(frozen=True)
class Heat:
    """What a board says of itself.

    Attributes:
        temperature: Of the processor in degrees Celsius; None if it doesn't tell.
        flags: The bits of `vcgencmd get_throttled`: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
            temperature limit, all now; the same from bit 16 on, since it was started. None if it isn't a Raspberry Pi.
    """

    temperature: float | None = None
    flags: int | None = None

    @property
    def slows(self) -> bool:
        """Whether it works more slowly now, or is hot enough to."""
        return bool((self.flags or 0) & _SLOWED) or (self.temperature or 0.0) >= _HOT

    @property
    def reason(self) -> str:
        """Why, if it does: "weak power" (a power supply or cable that can't keep the voltage up) or "hot"."""
        return "weak power" if (self.flags or 0) & _UNDER_VOLTAGE else "hot"


def read_heat(vcio: str = "/dev/vcio", zones: str = "/sys/class/thermal") -> Heat:
    """Asks the board; what it can't tell is None.

    Args:
        vcio: The firmware's mailbox.
        zones: Where the kernel lists thermal zones.
    """
    return Heat(_read_temperature(Path(zones)), _read_flags(vcio))


def _read_temperature(zones: Path) -> float | None:
    """Returns the highest temperature of the zones that measure a processor: "cpu-thermal" on a Raspberry Pi.

    PCs call theirs otherwise, and may be hotter.
    """
    temperatures = []
    for zone in zones.glob("thermal_zone*"):
        with contextlib.suppress(OSError, ValueError):  # a zone may be listed and have no value
            if (zone / "type").read_text().startswith("cpu"):
                temperatures.append(int((zone / "temp").read_text()) / 1000)
    return max(temperatures, default=None)


def _read_flags(vcio: str) -> int | None:
    message = bytearray(_MESSAGE.pack(_MESSAGE.size, 0, _GET_THROTTLED, 4, 0, 0, 0))
    try:
        descriptor = os.open(vcio, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _PROPERTY, message)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return _MESSAGE.unpack(message)[_VALUE]


class Cooling:
    """Steps down while a board is slowed down, quickly, and up again, slowly. For one thread.

    Args:
        read: Returns how hot it is; called every 2 seconds at most.
        clock: Returns seconds.

    Attributes:
        share: Of the wanted sample rate, one of STEPS.
        reason: "hot" or "weak power" while that is less than 1, else "".
    """

    def __init__(self, read: Callable[[], Heat] = read_heat, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = STEPS[0]
        self.reason = ""
        self._read = read
        self._clock = clock
        self._look_at = self._down_at = float("-inf")  # not before
        self._up_at: float | None = None  # None while it isn't cool

    def update(self) -> None:
        """Looks how hot it is, if it is time to; to be called often."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK
        heat = self._read()
        if heat.slows:
            self._up_at = None
            if now >= self._down_at:
                self._down_at = now + _DOWN
                self._step(1, heat.reason)
        elif (heat.temperature or 0.0) >= _COOL:
            self._up_at = None
        elif self._up_at is None:
            self._up_at = now + _UP
        elif now >= self._up_at:
            self._up_at = now + _UP
            self._step(-1, self.reason)

    def _step(self, steps: int, reason: str) -> None:
        place = min(len(STEPS) - 1, max(0, STEPS.index(self.share) + steps))
        self.share = STEPS[place]
        self.reason = reason if place else ""
