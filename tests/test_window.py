"""The window on a real X server: real keys in, screenshots out. OpenCV's GUI lives in child processes only."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Iterator

import numpy as np
import pytest
from desktop import (
    PATIENCE,
    SCREEN,
    environment,
    managed_desktop,
    needs_desktop,
    screenshot,
    wait_for,
    x_server,
)

TITLE = "window test"
pytestmark = needs_desktop

# Shows a picture, red on the left and blue on the right, and prints the keys.
SHOW = """
import sys, time
import numpy as np
from sinks.display import find_display
from sinks.window import Window

width, height, fullscreen = map(int, sys.argv[1:])
display = find_display()
if display.name is None:
    sys.exit(display.reason)
picture = np.zeros((height, width, 3), np.uint8)
picture[:, : width // 2] = 0, 0, 255
picture[:, width // 2 :] = 255, 0, 0
window = Window("window test", bool(fullscreen), display.screen)
assert window.poll() is None
key = None
while key != "quit":
    window.show(picture)
    key = window.poll()
    if key == "f":
        window.toggle_fullscreen()
    if key:
        print(key, flush=True)
    time.sleep(0.01)
for _ in range(10):  # a program may show what it has before it obeys
    window.write(picture, 0.0, [])
assert window.poll() in (None, "quit")
sys.stdin.readline()
window.close()
window.close()
print("closed", flush=True)
sys.stdin.readline()
"""

# Prints what was found, and proves by a window that it can be used.
FIND = """
import os, sys
from pathlib import Path
import cv2
from sinks import display
display.X11_SOCKETS, display._TIMEOUT = Path(sys.argv[1]), float(sys.argv[2])
found = display.find_display()
print(found.name, found.reason, found.screen, os.environ.get("XAUTHORITY"), sep="|")
if found.name:
    cv2.namedWindow("x")
    cv2.waitKeyEx(50)
"""


@pytest.fixture(scope="module")
def desktop() -> Iterator[str]:
    with managed_desktop() as name:
        yield name


class Viewer:
    """A child process that shows the two-coloured picture, and the user in front of it."""

    def __init__(self, desktop: str, width: int, height: int, fullscreen: bool = False) -> None:
        self.environment = environment(DISPLAY=desktop)
        self._command = [sys.executable, "-c", SHOW, str(width), str(height), str(int(fullscreen))]
        self._lines: Queue[str] = Queue()

    def __enter__(self) -> Viewer:
        try:
            return self._start()
        except AssertionError:
            warnings.warn("a window stayed blank, which Qt is known to do, but rarely: see Window", stacklevel=2)
            return self._start()

    def _start(self) -> Viewer:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(self._command, env=self.environment, **pipes)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        try:
            self.window = wait_for(self.windows, "the window appears")[0]
            wait_for(lambda: red(self.screenshot()).any(), "the picture appears")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def _read(self, process: subprocess.Popen) -> None:
        for line in process.stdout:
            self._lines.put(line.strip())

    def line(self) -> str:
        """Returns the next line that the program prints."""
        try:
            return self._lines.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError("nothing was printed") from None

    def silent(self) -> bool:
        return self._lines.empty()

    def tell(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def xdotool(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["xdotool", *arguments], env=self.environment, capture_output=True, text=True)

    def windows(self) -> list[str]:
        return self.xdotool("search", "--onlyvisible", "--name", TITLE).stdout.split()

    def press(self, key: str) -> None:
        self.xdotool("windowfocus", "--sync", self.window)
        assert self.xdotool("key", key).returncode == 0

    def screenshot(self) -> np.ndarray:
        return screenshot(self.environment)


def red(shot: np.ndarray) -> np.ndarray:
    return (shot == (0, 0, 255)).all(axis=2)


def blue(shot: np.ndarray) -> np.ndarray:
    return (shot == (255, 0, 0)).all(axis=2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Returns left, top, width and height of what is marked, which must fill that rectangle."""
    y, x = np.nonzero(mask)
    left, top, width, height = x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1
    assert mask[top : top + height, left : left + width].all()
    return left, top, width, height


def red_is(viewer: Viewer, size: tuple[float, float]) -> bool:
    """Whether the red half has this width and height, but for where the colours mix."""
    y, x = np.nonzero(red(viewer.screenshot()))
    return len(x) > 0 and np.allclose((np.ptp(x) + 1, np.ptp(y) + 1), size, atol=3)


@pytest.mark.parametrize("picture, shown", [((640, 480), (640, 480)), ((160, 120), (640, 480)), ((200, 400), None)])
def test_a_picture_is_shown_whole_and_large_enough(desktop, picture, shown):
    with Viewer(desktop, *picture) as viewer:
        shot = viewer.screenshot()
        left, top, width, height = extent(red(shot))
        blue_left, blue_top, blue_width, blue_height = extent(blue(shot))
        if shown:
            assert (width + blue_width, height) == pytest.approx(shown, abs=8)  # the colours mix where they meet
        assert (blue_top, blue_height) == (top, height) and blue_left - left - width <= 8
        assert (blue_left + blue_width - left) / height == pytest.approx(picture[0] / picture[1], rel=0.02)


def test_a_large_picture_is_shrunk_to_the_screen(desktop):
    with Viewer(desktop, 1920, 1080) as viewer:
        shot = viewer.screenshot()
        left, top, _, height = extent(red(shot))
        right = sum(extent(blue(shot))[::2])
        assert 0 < left and right < SCREEN[0] and 0 < top and top + height < SCREEN[1]
        assert right - left > SCREEN[0] * 0.7
        assert (right - left) / height == pytest.approx(16 / 9, rel=0.02)


def test_keys(desktop):
    with Viewer(desktop, 320, 240) as viewer:
        for pressed, printed in [("space", "space"), ("r", "r"), ("s", "s"), ("h", "h"), ("R", "r"), ("H", "h")]:
            viewer.press(pressed)
            assert viewer.line() == printed
        # An arrow's code ends in that of a letter: Left in Q, Right in S.
        for pressed in ("Left", "Up", "Right", "F5", "x", "Shift_L", "Return"):
            viewer.press(pressed)
            time.sleep(0.1)
        viewer.press("s")
        assert viewer.line() == "s"
        assert viewer.silent()


@pytest.mark.parametrize("key", ["q", "Escape", "Q"])
def test_quit_keys(desktop, key):
    with Viewer(desktop, 320, 240) as viewer:
        viewer.press(key)
        assert viewer.line() == "quit"


def test_caps_lock_makes_no_difference(desktop):
    with Viewer(desktop, 320, 240) as viewer:
        viewer.press("Caps_Lock")
        try:
            time.sleep(0.1)
            viewer.press("r")
            assert viewer.line() == "r"
        finally:
            viewer.press("Caps_Lock")


def test_closing_the_window_quits_and_it_stays_closed(desktop):
    with Viewer(desktop, 320, 240) as viewer:
        viewer.press("alt+F4")  # the same message from the window manager as the X in the title bar
        assert viewer.line() == "quit"
        time.sleep(0.5)  # while the program goes on showing pictures
        assert not viewer.windows(), "the window has come back"
        viewer.tell()
        assert viewer.line() == "closed"
        assert not viewer.windows() and not red(viewer.screenshot()).any()
        viewer.tell()
        assert viewer.process.wait(PATIENCE) == 0


def test_the_program_closes_the_window(desktop):
    with Viewer(desktop, 320, 240) as viewer:
        viewer.press("q")
        assert viewer.line() == "quit"
        assert viewer.windows()
        viewer.tell()
        assert viewer.line() == "closed"
        wait_for(lambda: not red(viewer.screenshot()).any(), "the window disappears")
        assert not viewer.windows()
        viewer.tell()
        assert viewer.process.wait(PATIENCE) == 0


def covers_the_screen(shot: np.ndarray, picture: tuple[int, int]) -> bool:
    """Whether the picture is as large as the screen allows, in the middle of nothing but black."""
    scale = min(SCREEN[0] / picture[0], SCREEN[1] / picture[1])
    width, height = picture[0] * scale, picture[1] * scale
    left, top = (SCREEN[0] - width) / 2, (SCREEN[1] - height) / 2
    x, y = np.meshgrid(np.arange(SCREEN[0]) + 0.5, np.arange(SCREEN[1]) + 0.5)
    outside = np.maximum(abs(x - SCREEN[0] / 2) - width / 2, abs(y - SCREEN[1] / 2) - height / 2)
    seam = abs(x - left - width / 2) < scale + 2  # where the colours mix
    expected = np.where((x < SCREEN[0] / 2)[..., None], (0, 0, 255), (255, 0, 0))
    expected[outside > 0] = 0
    judged = ~seam & (abs(outside) > 2)
    assert top >= 0 and left >= 0 and judged.mean() > 0.8
    return bool((shot == expected).all(axis=2)[judged].all())


@pytest.mark.parametrize("picture", [(640, 480), (160, 120), (1280, 720), (90, 160)])
def test_full_screen_and_back(desktop, picture):
    with Viewer(desktop, *picture) as viewer:
        before = extent(red(viewer.screenshot()))[2:]
        viewer.press("f")
        assert viewer.line() == "f"
        wait_for(lambda: covers_the_screen(viewer.screenshot(), picture), "the picture fills the screen")
        viewer.press("f")
        assert viewer.line() == "f"
        wait_for(lambda: not covers_the_screen(viewer.screenshot(), picture), "the window comes back")
        wait_for(partial(red_is, viewer, before), "the window has its size again")


def test_the_picture_follows_the_windows_size(desktop):
    with Viewer(desktop, 640, 480) as viewer:
        for width, height in [(400, 300), (800, 520), (300, 500)]:
            viewer.xdotool("windowsize", viewer.window, str(width), str(height))
            scale = min(width / 640, height / 480)
            expected = 320 * scale, 480 * scale
            wait_for(partial(red_is, viewer, expected), "the picture fills the window")


def test_full_screen_from_the_start(desktop):
    with Viewer(desktop, 320, 240, fullscreen=True) as viewer:
        wait_for(lambda: covers_the_screen(viewer.screenshot(), (320, 240)), "the picture fills the screen")
        viewer.press("Escape")
        assert viewer.line() == "quit"


# Finding the display.


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    """Stands for the folder with the sockets of the local X servers, so that other servers don't disturb."""
    folder = tmp_path / "sockets"
    folder.mkdir()
    return folder


def find(sockets: Path, timeout: float = 5, **changes: str) -> list[str]:
    """Returns name, reason, screen and XAUTHORITY as the child process found them."""
    home = {"HOME": str(sockets.parent)}
    child = subprocess.run(
        [sys.executable, "-c", FIND, str(sockets), str(timeout)],
        env=environment(**{**home, **changes}),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )
    assert child.returncode == 0, child.stderr
    assert not child.stderr, "Qt or the X library wrote what a user can do nothing about"
    return child.stdout.strip().split("|")


def authority_file(path: Path, key: bytes) -> Path:
    """Writes an X authority file that fits every display: family "wild", no address, no number, name, key."""
    name = b"MIT-MAGIC-COOKIE-1"
    fields = b"".join(struct.pack(">H", len(field)) + field for field in (b"", b"", name, key))
    path.write_bytes(b"\xff\xff" + fields)
    return path


def test_display_that_is_set(desktop, sockets):
    assert find(sockets, DISPLAY=desktop)[:3] == [desktop, "set by DISPLAY", str(SCREEN)]


@pytest.mark.parametrize("given", [{}, {"DISPLAY": ""}, {"DISPLAY": ":54321"}, {"DISPLAY": "nonsense"}], ids=str)
def test_attached_monitor_is_found_without_display(desktop, sockets, given):
    (sockets / desktop.replace(":", "X")).touch()
    assert find(sockets, **given)[:3] == [desktop, "attached monitor", str(SCREEN)]


def test_attached_monitor_is_found_behind_a_dead_server(desktop, sockets):
    number = int(desktop[1:])
    for name in ("X54321", f"X{number}", "X-lock", "Xsomething"):
        (sockets / name).touch()
    assert find(sockets)[0] == desktop


def test_wayland_session_is_reached_through_its_x_server(desktop, sockets):
    session = {"WAYLAND_DISPLAY": "wayland-0", "XDG_SESSION_TYPE": "wayland", "QT_QPA_PLATFORM": "wayland"}
    assert find(sockets, DISPLAY=desktop, **session)[0] == desktop


def test_no_display_at_all(sockets):
    assert find(sockets)[:2] == ["None", "DISPLAY isn't set and no desktop is running here"]
    (sockets / "X54321").touch()
    assert find(sockets)[:2] == ["None", "display :54321 doesn't answer"]


def test_server_that_hangs_is_given_up(desktop, sockets):
    (sockets / desktop.replace(":", "X")).touch()
    with socket.socket() as listener:
        with contextlib.ExitStack() as stack:
            for port in range(6000 + 200, 6000 + 300):  # TCP port 6000 + n is display n
                with contextlib.suppress(OSError):
                    listener.bind(("127.0.0.1", port))
                    break
            listener.listen()
            stack.callback(listener.close)
            assert find(sockets, timeout=1, DISPLAY=f"127.0.0.1:{port - 6000}")[0] == desktop


def test_authority_is_found_where_the_server_was_started_with_it(sockets, tmp_path):
    key = authority_file(tmp_path / "key", bytes(range(16)))
    wrong = authority_file(tmp_path / "wrong", bytes(16))
    with x_server("-auth", str(key)) as name:
        (sockets / name.replace(":", "X")).touch()
        assert find(sockets, DISPLAY=name, XAUTHORITY=str(key)) == [name, "set by DISPLAY", str(SCREEN), str(key)]
        assert find(sockets, XAUTHORITY=str(wrong)) == [name, "attached monitor", str(SCREEN), str(key)]
        assert find(sockets)[3] == str(key)


def test_authority_in_the_home_folder(sockets, tmp_path):
    key = authority_file(tmp_path / "key", bytes(range(16)))
    with x_server("-auth", str(key)) as name:
        key.rename(tmp_path / ".Xauthority")
        assert find(sockets, DISPLAY=name)[0] == name


def test_server_that_refuses_this_user(sockets, tmp_path):
    authority_file(tmp_path / "key", bytes(range(16)))
    # A name that says nothing to a program in another folder, so that not even root finds the key.
    with x_server("-auth", "key", folder=tmp_path) as name:
        assert find(sockets, DISPLAY=name)[:2] == ["None", f"display {name} refuses this user"]


def test_headless_opencv_is_recognised(desktop, sockets):
    swap = "import cv2; text = cv2.getBuildInformation().replace('QT5', 'NONE'); cv2.getBuildInformation = lambda: text"
    command = [sys.executable, "-c", swap + FIND, str(sockets), "5"]
    child = subprocess.run(command, env=environment(DISPLAY=desktop), capture_output=True, text=True)
    assert child.stdout.startswith("None|this OpenCV has no windows")


def test_without_display_the_program_lives_where_a_bare_window_aborts(tmp_path):
    nowhere = environment(DISPLAY=":54321", HOME=str(tmp_path))
    bare = subprocess.run([sys.executable, "-c", "import cv2; cv2.namedWindow('x')"], env=nowhere, capture_output=True)
    assert bare.returncode == -signal.SIGABRT
    (tmp_path / "sockets").mkdir()
    assert find(tmp_path / "sockets", DISPLAY=":54321")[:2] == ["None", "display :54321 doesn't answer"]
