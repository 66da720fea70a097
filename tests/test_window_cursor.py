"""Is the mouse pointer out of the way in full screen? Looked up in the X server's memory, where it is drawn."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest
from desktop import PATIENCE, SCREEN, environment, needs_desktop, running, wait_for, x_server

pytestmark = needs_desktop

RED = (0, 0, 255)
TITLE = "^cursor test$"

# Shows red; each letter of a line is a turn: f toggles full screen, c closes the window.
SHOW = """
import os, sys, time
import numpy as np
from sinks.display import find_display
from sinks.window import Window

window = Window("cursor test", False, find_display().screen)
red = np.full((600, 1000, 3), (0, 0, 255), np.uint8)
os.set_blocking(sys.stdin.fileno(), False)
while True:
    window.show(red)
    window.poll()
    order = sys.stdin.read(1)
    if order == "f":
        window.toggle_fullscreen()
    elif order == "c":
        window.close()
    time.sleep(0.01)
"""


class Desktop:
    """An X server whose screen can be looked at as a monitor shows it, and the mouse on it."""

    def __init__(self, display: str, memory: Path) -> None:
        self.environment = environment(DISPLAY=display)
        self._memory = memory

    def xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.environment, check=True)

    def move_mouse(self, x: int, y: int) -> None:
        self.xdotool("mousemove", str(x), str(y))

    def screen(self) -> np.ndarray:
        """Returns the pixels, uint8 [H, W, 3] BGR; the file is an X window dump, whose header gives the layout."""
        data = np.fromfile(self._memory, np.uint8)
        header = data[:100].view(">u4")
        size, width, height, stride, colours = (int(header[field]) for field in (0, 4, 5, 12, 19))
        pixels = data[size + 12 * colours :][: height * stride].reshape(height, stride)
        return pixels[:, : 4 * width].reshape(height, width, 4)[..., :3]

    def red(self) -> np.ndarray:
        return (self.screen() == RED).all(axis=2)

    def is_all_red(self) -> bool:
        return bool(self.red().all())

    def shows_cursor_in_window(self) -> bool:
        """Whether something small in a window with a frame isn't red."""
        y, x = SCREEN[1] // 2, SCREEN[0] // 2
        near, corner = self.red()[y - 30 : y + 30, x - 30 : x + 30], self.red()[:30, :30]
        return not corner.any() and 0.5 < near.mean() < 1

    def shows_cursor_alone(self) -> bool:
        """Whether there is nothing but something small on the empty desktop, where the mouse is."""
        screen = self.screen()
        y, x = np.nonzero((screen != screen[0, 0]).any(axis=2))
        return 0 < len(x) and abs(x - SCREEN[0] // 2).max() < 30 > abs(y - SCREEN[1] // 2).max()


@pytest.fixture(scope="module")
def desktop(tmp_path_factory) -> Iterator[Desktop]:
    folder = tmp_path_factory.mktemp("screen")
    with x_server("-fbdir", str(folder)) as name:
        with running(["openbox"], env=environment(DISPLAY=name), stderr=subprocess.DEVNULL):
            desktop = Desktop(name, folder / "Xvfb_screen0")
            desktop.move_mouse(SCREEN[0] // 2, SCREEN[1] // 2)
            yield desktop


@pytest.fixture
def viewer(desktop) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", SHOW]
    with running(command, env=desktop.environment, stdin=subprocess.PIPE, text=True) as process:
        try:
            wait_for(desktop.shows_cursor_in_window, "a window with the pointer over it")
        except AssertionError:  # on a busy machine a new window may stay blank, see Window
            desktop.xdotool("search", "--name", TITLE, "windowminimize", "--sync", "windowmap", "--sync")
            wait_for(desktop.shows_cursor_in_window, "a window with the pointer over it")
        yield process


def tell(process: subprocess.Popen, order: str) -> None:
    process.stdin.write(order)
    process.stdin.flush()


def test_the_pointer_is_hidden_in_full_screen_and_comes_back(desktop, viewer):
    for _ in range(2):
        tell(viewer, "f")
        wait_for(desktop.is_all_red, "full screen without a pointer")
        desktop.move_mouse(SCREEN[0] // 2 + 1, SCREEN[1] // 2 + 1)
        assert desktop.is_all_red(), "it comes back when it moves"
        tell(viewer, "f")
        wait_for(desktop.shows_cursor_in_window, "a window again, and the pointer")


def test_the_pointer_stays_over_everything_else(desktop, viewer):
    tell(viewer, "f")
    wait_for(desktop.is_all_red, "full screen without a pointer")
    desktop.xdotool("search", "--name", TITLE, "windowminimize")
    wait_for(desktop.shows_cursor_alone, "the desktop with the pointer on it")
    desktop.xdotool("search", "--name", TITLE, "windowactivate")
    wait_for(desktop.is_all_red, "full screen again, without a pointer")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_the_pointer_is_back_after_a_violent_end(desktop, viewer, how):
    tell(viewer, "f")
    wait_for(desktop.is_all_red, "full screen without a pointer")
    viewer.send_signal(how)
    viewer.wait(PATIENCE)
    wait_for(desktop.shows_cursor_alone, "the desktop with the pointer on it")
