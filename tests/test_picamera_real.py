"""The real picamera2 with whatever camera is attached: on a Raspberry Pi its own, elsewhere libcamera's virtual one.

On a Pi these tests run by themselves; tests/virtual_camera.sh runs them anywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from errors import PackageError, SourceError
from sources import Options
from sources.picamera import PiCamera, list_pi_cameras

try:
    CAMERAS = list_pi_cameras()
    reason = "no Pi camera is attached"
except PackageError:
    CAMERAS = []
    reason = "picamera2 is not installed here; tests/virtual_camera.sh installs it, with a virtual camera"
pytestmark = pytest.mark.skipif(not CAMERAS, reason=reason)
VIRTUAL = "VIRTUAL_CAMERA" in os.environ


def test_frames_are_live():
    source = PiCamera("0", Options())
    frames = [source.read() for _ in range(20)]
    now = time.monotonic()
    source.close()
    assert frames[0].image.shape == (480, 640, 3) and frames[0].image.dtype == np.uint8
    stamps = [frame.timestamp for frame in frames]
    assert stamps == sorted(set(stamps))
    assert now - 5 < stamps[0] and now - 0.5 < stamps[-1] <= now


def test_who_reads_slowly_gets_the_newest_frame():
    source = PiCamera("0", Options())
    source.read()
    time.sleep(0.5)
    asked = time.monotonic()
    assert source.read().timestamp > asked - 0.2
    source.close()


@pytest.mark.skipif(not VIRTUAL, reason="needs a camera whose picture is known")
@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_colours_are_right(size):
    """The virtual camera shows eight bars that wander: white, yellow, cyan, green, magenta, red, blue and black."""
    source = PiCamera("0", Options(width=size[0], height=size[1]))
    row = source.read().image[size[1] // 2].astype(int)
    source.close()
    assert len(row) == size[0]
    bars = {(255 * (bar >> 2 & 1), 255 * (bar >> 1 & 1), 255 * (bar & 1)) for bar in range(8)}
    # Where two bars meet, the colours of a pair of pixels are mixed.
    known = np.array(sorted(bars))
    distance = np.abs(row[:, None] - known).max(axis=2)
    assert np.mean(distance.min(axis=1) <= 4) > 0.95
    assert {tuple(known[bar]) for bar in distance.argmin(axis=1)} == bars
    white = np.flatnonzero((row > 250).all(axis=1))
    after = row[(white[-1] + 8) % size[0]] if white[0] else row[np.flatnonzero((row <= 250).any(axis=1))[0] + 8]
    assert after.tolist() == pytest.approx([0, 255, 255], abs=4)  # yellow follows white


def test_the_small_picture_shows_the_same_as_the_large_one():
    source = PiCamera("0", Options(lores=(172, 172)))
    frame = source.read()
    source.close()
    if frame.lores is None:  # this camera scales no picture to that size
        return
    height, width = frame.lores.shape[:2]
    assert 172 <= min(height, width) and width < 640
    assert abs(width / height - 640 / 480) < 0.03
    shrunk = frame.image[:: 480 // 16, :: 640 // 16].astype(int).mean()
    assert abs(shrunk - frame.lores.astype(int).mean()) < 15


def test_a_size_that_the_camera_does_not_have_is_read_as_what_it_gives():
    source = PiCamera("0", Options(width=800, height=600))
    image = source.read().image
    assert image.shape in ((600, 800, 3), (720, 1280, 3)) and image.std() > 0
    source.close()


def test_a_busy_camera_tells_why_and_leaves_nothing_behind():
    errors, descriptors = [], []
    for _ in range(10):
        source = PiCamera("0", Options())
        with pytest.raises(SourceError, match="busy") as error:
            PiCamera("0", Options())
        errors.append(error.value)
        source.read()
        source.close()
        source.close()
        descriptors.append(len(os.listdir("/proc/self/fd")))
    assert descriptors[-1] <= descriptors[2]


def test_closing_ends_a_read_and_all_threads():
    before = set(threading.enumerate())
    source = PiCamera("0", Options())
    reader = threading.Thread(target=lambda: list(iter(source.read, None)))
    reader.start()
    time.sleep(0.2)
    asked = time.monotonic()
    source.close()
    reader.join(2)
    assert not reader.is_alive()
    assert time.monotonic() - asked < 2
    assert set(threading.enumerate()) <= before


def test_a_camera_that_hangs_is_given_up_and_closed(monkeypatch):
    """picamera2's own thread hangs in a frame, and with it all that waits for it."""
    source = PiCamera("0", Options(read_timeout=0.3))
    source.read()
    goes_on = threading.Event()
    monkeypatch.setattr(source._camera, "process_requests", lambda preview: goes_on.wait(30))
    try:
        with pytest.raises(SourceError, match="no frame"):
            for _ in range(1000):
                source.read()
        asked = time.monotonic()
        source.close()
        assert time.monotonic() - asked < 2
    finally:
        goes_on.set()
    deadline = time.monotonic() + 5
    while source._camera.is_open and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not source._camera.is_open


def test_the_whole_program(tiny_model):
    ended = subprocess.run(
        [sys.executable, "classify.py", "--source", "csi", "--model", str(tiny_model), "--display", "none"]
        + ["--jsonl", "-", "--duration", "3"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line["source"] for line in lines} == {"Pi camera 0"}
    assert 10 <= len(lines) <= 17  # three seconds at five frames a second
