"""A desktop for the tests: a real X server without a screen, a window manager, and a camera pointed at it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCREEN = (1000, 600)
PATIENCE = 20  # seconds to wait for what should happen at once

_MISSING = [tool for tool in ("Xvfb", "openbox", "xdotool", "import") if not shutil.which(tool)]
needs_desktop = [
    pytest.mark.skipif(bool(_MISSING), reason=f"needs {', '.join(_MISSING)} (apt: xvfb openbox xdotool imagemagick)"),
    pytest.mark.skipif("GUI:                           NONE" in cv2.getBuildInformation(), reason="headless OpenCV"),
]


def environment(**changes: str) -> dict[str, str]:
    """Returns ours without the traces of a desktop, so that the tests run the same on one."""
    hidden = ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY")
    kept = {name: value for name, value in os.environ.items() if name not in hidden and not name.startswith("QT_")}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def wait_for(condition: Callable[[], object], what: str) -> object:
    """Waits until the condition is true; returns its value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen]:
    """Runs a command for as long as the context lasts."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def x_server(*arguments: str, folder: Path | None = None) -> Iterator[str]:
    """Starts an X server on a free number; yields its name."""
    # Left to choose the number, Xvfb takes no lock, and two that start at once share one.
    first = 100 + os.getpid() % 800
    screen = "{}x{}x24".format(*SCREEN)
    for number in range(first, first + 50):
        readable, writable = os.pipe()
        command = ["Xvfb", f":{number}", "-displayfd", str(writable), "-screen", "0", screen, "-noreset", *arguments]
        with running(command, pass_fds=[writable], stderr=subprocess.DEVNULL, cwd=folder):
            os.close(writable)
            with open(readable) as pipe:
                started = pipe.readline().strip()  # nothing if the number is taken
            if started:
                yield f":{started}"
                return
    raise AssertionError("Xvfb doesn't start")


@contextlib.contextmanager
def managed_desktop() -> Iterator[str]:
    """Starts an X server with a window manager, without which there's no full screen; yields its name."""
    with x_server() as name:
        with running(["openbox"], env=environment(DISPLAY=name), stderr=subprocess.DEVNULL):
            root = ["xdotool", "get_num_desktops"]  # answered once the window manager has set the root window up
            wait_for(
                lambda: subprocess.run(root, env=environment(DISPLAY=name), capture_output=True).returncode == 0,
                "openbox starts",
            )
            yield name


def screenshot(where: dict[str, str]) -> np.ndarray:
    """Returns what the screen shows, uint8 [H, W, 3] BGR."""
    command = ["import", "-silent", "-window", "root", "png:-"]
    png = subprocess.run(command, env=where, stdout=subprocess.PIPE, check=True).stdout
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
