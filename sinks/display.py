"""Finds the screen for the window before the GUI toolkit is asked for one: Qt aborts the process if there is none.

Run as a script, this file is the probe of one display, see _connect(): a child process can be left behind when an X
server hangs, and keeps to itself what the X library writes on stderr.
"""

from __future__ import annotations

import ctypes
import glob
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

X11_SOCKETS = Path("/tmp/.X11-unix")  # the local X server :n listens at Xn

_TIMEOUT = 5.0  # seconds; a Wayland desktop may start its X server only now, at the first connection
_MISSING_LIBRARY = 2  # exit status of the probe
_AUTHORITIES = (
    "~/.Xauthority",
    "/run/user/*/gdm/Xauthority",
    "/run/user/*/.mutter-Xwaylandauth.*",
    "/run/user/*/xauth_*",
    "/run/lightdm/*/xauthority",
    "/run/lightdm/root/:*",
)
_WAYLAND_SOCKETS = "/run/user/*/wayland-*"
_FONTS = ("/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype", "/usr/share/fonts", "/usr/share")


@dataclass(frozen=True)
class Display:
    """Where a window can be put.

    Attributes:
        name: The X display, ":0"; None if there's no usable one.
        reason: Why there's none; else how it was found: "set by DISPLAY" or "attached monitor". A part of a line.
        screen: Its width and height in pixels; None if not known.
    """

    name: str | None
    reason: str
    screen: tuple[int, int] | None = None


def find_display() -> Display:
    """Finds an X display that accepts this user, and sets the environment of this process up for it.

    First $DISPLAY is tried, then every X server of this machine, so that a program started over ssh shows its window
    on the attached monitor. Wayland desktops are reached through their X server (Xwayland), since OpenCV's wheels can
    talk to nothing else. A display that refuses this user is tried again with each authority file that a desktop may
    have left.

    Must be called before the first window is made. Changes DISPLAY, XAUTHORITY and Qt's variables in os.environ, but
    only if a display is found. Takes about 50 ms a display, 5 s for one that hangs.
    """
    import cv2  # here, since the probe runs this file too and should start fast

    if re.search(r"GUI:\s+NONE", cv2.getBuildInformation()):
        return Display(None, "this OpenCV has no windows; install opencv-python in place of opencv-python-headless")
    plugin = Path(cv2.__file__).parent / "qt/plugins/platforms/libqxcb.so"
    given = os.environ.get("DISPLAY")
    failures = []
    for name in dict.fromkeys(([given] if given else []) + _local_servers()):
        try:
            settings, screen = _try_authorities(name, plugin)
        except ImportError as error:
            return Display(None, f"{error} is missing, which a window needs; ./setup.sh installs it")
        except OSError as error:
            failures.append(f"display {name} {error}")
            continue
        # OpenCV's wheels hold only Qt's xcb plugin, and newer ones lack the fonts that they point Qt to.
        fonts = next(filter(os.path.isdir, _FONTS), "/")
        os.environ.update(settings, QT_QPA_PLATFORM="xcb", QT_QPA_FONTDIR=fonts)
        return Display(name, "set by DISPLAY" if name == given else "attached monitor", screen)
    return Display(None, ", ".join(failures) or "DISPLAY isn't set and no desktop is running here")


def desktop_is_running() -> bool:
    """Returns whether a desktop seems to run on this machine and to hold its screen, be it open to this user or not."""
    return bool(_local_servers() or glob.glob(_WAYLAND_SOCKETS))


def _local_servers() -> list[str]:
    numbers = (path.name[1:] for path in X11_SOCKETS.glob("X*"))
    return [f":{number}" for number in sorted(map(int, filter(str.isdecimal, numbers)))]


def _try_authorities(name: str, plugin: Path) -> tuple[dict[str, str], tuple[int, int] | None]:
    """Returns the environment variables with which a display opens, and its screen's size.

    Raises:
        OSError: It can't be used; the text says why and follows the display's name.
        ImportError: The library of this name is missing.
    """
    settings = {"DISPLAY": name}
    try:
        return settings, _probe(settings, plugin)
    except PermissionError as error:
        refusal = error
    for authority in _authorities():
        settings = {"DISPLAY": name, "XAUTHORITY": authority}
        try:
            return settings, _probe(settings, plugin)
        except PermissionError:
            continue
    raise refusal


def _authorities() -> Iterator[str]:
    """Yields readable files that may hold the key to a desktop's X server."""
    for pattern in _AUTHORITIES:
        yield from (path for path in sorted(glob.glob(os.path.expanduser(pattern))) if os.access(path, os.R_OK))
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            arguments = Path(path).read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended
            continue
        if os.path.basename(arguments[0]).startswith("X") and "-auth" in arguments[:-1]:
            authority = arguments[arguments.index("-auth") + 1]
            if os.access(authority, os.R_OK):
                yield authority


def _probe(settings: dict[str, str], plugin: Path) -> tuple[int, int] | None:
    """Connects to a display in a child process; returns the screen's width and height if they are known.

    Raises:
        PermissionError: The display wants another authority.
        OSError: The display can't be used for another reason.
        ImportError: The library of this name is missing.
    """
    command = [sys.executable, __file__, str(plugin)]
    try:
        child = subprocess.run(
            command, env={**os.environ, **settings}, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError("hangs") from None
    if child.returncode == _MISSING_LIBRARY:
        raise ImportError(child.stdout.strip())
    if child.returncode == 0:
        width, height = map(int, child.stdout.split())
        return (width, height) if width else None
    if re.search("authorization|protocol specified|cookie", child.stderr, re.IGNORECASE):  # what the server answered
        raise PermissionError("refuses this user")
    raise ConnectionError("doesn't answer")


class _ScreenIterator(ctypes.Structure):
    # The five 32-bit fields that stand before width and height in xcb_screen_t aren't needed.
    class Screen(ctypes.Structure):
        _fields_ = [("skipped", ctypes.c_uint32 * 5), ("width", ctypes.c_uint16), ("height", ctypes.c_uint16)]

    _fields_ = [("screen", ctypes.POINTER(Screen)), ("remaining", ctypes.c_int), ("index", ctypes.c_int)]


def _connect(plugin: Path) -> int:
    """Connects to $DISPLAY, prints the screen's width and height, and returns the exit status."""
    try:
        if plugin.exists():
            ctypes.CDLL(str(plugin))  # what Qt will load, and abort if it can't
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError as error:  # "libSM.so.6: cannot open shared object file: ..."
        print(str(error).split(":")[0])
        return _MISSING_LIBRARY
    xcb.xcb_connect.restype = xcb.xcb_get_setup.restype = ctypes.c_void_p
    xcb.xcb_setup_roots_iterator.restype = _ScreenIterator
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    if xcb.xcb_connection_has_error(connection):
        return 1
    screen = xcb.xcb_setup_roots_iterator(ctypes.c_void_p(xcb.xcb_get_setup(connection))).screen.contents
    print(screen.width, screen.height)
    return 0


if __name__ == "__main__":
    sys.exit(_connect(Path(sys.argv[1])))
