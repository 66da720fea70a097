#!/usr/bin/env python3
"""Shows that a slow model doesn't slow the picture: `python benchmark.py --step-ms 300`.

A drawn 640x480 camera at 30 fps is shown in two ways, in turns within one run, with a model whose steps last as long
as asked: in one thread (read, step, show, as the published example does it) and by this program's capture loop. For
both, the table gives how often the window was redrawn, the longest time that it stood still, the steps a second, how
old a frame was when its step began, and the same for the first step after one that stalled.
"""

from __future__ import annotations

from environment import use_venv

if __name__ == "__main__":
    use_venv()

import argparse
import os
import platform
import statistics
import threading
import time
from dataclasses import dataclass, field

import cv2
import numpy as np

from classify import CaptureLoop
from overlay import Status, draw_overlay
from pipeline import open_pipeline
from sinks.display import find_display
from sinks.window import Window
from sources import Frame
from sources.sampler import Sampler
from utils import fit_box
from video_classifier import Category, Prediction

_SIZE = (480, 640)
_CAMERA_FPS = 30.0
_SAMPLE_FPS = 5.0
_LABELS = ("carving ice", "ice fishing", "shoveling snow")


class DrawnCamera:
    """A live source: a ball that moves over a grey ground, 30 frames a second."""

    name, live, fps = "drawn camera", True, _CAMERA_FPS

    def __init__(self) -> None:
        self._zero = time.monotonic()
        self._number = -1

    def read(self) -> Frame:
        """Waits for the next frame; skips those that the reader was too late for, as a camera's driver does."""
        now = time.monotonic() - self._zero
        self._number = max(self._number + 1, int(now * _CAMERA_FPS))
        time.sleep(max(0.0, self._number / _CAMERA_FPS - now))
        image = np.full((*_SIZE, 3), 90, np.uint8)
        cv2.circle(image, (self._number * 7 % _SIZE[1], _SIZE[0] // 2), 40, (60, 160, 250), -1)
        return Frame(image, self._zero + self._number / _CAMERA_FPS, self._number)

    def close(self) -> None:
        """Has nothing to release."""


@dataclass
class SlowModel:
    """Stands for a VideoClassifier whose steps last a given time; like a real step, its wait lets other threads run.

    Attributes:
        step_time: Seconds of a step.
        stall: Seconds of the step that stalls.
        stall_at: Its number.
        ages: Seconds between a frame's timestamp and the begin of its step, in order.
    """

    step_time: float
    stall: float
    stall_at: int
    ages: list[float] = field(default_factory=list)

    def step(self, frame: np.ndarray, timestamp: float) -> Prediction:
        """Takes its time."""
        self.ages.append(time.monotonic() - timestamp)
        seconds = self.stall if len(self.ages) == self.stall_at else self.step_time
        time.sleep(seconds)
        probabilities = np.array([0.8, 0.15, 0.05], np.float32)
        top = [Category(label, float(p), index) for index, (label, p) in enumerate(zip(_LABELS, probabilities))]
        return Prediction(timestamp, seconds, len(self.ages), top, np.log(probabilities), probabilities)


class MeteredWindow:
    """A window, or nothing where there is no display, that notes when it was redrawn."""

    def __init__(self, window: Window | None) -> None:
        self._window = window
        self.shown: list[float] = []

    def show(self, picture: np.ndarray) -> None:
        """Shows a picture."""
        self.shown.append(time.monotonic())
        if self._window is not None:
            self._window.show(picture)

    def poll(self) -> str | None:
        """Returns a key, if there is a window to press it in."""
        return self._window.poll() if self._window is not None else None


def show_in_one_thread(window: MeteredWindow, model: SlowModel, seconds: float) -> None:
    """Reads, steps and shows in turn."""
    camera, sampler, prediction = DrawnCamera(), Sampler(_SAMPLE_FPS), None
    status = Status(camera_fps=0.0, sample_fps=0.0, wanted_fps=_SAMPLE_FPS, warming_up=False)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = camera.read()
        if sampler.due(frame.timestamp):
            prediction = model.step(frame.image, frame.timestamp)
        window.show(draw_overlay(frame.image, prediction, status, fit_box(*_SIZE, "crop")))
        window.poll()


def show_in_capture_loop(window: MeteredWindow, model: SlowModel, seconds: float) -> None:
    """Runs the threads and the loop of classify.py."""
    pipeline = open_pipeline(DrawnCamera(), model, Sampler(_SAMPLE_FPS), duration=seconds)
    loop = CaptureLoop(
        pipeline,
        threading.Event(),
        window,
        sinks=[],
        draw=True,
        paced=False,
        fit="crop",
        wanted_fps=_SAMPLE_FPS,
        snapshots=".",
    )
    with pipeline:
        loop.run()


_WAYS = {"one thread": show_in_one_thread, "capture loop": show_in_capture_loop}


def main() -> None:
    """Measures both ways in turns and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step-ms", type=float, default=300, metavar="MS", help="time of a step (default: 300 ms)")
    parser.add_argument("--stall", type=float, default=3, metavar="S", help="time of one stalled step (default: 3 s)")
    parser.add_argument("--seconds", type=float, default=8, metavar="S", help="time of a round (default: 8 s)")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="rounds of each way (default: 2)")
    options = parser.parse_args()

    display = find_display()
    window = Window("benchmark", screen=display.screen) if display.name else None
    print(f"{platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}, {os.cpu_count()} cores")
    print(f"camera 640x480 at {_CAMERA_FPS:g} fps, steps of {options.step_ms:g} ms, one of {options.stall:g} s,", end=" ")
    print(f"window on {display.name}" if window else f"drawn but not shown ({display.reason})")
    print(f"\n{'':14}{'redraws':>10}{'longest':>12}{'steps':>9}{'frame age at step':>22}{'after the stall':>18}")
    print(f"{'':14}{'a second':>10}{'standstill':>12}{'a second':>9}{'p50':>13}{'p95':>9}{'':18}")
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in _WAYS}
    for _ in range(options.rounds):
        for name, show in _WAYS.items():
            rows[name].append(measure(show, window, options))
    for name, rounds in rows.items():
        redraws, standstill, steps, p50, p95, after = (statistics.median(column) for column in zip(*rounds))
        print(f"{name:14}{redraws:10.1f}{standstill:9.0f} ms{steps:9.1f}{p50:10.0f} ms{p95:6.0f} ms{after:15.0f} ms")
    if window is not None:
        window.close()


def measure(show, window: Window | None, options: argparse.Namespace) -> tuple[float, ...]:
    """Returns redraws a second, longest standstill (ms), steps a second, age p50, p95 and after the stall (ms)."""
    metered = MeteredWindow(window)
    steady = SlowModel(options.step_ms / 1e3, options.stall, stall_at=0)
    show(metered, steady, options.seconds)
    gaps = np.diff(metered.shown)
    stalled = SlowModel(options.step_ms / 1e3, options.stall, stall_at=2)
    show(MeteredWindow(window), stalled, options.stall + 2)
    p50, p95 = np.percentile(steady.ages, [50, 95]) * 1e3
    return 1 / gaps.mean(), gaps.max() * 1e3, len(steady.ages) / options.seconds, p50, p95, stalled.ages[2] * 1e3


if __name__ == "__main__":
    main()
