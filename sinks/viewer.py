"""Chooses where to show the picture: a window on a desktop, the screen of a console, or nowhere."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from errors import OutputError
from sinks.display import desktop_is_running, find_display
from sinks.screen import Screen
from sinks.window import Window

CHOICES = ("auto", "window", "screen", "none")


class Viewer(Protocol):
    """What Window and Screen both offer. Main thread only."""

    def show(self, picture: np.ndarray) -> None:
        """Shows a picture, uint8 [H, W, 3] BGR.

        Raises:
            OutputError: It can't be shown any more.
        """

    def poll(self) -> str | None:
        """Returns the key that was pressed, see Window.poll(); None without one."""

    def toggle_fullscreen(self) -> None:
        """Fills the screen, or goes back to a window."""

    def close(self) -> None:
        """Makes the picture disappear; may be called twice."""


def open_viewer(choice: str, title: str, fullscreen: bool) -> tuple[Viewer | None, str]:
    """Opens what --display asks for; "auto" takes the first that works of window, screen and none.

    Args:
        choice: One of CHOICES.
        title: Stands above the window.
        fullscreen: Whether the window starts covering the whole screen.

    Returns:
        What shows the picture, or None; and which it is and why, as a part of a line.

    Raises:
        OutputError: The one that is asked for doesn't work.
    """
    reasons = []
    if choice in ("auto", "window"):
        display = find_display()
        if display.name is not None:
            return Window(title, fullscreen, display.screen), f"window on {display.name} ({display.reason})"
        reasons.append(f"no window: {display.reason}")
    # A desktop would hide what we put on the console's screen.
    if choice == "screen" or (choice == "auto" and not desktop_is_running()):
        try:
            screen = Screen()
            size = f"{screen.width}x{screen.height}"
            return screen, "; ".join([f"console screen {screen.name}, {size}", *reasons])
        except OutputError as error:
            reasons.append(f"no console screen: {error}")
    if choice in ("window", "screen"):
        raise OutputError(f"{reasons[0]}; use --display none to run without")
    return None, "; ".join(["none", *reasons])
