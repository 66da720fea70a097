"""One source as the main thread sees it: its newest frame, the latest prediction, and the picture made of both."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Sequence

import cv2
import numpy as np

from overlay import Status, draw_overlay
from pipeline.base import Pipeline, Update
from score import Score
from sinks import Sink
from sources import Frame
from timeline.colours import Looks
from timeline.drawing import Names
from timeline.strip import recent_history
from utils import fit_box
from video_classifier import Prediction

if TYPE_CHECKING:
    from events.finder import EventFinder
    from lettering import Lettering


class View:
    """Takes what a pipeline delivers. Main thread only.

    Args:
        pipeline: Where frames and predictions come from.
        sinks: Outputs of this source alone.
        fit: Which part of a frame the model sees, see utils.FITS.
        wanted_fps: Frames a second that the model should see.
        mirror: Whether left and right are swapped in the picture.
        truth: Returns the true label at a frame's timestamp, where the source knows it and the model has it.
        labels: The model's, in the order of its probabilities; needed where there is a truth.
        outage: Returns for how many seconds there has been no picture at a moment of the monotonic clock; None where
            that can't be: a file.

    Attributes:
        pipeline: As given.
        sinks: As given; those that failed are taken off.
        name: The source's, drawn on the picture; "" where there is only one source.
        fit: As given; it, mirror and truth may be replaced.
        mirror: As given.
        truth: As given.
        labels: As given; replaced by follow().
        events: What finds its events, one of its sinks; None if nobody wants to know.
        lettering: Draws translations; None for the labels as they are.
        names: How labels are written on the picture.
        ended: Whether nothing more comes from the source.
        status: What the overlay says of the program.
        frame: The newest one; None before the first.
        timeline: The picture or film of its run, one of its sinks; None without.
        history: The last minute's predictions, for the chart on the picture.
        looks: Which colour each label has.
        prediction: The latest one; None before the first.
        pending: Predictions that no sink has been given yet.
        frames: Frames taken so far.
        steps: Steps of the model so far.
        step_times: Seconds of each of the latest 1000 steps.
        score: How often the model was right, where the truth is known.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        sinks: Sequence[Sink] = (),
        *,
        fit: str,
        wanted_fps: float,
        mirror: bool = False,
        truth: Callable[[float], str] | None = None,
        labels: Sequence[str] = (),
        outage: Callable[[float], float] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.sinks = list(sinks)
        self.name = ""
        self.status = Status(camera_fps=0.0, sample_fps=0.0, wanted_fps=wanted_fps, warming_up=True)
        self.frame: Frame | None = None
        self.pending: list[Prediction] = []
        self.frames = 0
        self.steps = 0
        self.step_times: deque[float] = deque(maxlen=1000)
        self.score = Score()
        self.fit = fit
        self.mirror = mirror
        self.truth = truth
        self.labels = labels
        self._outage = outage
        self.ended = False
        self.events: EventFinder | None = None
        self.timeline: Any = None
        self.history = recent_history()
        self.looks = Looks()
        self.lettering: Lettering | None = None
        self.names = Names()
        self.prediction: Prediction | None = None

    def take(self, update: Update) -> bool:
        """Takes what is new; returns whether there is a new frame."""
        for prediction in update.predictions:
            self.prediction = prediction
            self.looks.notice(prediction)
            self.history.add(prediction)
            self.pending.append(prediction)
            self.steps += 1
            self.step_times.append(prediction.step_time)
            if self.truth is not None and prediction.timestamp is not None:
                self.score.count(prediction, self.truth(prediction.timestamp), self.labels)
        if update.frame is None:
            return False
        self.frames += 1
        self.frame = update.frame
        self.status.no_signal = 0.0
        return True

    def follow(self, labels: Sequence[str], candidates: np.ndarray) -> None:
        """Sets the model's labels, see History.follow().

        Where they are others, what the old model said and no sink has been given yet is left out: it would be read in
        terms of the new ones.
        """
        if labels != self.labels:
            self.prediction, self.pending = None, []
        self.labels = labels
        self.history.follow(labels, candidates)

    def update_outage(self, now: float) -> bool:
        """Notes for how long there has been no picture; returns whether that is worth telling."""
        self.status.no_signal = self._outage(now) if self._outage is not None else 0.0
        return self.status.no_signal > 0

    def picture(self) -> np.ndarray:
        """Returns the newest frame with the overlay, uint8 [H, W, 3] BGR; there must be one."""
        assert self.frame is not None
        status, prediction = self.status, self.prediction
        status.camera_fps, status.sample_fps = self.pipeline.camera_fps, self.pipeline.sample_fps
        status.warming_up = prediction is None or (prediction.step < status.wanted_fps and not prediction.whole)
        status.pace = self.pipeline.note
        truth = self.truth(self.frame.timestamp) if self.truth is not None else ""
        status.truth = self.names.of(truth)
        image = self.plain()
        box = fit_box(image.shape[0], image.shape[1], self.fit)
        return draw_overlay(image, prediction, status, box, (self.history, self.looks, self.names), self.lettering)

    def plain(self) -> np.ndarray:
        """Returns the newest frame without the overlay, uint8 [H, W, 3] BGR; there must be one."""
        assert self.frame is not None
        return cv2.flip(self.frame.image, 1) if self.mirror else self.frame.image

    def reset(self) -> None:
        """Forgets the stream."""
        self.pipeline.reset()
        self.prediction = None
