"""Hides the mouse pointer over a window, which OpenCV can't."""

from __future__ import annotations

import ctypes

from sinks.x11 import Connection


class HiddenCursor:
    """Gives one window an invisible mouse pointer. Everywhere else it stays: XFixesHideCursor would hide it there, too.

    Args:
        title: The window's.

    Raises:
        OSError: There is no X display, or its library is missing.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._connection = Connection()
        self._window: ctypes.c_ulong | None = None
        self._cursor = self._make_invisible()

    def update(self) -> None:
        """Hides it, to be called over and over.

        A window that was just made takes a moment to reach the X server, and Qt puts its own pointer back whenever the
        mouse enters the window.
        """
        xlib, display = self._connection.xlib, self._connection.display
        if self._window is None:
            self._window = self._connection.find_window(self._title)
        if self._window is not None:
            xlib.XDefineCursor(display, self._window, self._cursor)
            xlib.XFlush(display)

    def close(self) -> None:
        """Shows it again; may be called twice."""
        if self._window is not None:
            self._connection.xlib.XUndefineCursor(self._connection.display, self._window)
            self._window = None
        self._connection.close()

    def _make_invisible(self) -> ctypes.c_ulong:
        """Returns a pointer whose shape and mask have no pixel set."""
        xlib, display = self._connection.xlib, self._connection.display
        xlib.XCreateBitmapFromData.restype = xlib.XCreatePixmapCursor.restype = ctypes.c_ulong
        root = ctypes.c_ulong(xlib.XDefaultRootWindow(display))
        empty = ctypes.c_ulong(xlib.XCreateBitmapFromData(display, root, b"\0", 1, 1))
        colour = ctypes.create_string_buffer(16)  # the size of an XColor
        return ctypes.c_ulong(xlib.XCreatePixmapCursor(display, empty, empty, colour, colour, 0, 0))
