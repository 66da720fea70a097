"""The whole program on the drawn camera: what it costs, what it drops, how soon a label stands on the picture."""

from __future__ import annotations

import threading
import time
from typing import Any, Sequence

import numpy as np

from classify import CaptureLoop
from measuring.camera import DrawnCamera
from pace import Pace
from pipeline import open_pipeline
from services import Services
from session import Session
from sinks.window import Window
from video_classifier import Prediction, VideoClassifier
from view import View

HEAD = """
                                   CPU seconds   camera    not   steps  step ms  glass to label ms
                                      a minute   frames  shown              p50        p50     p95
"""


class LabelMeter:
    """A sink that notes how old a prediction's frame is once the picture with its label has been shown.

    Attributes:
        ages: Seconds, in order.
    """

    wants_pictures = True

    def __init__(self) -> None:
        self.ages: list[float] = []

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Takes what was shown."""
        self.ages += [time.monotonic() - prediction.timestamp for prediction in predictions]

    def no_signal(self, seconds: float) -> None:
        """Never told: the drawn camera doesn't fail."""

    def close(self) -> None:
        """Has nothing to release."""


def run_program(classifier: VideoClassifier, window: Window | None, fps: float, seconds: float) -> dict[str, Any]:
    """Runs threads, model, overlay and window for some seconds of a 640x480 camera with 30 frames a second.

    Args:
        classifier: With channel_order "bgr", in its fresh state.
        window: Where to show, or None: then the picture is drawn all the same.
        fps: Frames a second that the model sees.
        seconds: How long.

    Returns:
        cpu_seconds_a_minute (of all threads, without drawing the camera's frames), camera_frames, frames_dropped (not
        shown), steps, step_p50_ms, latency_p50_ms and latency_p95_ms (from a frame's moment to its label being shown).
    """
    camera, meter = DrawnCamera(), LabelMeter()
    pipeline = open_pipeline(camera, classifier, Pace(fps), duration=seconds)
    view = View(pipeline, [meter], fit=classifier.fit, wanted_fps=fps)
    session = Session(window, Services())
    session.views = [view]
    loop = CaptureLoop(session, threading.Event(), window, snapshots=".")
    start, cpu = time.monotonic(), time.process_time()
    with pipeline:
        loop.run()
    minutes = (time.monotonic() - start) / 60
    cpu = time.process_time() - cpu - camera.cpu_seconds
    frames = camera.number  # The last one that was read, from 0, came after the end.
    p50, p95 = np.percentile(meter.ages, [50, 95]) * 1e3
    return {
        "cpu_seconds_a_minute": cpu / minutes,
        "camera_frames": frames,
        "frames_dropped": frames - view.frames,
        "steps": view.steps,
        "step_p50_ms": float(np.median(view.step_times)) * 1e3,
        "latency_p50_ms": float(p50),
        "latency_p95_ms": float(p95),
    }


def line(name: str, figures: dict[str, Any]) -> str:
    """Returns a row of the table under HEAD."""
    return (
        f"{name:34}{figures['cpu_seconds_a_minute']:12.1f}{figures['camera_frames']:9}{figures['frames_dropped']:7}"
        f"{figures['steps']:8}{figures['step_p50_ms']:9.1f}"
        f"{figures['latency_p50_ms']:11.0f}{figures['latency_p95_ms']:8.0f}"
    )
