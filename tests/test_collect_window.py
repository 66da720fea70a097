"""Collecting clips in a real window: what the user sees, and what the keys do."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import cv2
import pytest
from conftest import ROOT
from desktop import environment, managed_desktop, needs_desktop, screenshot, wait_for

pytestmark = needs_desktop

TITLE = "Collecting clips"
DEMO = ["--source", "demo", "--width", "320", "--height", "240", "--camera-fps", "10", "--no-background"]


@pytest.fixture(scope="module")
def desktop():
    with managed_desktop() as name:
        yield name


class Program:
    """The running program, and the user in front of its window."""

    def __init__(self, desktop, data, *flags):
        self.environment = environment(DISPLAY=desktop)
        self.data = data
        command = [sys.executable, str(ROOT / "train.py"), "collect", *DEMO, "--data", str(data), *flags]
        self.process = subprocess.Popen(
            command,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.window = wait_for(lambda: self.xdotool("search", "--onlyvisible", "--name", TITLE).split(), "a window")[0]

    def see(self, condition, what):
        """Waits until the screen shows something."""
        try:
            wait_for(lambda: condition(self.screenshot()), what)
        except AssertionError:  # on a busy machine a new window may stay blank, see Window
            self.xdotool("windowminimize", "--sync", self.window)
            self.xdotool("windowmap", "--sync", self.window)
            wait_for(lambda: condition(self.screenshot()), what)

    def press(self, key):
        self.xdotool("windowfocus", "--sync", self.window)
        self.xdotool("key", key)

    def xdotool(self, *arguments):
        return subprocess.run(["xdotool", *arguments], env=self.environment, capture_output=True, text=True).stdout

    def screenshot(self):
        return screenshot(self.environment)

    def clips(self, folder="a"):
        return sorted(path for path in (self.data / folder).glob("*") if not path.name.startswith("."))

    def end(self):
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, output, errors


@pytest.fixture
def start(desktop, tmp_path):
    programs = []

    def run(*flags):
        programs.append(Program(desktop, tmp_path / "clips", *flags))
        return programs[-1]

    yield run
    for program in programs:
        program.process.kill()
        program.process.communicate()


def red_lines(picture):
    """Returns how many columns and rows are red along more than half of the picture's sides: the border."""
    blue, green, red = (picture[..., channel].astype(int) for channel in range(3))
    is_red = (red > 200) & (green < 90) & (blue < 90)
    return min((is_red.mean(axis=0) > 0.5).sum(), (is_red.mean(axis=1) > 0.5).sum())


def white(picture):
    return int((picture > 240).all(axis=2).sum())


def large_number(picture):
    return white(picture) > 1500


def yellow(picture):
    blue, green, red = (picture[..., channel].astype(int) for channel in range(3))
    return int(((blue < 110) & (green > 190) & (red > 200)).sum())


def test_countdown_recording_replay_discard_and_quit(start):
    program = start(
        "--label", "a", "--label", "b", "--clips", "2", "--seconds", "2", "--countdown", "2", "--pause", "9"
    )
    program.see(white, "the picture")
    program.press("space")  # instead of the pause
    program.see(large_number, "the countdown")
    program.see(red_lines, "a red border")
    wait_for(program.clips, "the first clip")

    program.press("p")
    program.see(lambda picture: yellow(picture) > 100, "a replay")
    wait_for(lambda: not yellow(program.screenshot()), "its end")
    (clip,) = program.clips()
    content = clip.read_bytes()
    program.press("d")
    wait_for(lambda: not program.clips(), "it is moved away")
    assert (program.data / ".discarded" / "a" / clip.name).read_bytes() == content

    program.press("n")
    program.press("space")
    wait_for(lambda: program.clips("b"), "a clip of the other label")
    program.press("q")
    status, output, errors = program.end()

    assert status == 0
    assert "Traceback" not in errors
    assert output.count("1 clip") == 2  # of b, and the discarded one
    # What the camera saw: nothing that was drawn over it, at its size.
    capture = cv2.VideoCapture(str(program.clips("b")[0]))
    pictures = [picture for delivered, picture in iter(lambda: capture.read(), (False, None)) if delivered]
    assert pictures[0].shape == (240, 320, 3)
    assert not any(red_lines(picture) for picture in pictures)
    assert max(white(picture) for picture in pictures) < 600


def test_a_clip_that_somebody_else_has_removed_ends_nothing(start):
    program = start("--label", "a", "--clips", "1", "--seconds", "1", "--countdown", "1", "--pause", "60")
    program.see(white, "the picture")
    program.press("space")
    (clip,) = wait_for(program.clips, "the first clip")
    clip.unlink()
    program.press("d")
    (another,) = wait_for(program.clips, "a clip instead of it")
    assert another != clip
    program.press("q")
    status, output, errors = program.end()

    assert status == 0
    assert f"there is no clip {clip}" in errors and "Traceback" not in errors
    assert "1 clip" in output


def test_a_pause_lasts_until_space_is_pressed_and_the_clip_so_far_survives_the_closed_window(start):
    program = start("--label", "a", "--clips", "2", "--seconds", "30", "--countdown", "8", "--pause", "60")
    program.see(white, "the picture")
    program.press("space")
    program.see(large_number, "the countdown")  # of two keys at once Qt tells the program only the last
    counting = time.monotonic()
    program.press("space")
    program.see(lambda picture: not large_number(picture), "the pause")
    while time.monotonic() < counting + 9:
        assert not red_lines(program.screenshot())
        assert not list(program.data.rglob("*.mp4"))
    program.press("space")
    wait_for(lambda: any(os.path.getsize(path) > 3000 for path in program.data.rglob(".*.part.mp4")), "a second")
    program.press("alt+F4")  # what the X in the title bar says, too
    status, output, errors = program.end()

    assert status == 0
    assert len(program.clips()) == 1
    assert "1 clip" in output
    assert "Traceback" not in errors
