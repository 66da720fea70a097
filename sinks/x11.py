"""A connection to the X server of our own, for what OpenCV's windows can't do by themselves.

The server undoes what was asked for on it when it ends, so that nothing stays behind a program that crashed or was
killed.
"""

from __future__ import annotations

import ctypes

_ERROR_HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


@_ERROR_HANDLER
def _ignore(display: int, event: int) -> int:
    """Stands in for Xlib's own handler, which ends the process: a window may be gone while we ask about it."""
    return 0


class Connection:
    """A connection to $DISPLAY, see find_display(). For one thread at a time.

    Attributes:
        xlib: The X library.
        display: What its functions take first.

    Raises:
        OSError: There is no such display, or the X library is missing.
    """

    def __init__(self) -> None:
        self.xlib = ctypes.CDLL("libX11.so.6")
        self.xlib.XOpenDisplay.restype = ctypes.c_void_p
        self.xlib.XDefaultRootWindow.restype = ctypes.c_ulong
        self.xlib.XSetErrorHandler(_ignore)
        self.display = ctypes.c_void_p(self.xlib.XOpenDisplay(None))
        if not self.display:
            raise ConnectionError("the X server doesn't answer")

    def find_window(self, title: str) -> ctypes.c_ulong | None:
        """Returns the first window of this title, or None; OpenCV doesn't tell the number of its windows."""
        return self._find(self.xlib.XDefaultRootWindow(self.display), title.encode())

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        if self.display:
            self.xlib.XCloseDisplay(self.display)
        self.display = ctypes.c_void_p()

    def _find(self, window: int, title: bytes) -> ctypes.c_ulong | None:
        """Looks from a window down, depth first."""
        if self._title(window) == title:
            return ctypes.c_ulong(window)
        found = (self._find(child, title) for child in self._children(window))
        return next(filter(None, found), None)

    def _title(self, window: int) -> bytes | None:
        name = ctypes.c_char_p()
        if not self.xlib.XFetchName(self.display, ctypes.c_ulong(window), ctypes.byref(name)):
            return None
        title = name.value
        self.xlib.XFree(name)
        return title

    def _children(self, window: int) -> list[int]:
        root, parent, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_uint()
        children = ctypes.POINTER(ctypes.c_ulong)()
        results = map(ctypes.byref, (root, parent, children, count))
        if not self.xlib.XQueryTree(self.display, ctypes.c_ulong(window), *results) or not children:
            return []
        numbers = children[: count.value]
        self.xlib.XFree(children)
        return numbers
