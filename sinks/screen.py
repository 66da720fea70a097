"""Shows pictures on the attached screen without a desktop, as on Raspberry Pi OS Lite."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import cv2
import numpy as np

from errors import OutputError
from utils import fit_frame

# Bits a pixel: what makes the kernel's usual layout of BGR. Both have blue in the lowest bits.
_CONVERSIONS = {16: cv2.COLOR_BGR2BGR565, 32: cv2.COLOR_BGR2BGRA}
_SHOW_TEXT_CURSOR, _HIDE_TEXT_CURSOR = b"\033[?25h", b"\033[?25l"


class Screen:
    """The whole screen of the text console, through the kernel's frame buffer: what is written there is shown.

    It needs no package and no desktop, only a user of the group video, and works from ssh and from a service. A
    desktop, if one runs, hides it. It takes no keys; Ctrl-C ends the program.

    Args:
        devices: The folder /dev.
        system: The folder /sys.

    Raises:
        OutputError: There is no such screen, or it can't be used; the text says why and what to do.
    """

    def __init__(self, devices: Path = Path("/dev"), system: Path = Path("/sys")) -> None:
        facts = _find_framebuffer(system)
        self.name = f"/dev/{facts.name}"
        try:
            self.width, self.height = map(int, (facts / "virtual_size").read_text().split(","))
            bits, stride = (int((facts / name).read_text()) for name in ("bits_per_pixel", "stride"))
        except (OSError, ValueError) as error:
            raise OutputError(f"can't tell the size of {self.name}: {error}") from None
        if bits not in _CONVERSIONS:
            raise OutputError(f"{self.name} has {bits} bits a pixel, not 16 or 32")
        self._conversion = _CONVERSIONS[bits]
        self._memory = np.zeros((self.height, stride), np.uint8)  # rows may be longer than their pixels
        self._pixels = self._memory[:, : self.width * bits // 8]
        try:
            self._file = os.open(devices / facts.name, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise OutputError(
                f"can't open {self.name}: {error.strerror}; your user must be in the group video: "
                "sudo usermod -aG video $USER, then log in again"
            ) from None
        self._console = devices / "console"
        with contextlib.suppress(OSError):
            self._console = devices / (system / "class/tty/tty0/active").read_text().strip()
        self._before = b""
        with contextlib.suppress(OSError):  # a driver that can only be written to
            self._before = os.pread(self._file, self._memory.nbytes, 0)
        self._write_console(_HIDE_TEXT_CURSOR)

    def show(self, picture: np.ndarray) -> None:
        """Shows a picture, uint8 [H, W, 3] BGR, as large as the screen lets it be, between black bars.

        Raises:
            OutputError: The screen is gone.
        """
        fitted = fit_frame(picture, self.height, self.width, "pad")
        self._pixels[:] = cv2.cvtColor(fitted, self._conversion).reshape(self.height, -1)
        try:
            os.pwrite(self._file, self._memory.data, 0)
        except OSError as error:
            raise OutputError(f"can't write to {self.name}: {error.strerror}") from None

    def poll(self) -> None:
        """Returns None: there are no keys."""

    def toggle_fullscreen(self) -> None:
        """Does nothing: it always fills the screen."""

    def close(self) -> None:
        """Leaves the screen as it was found; may be called twice."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            os.pwrite(self._file, self._before, 0)
        os.close(self._file)
        self._file = -1
        self._write_console(_SHOW_TEXT_CURSOR)

    def _write_console(self, text: bytes) -> None:
        # Only root and who has logged in on that console may, so that elsewhere its cursor blinks through the picture.
        with contextlib.suppress(OSError):
            file = os.open(self._console, os.O_WRONLY | os.O_NOCTTY)
            os.write(file, text)
            os.close(file)


def _find_framebuffer(system: Path) -> Path:
    """Returns the folder of facts on the first frame buffer.

    Raises:
        OutputError: There is none, or no monitor is connected.
    """
    found = sorted(system.glob("class/graphics/fb[0-9]*"))
    if not found:
        raise OutputError("no frame buffer (/dev/fb0); connect a monitor before the Raspberry Pi starts")
    # On a Pi "writeback" is no connector but memory. Without KMS, as with some small displays, there are none at all.
    states = [
        path.read_text().strip() for path in system.glob("class/drm/card*-*/status") if "Writeback" not in str(path)
    ]
    if states and all(state == "disconnected" for state in states):
        raise OutputError("no monitor is connected")
    return found[0]
