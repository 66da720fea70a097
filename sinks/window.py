"""Shows pictures in a window and hands over the keys that are pressed in it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Sequence

import cv2
import numpy as np

from sinks.cursor import HiddenCursor
from utils import fit_frame

if TYPE_CHECKING:
    from video_classifier import Prediction

_KEYS = {"q": "quit", "\x1b": "quit", " ": "space", **{letter: letter for letter in "dfhnprst"}}
_SMALLEST_HEIGHT = 480  # pixels; smaller pictures are enlarged to be readable at arm's length
_SCREEN_SHARE = 0.85  # leaves room for the desktop's panel and the window's title
_USUAL_SCREEN = (1280, 720)
# These versions never draw a picture larger than its own pixels (opencv/opencv issue 26761, mended in 4.12), so that
# a window that grows is only noticed while its picture is as large as the screen.
_NEVER_ENLARGES = cv2.__version__.startswith(("4.10.", "4.11."))
_SETTLING = 10  # pictures until the desktop has moved or resized a window


class Window:
    """A window on the screen; it appears with the first picture. For the main thread only, after find_display().

    In full screen the mouse pointer is hidden over it.

    On a very busy machine about one new window in 200 stays blank, though it takes keys: Qt has missed the X server's
    word that it appeared. Nothing that OpenCV offers mends that; minimizing and restoring the window does.

    Args:
        title: Stands above the picture.
        fullscreen: Whether it starts covering the whole screen.
        screen: Width and height of the screen in pixels; None if not known.
    """

    def __init__(self, title: str, fullscreen: bool = False, screen: tuple[int, int] | None = None) -> None:
        self._title = title
        self._fullscreen = fullscreen
        self._screen = screen or _USUAL_SCREEN
        self._open = False
        self._closed = False
        self._rectangle: Sequence[int] = ()
        self._settling = 0
        self._cursor: HiddenCursor | None = None

    def show(self, picture: np.ndarray) -> None:
        """Shows a picture, uint8 [H, W, 3] BGR, as large as the window lets it be, between black bars.

        Does nothing once the window has been closed.
        """
        if self._closed:
            return
        if self._open:
            width, height = self._size()
        else:
            width, height = initial_size(picture.shape[1], picture.shape[0], self._screen)
            self._create(width, height)
        # Left to itself, Qt fills up with light grey.
        cv2.imshow(self._title, fit_frame(picture, height, width, "pad"))

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Shows the picture: the window is a sink like any other."""
        self.show(picture)

    def poll(self) -> str | None:
        """Lets the window react, for a few milliseconds, and returns what the user wants.

        Returns:
            "quit" for q, Esc, and from the moment that the window is closed; "space", or one of the letters d, f, h, n,
            p, r and s; None without a key of these. Capitals count the same. Of keys pressed within a millisecond only
            the last counts.
        """
        if not self._open:
            return "quit" if self._closed else None
        code = cv2.waitKeyEx(1)
        if not self._visible():
            self._open, self._closed = False, True
            self._show_cursor()
            return "quit"
        if self._cursor is not None:
            self._cursor.update()
        # The low 16 bits are the key, with arrows and the like above 255; GTK puts modifiers like Num Lock above them.
        return _KEYS.get(chr(code & 0xFFFF).lower()) if code >= 0 else None

    def toggle_fullscreen(self) -> None:
        """Covers the whole screen, or goes back to the window."""
        self._fullscreen = not self._fullscreen
        if self._open:
            self._set_fullscreen()

    def close(self) -> None:
        """Makes the window disappear; may be called twice."""
        self._show_cursor()
        if self._open:
            cv2.destroyWindow(self._title)
            cv2.waitKeyEx(1)  # it disappears when its events are handled
        self._open, self._closed = False, True

    def _create(self, width: int, height: int) -> None:
        # Free ratio, because show() keeps the picture's, and whole pixels never match it quite.
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(self._title, width, height)
        self._open = True
        if self._fullscreen:
            self._set_fullscreen()

    def _size(self) -> tuple[int, int]:
        """Returns the width and height in pixels of the picture that fills the window."""
        rectangle = cv2.getWindowImageRect(self._title)
        width, height = max(1, rectangle[2]), max(1, rectangle[3])
        if rectangle != self._rectangle:
            self._rectangle, self._settling = rectangle, _SETTLING
        if not _NEVER_ENLARGES or not self._settling:
            return width, height
        self._settling -= 1
        scale = max(self._screen[0] / width, self._screen[1] / height)
        return round(width * scale), round(height * scale)

    def _set_fullscreen(self) -> None:
        self._settling = _SETTLING
        state = cv2.WINDOW_FULLSCREEN if self._fullscreen else cv2.WINDOW_NORMAL
        cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, state)

        self._show_cursor()
        if self._fullscreen:
            with contextlib.suppress(OSError):
                self._cursor = HiddenCursor(self._title)

    def _show_cursor(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
        self._cursor = None

    def _visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # OpenCV 5 has no answer once its last window is gone
            return False


def initial_size(width: int, height: int, screen: tuple[int, int]) -> tuple[int, int]:
    """Returns the width and height of a window for a picture: small ones enlarged, none larger than the screen."""
    scale = max(1.0, _SMALLEST_HEIGHT / height)
    scale = min(scale, _SCREEN_SHARE * screen[0] / width, _SCREEN_SHARE * screen[1] / height)
    return max(1, round(scale * width)), max(1, round(scale * height))
