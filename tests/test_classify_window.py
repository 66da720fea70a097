"""The whole program in a real window: what a user sees, and what the keys do."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT
from desktop import environment, managed_desktop, needs_desktop, screenshot, wait_for

pytestmark = needs_desktop

RED = (0, 0, 255)
TITLE = "Action recognition"


@pytest.fixture(scope="module")
def desktop():
    with managed_desktop() as name:
        yield name


@pytest.fixture(scope="module")
def red_video(tmp_path_factory):
    """3 s of red at 30 fps, 320x240."""
    path = tmp_path_factory.mktemp("videos") / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (320, 240))
    for _ in range(90):
        writer.write(np.full((240, 320, 3), RED, np.uint8))
    writer.release()
    return path


class Program:
    """The running program, and the user in front of its window."""

    def __init__(self, desktop, command, folder):
        self.environment = environment(DISPLAY=desktop)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for_window(self):
        self.window = wait_for(lambda: self.xdotool("search", "--onlyvisible", "--name", TITLE).split(), "a window")[0]
        try:
            wait_for(lambda: is_red(self.screenshot()).any(), "the picture")
        except AssertionError:  # on a busy machine a new window may stay blank, see Window
            self.xdotool("windowminimize", "--sync", self.window)
            self.xdotool("windowmap", "--sync", self.window)
            wait_for(lambda: is_red(self.screenshot()).any(), "the picture")

    def press(self, key):
        self.xdotool("windowfocus", "--sync", self.window)
        self.xdotool("key", key)

    def xdotool(self, *arguments):
        return subprocess.run(["xdotool", *arguments], env=self.environment, capture_output=True, text=True).stdout

    def screenshot(self):
        return screenshot(self.environment)

    def end(self):
        """Waits for the end; returns exit status, standard output and standard error."""
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, output, errors


def is_red(picture):
    blue, green, red = (picture[..., channel].astype(int) for channel in range(3))
    return (red > 200) & (green < 60) & (blue < 60)


@pytest.fixture
def start(desktop, tiny_model, tiny_labels, red_video, tmp_path):
    """Starts the program on the red video; kills what a test leaves running."""
    programs = []

    def run(*flags):
        command = [sys.executable, str(ROOT / "classify.py"), "--model", str(tiny_model), "--labels", str(tiny_labels)]
        programs.append(Program(desktop, [*command, "--source", str(red_video), *flags], tmp_path))
        return programs[-1]

    yield run
    for program in programs:
        program.process.kill()
        program.process.communicate()


def predictions(text):
    return [json.loads(line) for line in text.splitlines()]


def essence(text):
    """What a prediction says, without when it was made and how long it took."""
    return [(line["timestamp"], line["step"], line["top"]) for line in predictions(text)]


def test_a_file_plays_in_real_time_and_gives_the_predictions_of_a_run_without_a_window(start):
    headless = start("--display", "none", "--jsonl", "-").end()[1]
    program = start("--jsonl", "-")
    program.wait_for_window()
    begun = time.monotonic()
    status, output, errors = program.end()

    assert status == 0
    assert "display: " in errors
    assert time.monotonic() - begun > 1  # of 3 s; the rest had gone by when the window was seen
    assert len(predictions(output)) == 15
    assert essence(output) == essence(headless)


def test_the_picture_and_the_labels_are_shown(start):
    program = start("--loop")
    program.wait_for_window()
    wait_for(lambda: (program.screenshot() > 200).all(axis=2).sum() > 100, "white text")

    picture = program.screenshot()
    seen = is_red(picture)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert rows[-1] - rows[0] > 300  # enlarged from 240 to a size that can be read
    assert columns[-1] - columns[0] > 400


def test_q_quits(start):
    program = start("--loop")
    program.wait_for_window()
    program.press("q")
    status, _, errors = program.end()

    assert status == 0
    assert "ended: " in errors


def test_space_pauses_and_goes_on(start, tmp_path):
    log = tmp_path / "log.jsonl"
    program = start("--loop", "--jsonl", str(log))
    program.wait_for_window()
    wait_for(lambda: log.exists() and len(steps_after(log, 0)) > 3, "some steps")
    program.press("space")

    def steps_of_a_second():
        before = len(steps_after(log, 0))
        time.sleep(1.0)
        return len(steps_after(log, 0)) - before

    wait_for(lambda: steps_of_a_second() == 0, "the pause")
    paused_at = len(steps_after(log, 0))
    program.press("space")
    wait_for(lambda: len(steps_after(log, 0)) > paused_at + 3, "more steps")
    times = [line["timestamp"] for line in predictions(log.read_text().rpartition("\n")[0])]

    # Nothing was left out, and nothing was hurried through afterwards.
    assert np.diff(times) == pytest.approx(0.2, abs=0.035)


def test_s_saves_what_is_shown_and_r_starts_anew(start, tmp_path):
    program = start("--loop", "--jsonl", "log.jsonl", "--snapshots", str(tmp_path / "pictures"))
    program.wait_for_window()
    program.press("s")
    saved = wait_for(lambda: list(tmp_path.glob("pictures/snapshot-*.jpg")), "the snapshot")[0]
    steps = [line["step"] for line in predictions((tmp_path / "log.jsonl").read_text())]
    program.press("r")
    wait_for(lambda: steps_after(tmp_path / "log.jsonl", len(steps)).count(1) == 1, "a first step")
    program.press("Escape")
    status = program.end()[0]

    picture = cv2.imread(str(saved))
    assert status == 0
    assert picture.shape == (240, 320, 3)
    assert is_red(picture).any()
    assert (picture > 200).all(axis=2).any()  # with the labels on it


def steps_after(path, count):
    whole = path.read_text().rpartition("\n")[0]
    return [line["step"] for line in predictions(whole)][count:]


def test_full_screen_covers_the_screen_and_f_leaves_it(start):
    program = start("--loop", "--fullscreen")
    program.wait_for_window()
    height, width = program.screenshot().shape[:2]

    def columns():
        """How far the picture's red reaches; 0 while there is none."""
        red = np.flatnonzero(is_red(program.screenshot()).any(axis=0))
        return np.ptp(red) if len(red) else 0

    wait_for(lambda: columns() > 0.75 * width, "full screen")
    corner = program.screenshot()[:5, :5]
    assert corner.max() == 0 or is_red(corner).all()  # black bars or the picture, not the desktop or a title
    program.press("f")
    wait_for(lambda: 0 < columns() < 0.75 * width, "a window again")


def test_closing_the_window_ends_the_program_with_its_recording_whole(start, tmp_path):
    program = start("--loop", "--record", "out.mp4")
    program.wait_for_window()
    time.sleep(1.5)
    program.press("alt+F4")  # what the X in the title bar says, too
    status, _, errors = program.end()

    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert status == 0
    assert "Traceback" not in errors
    assert frames > 5
