"""Shows that a slow model doesn't slow the picture, nor does one that stalls.

The drawn camera is shown in two ways, in turns within one run, with a model whose steps last as long as asked: in one
thread (read, step, show, as the published example does it) and by this program's capture loop. For both, the table
gives how often the window was redrawn, the longest time that it stood still, the steps a second, how old a frame was
when its step began, and the same for the first step after one that stalled.
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from classify import CaptureLoop
from measuring.camera import SIZE, DrawnCamera
from overlay import Status, draw_overlay
from pace import Pace
from pipeline import open_pipeline
from services import Services
from session import Session
from sinks.window import Window
from utils import fit_box
from video_classifier import Category, Prediction
from view import View

_SAMPLE_FPS = 5.0
_LABELS = ("carving ice", "ice fishing", "shoveling snow")


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
    camera, pace, prediction = DrawnCamera(), Pace(_SAMPLE_FPS), None
    status = Status(camera_fps=0.0, sample_fps=0.0, wanted_fps=_SAMPLE_FPS, warming_up=False)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = camera.read()
        if pace.due(frame):
            prediction = model.step(frame.image, frame.timestamp)
        window.show(draw_overlay(frame.image, prediction, status, fit_box(*SIZE, "crop")))
        window.poll()


def show_in_capture_loop(window: MeteredWindow, model: SlowModel, seconds: float) -> None:
    """Runs the threads and the loop of classify.py."""
    pipeline = open_pipeline(DrawnCamera(), model, Pace(_SAMPLE_FPS), duration=seconds)
    view = View(pipeline, fit="crop", wanted_fps=_SAMPLE_FPS)
    session = Session(window, Services())
    session.views = [view]
    loop = CaptureLoop(session, threading.Event(), window, snapshots=".")
    with pipeline:
        loop.run()


_WAYS = {"one thread": show_in_one_thread, "capture loop": show_in_capture_loop}
_HEAD = """
                 redraws     longest    steps     frame age at step   after the stall
                a second  standstill a second          p50      p95
"""


def compare_ways(window: Window | None, step_time: float, stall: float, seconds: float, rounds: int) -> str:
    """Measures both ways in turns and returns the table.

    Args:
        window: Where to show, or None.
        step_time: Seconds of a step.
        stall: Seconds of a step that stalls.
        seconds: Of each way in each round.
        rounds: How often.
    """
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in _WAYS}
    for _ in range(rounds):
        for name, show in _WAYS.items():
            rows[name].append(_measure(show, window, step_time, stall, seconds))
    text = _HEAD
    for name, columns in rows.items():
        redraws, standstill, steps, p50, p95, after = (statistics.median(column) for column in zip(*columns))
        text += f"{name:14}{redraws:10.1f}{standstill:9.0f} ms{steps:9.1f}{p50:10.0f} ms{p95:6.0f} ms{after:15.0f} ms\n"
    return text


def _measure(
    show: Callable[..., None], window: Window | None, step_time: float, stall: float, seconds: float
) -> tuple[float, ...]:
    """Returns redraws a second, longest standstill (ms), steps a second, age p50, p95 and after the stall (ms)."""
    metered = MeteredWindow(window)
    steady = SlowModel(step_time, stall, stall_at=0)
    show(metered, steady, seconds)
    gaps = np.diff(metered.shown)
    stalled = SlowModel(step_time, stall, stall_at=2)
    show(MeteredWindow(window), stalled, stall + 2)
    p50, p95 = np.percentile(steady.ages, [50, 95]) * 1e3
    return 1 / gaps.mean(), gaps.max() * 1e3, len(steady.ages) / seconds, p50, p95, stalled.ages[2] * 1e3
