"""Keeps the screen from going dark while the program runs."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
from typing import Iterator

from sinks.x11 import Connection

_PATIENCE = 2.0  # seconds for the lock's process to end


@contextlib.contextmanager
def keep_awake() -> Iterator[None]:
    """Prevents screen blanking within the context, as far as this system lets us; to be entered after find_display().

    On an X11 desktop the X server blanks the screen; it is asked to suspend that. On a Wayland desktop a program does
    that waits for the user to be idle, such as Raspberry Pi OS's swayidle or KDE's PowerDevil; these heed logind's idle
    lock, which `systemd-inhibit --list` shows. Where the compositor itself does, as Wayfire and GNOME, only the wish of
    a Wayland window would count, and OpenCV's are X11's: there blanking must be switched off by hand.

    Whatever way the process ends, both end with it.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # no X server, or one without a screen saver
            stack.enter_context(_suspended_screen_saver())
        with contextlib.suppress(OSError):  # no systemd
            stack.enter_context(_idle_lock())
        yield


@contextlib.contextmanager
def _suspended_screen_saver() -> Iterator[None]:
    """Stops the X server's timers for its screen saver and for the monitor's power saving."""
    xss = ctypes.CDLL("libXss.so.1")
    with contextlib.closing(Connection()) as connection:
        first_event, first_error = ctypes.c_int(), ctypes.c_int()
        if not xss.XScreenSaverQueryExtension(connection.display, ctypes.byref(first_event), ctypes.byref(first_error)):
            raise OSError("this X server has no screen saver")
        xss.XScreenSaverSuspend(connection.display, True)
        connection.xlib.XSync(connection.display, False)
        yield


@contextlib.contextmanager
def _idle_lock() -> Iterator[None]:
    """Holds logind's lock against idling. Its holder is a child, which ends when our end of its pipe is closed."""
    holder = subprocess.Popen(
        ["systemd-inhibit", "--what=idle", "--who=classify.py", "--why=shows a camera", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is for us
    )
    assert holder.stdin is not None
    try:
        yield
    finally:
        holder.stdin.close()
        try:
            holder.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait()
