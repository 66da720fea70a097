#!/usr/bin/env python3
"""Live action recognition: frames from a camera or a file in; labels on the picture, in a file, on the terminal out.

_run() shows how the parts are joined, CaptureLoop.run() what happens to each frame.
"""

from __future__ import annotations

import signal

from environment import use_venv

if __name__ == "__main__":
    # The imports below take a second on a Pi; Ctrl-C during them should end the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    use_venv()

import contextlib
import os
import statistics
import sys
import threading
import time
from argparse import Namespace
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Callable, Iterator, Sequence, TypeVar

import numpy as np

import models
import startup
from errors import OutputError, UserError
from options import parse_options
from overlay import Status, draw_overlay
from pipeline import Pipeline, Update, open_pipeline
from score import Score
from signals import Signals
from sinks import Sink
from sinks.console import Console
from sinks.display import find_display
from sinks.jsonl import JsonLines
from sinks.snapshot import save_snapshot
from sinks.video_file import VideoFile
from sinks.window import Window
from sources import Frame, Source, find_camera, open_source
from sources.clock import Clock
from sources.sampler import Sampler
from utils import fit_box
from video_classifier import Prediction, VideoClassifier

_DEFAULT_FPS = 5.0  # for a model that the registry doesn't know; every published MoViNet was trained at it
_WAIT = 0.02  # seconds that the main thread waits for a frame before it looks at keys and signals
_LATE = 0.1  # seconds that a file's picture may lag before frames go unshown
_MESSAGE_TIME = 2.0  # seconds that a message stays on the picture

T = TypeVar("T")


def say(text: str) -> None:
    """Prints one line for the person at the terminal; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


class CaptureLoop:
    """The main thread's part: takes frames and predictions, draws, shows, hands to the sinks, obeys keys.

    Args:
        pipeline: Where frames and predictions come from.
        stop: Ends the loop; set by signals, and here by the q key.
        window: Where to show the picture, or None.
        sinks: Further outputs. One that fails is dropped, with a line, and the others go on; the last one ends the run.
        draw: Whether a window or a sink wants the overlay.
        paced: Whether to play in real time: a file in a window.
        fit: Which part of a frame the model sees, see utils.FITS.
        wanted_fps: Frames a second that the model should see.
        snapshots: Folder for the pictures that the s key takes.
        truth: Returns the true label at a frame's timestamp, where the source knows it and the model has it.

    Attributes:
        frames: Frames taken so far.
        steps: Steps of the model so far.
        step_times: Seconds of each of the latest 1000 steps.
        score: How often the model was right, where the truth is known.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        stop: threading.Event,
        window: Window | None,
        sinks: Sequence[Sink],
        *,
        draw: bool,
        paced: bool,
        fit: str,
        wanted_fps: float,
        snapshots: str,
        truth: Callable[[float], str] | None = None,
    ) -> None:
        self.frames = 0
        self.steps = 0
        self.score = Score()
        self.step_times: deque[float] = deque(maxlen=1000)
        self._pipeline = pipeline
        self._stop = stop
        self._window = window
        self._sinks = list(sinks)
        self._draw = draw
        self._clock = Clock() if paced else None
        self._fit = fit
        self._snapshots = snapshots
        self._truth = truth
        self._pending: list[Prediction] = []
        self._frame: Frame | None = None
        self._prediction: Prediction | None = None
        self._status = Status(camera_fps=0.0, sample_fps=0.0, wanted_fps=wanted_fps, warming_up=True)
        self._message_until = 0.0
        self._keys = {
            "quit": stop.set,
            "space": self._pause,
            "r": self._reset,
            "s": self._snapshot,
            "f": lambda: window and window.toggle_fullscreen(),
            "h": self._toggle_help,
        }

    def run(self) -> None:
        """Runs until the source ends, the user quits, or a signal came.

        Raises:
            SourceError: The source broke.
        """
        try:
            while not self._stop.is_set():
                if self._status.paused:
                    time.sleep(_WAIT)
                    self._show()
                else:
                    update = self._pipeline.next(_WAIT)
                    if update is None:
                        return
                    self._take(update)
                self._obey_keys()
        finally:
            if self._pending:  # made from a live source's last frame after it was shown
                self._write_sinks(self._frame.image)

    def _take(self, update: Update) -> None:
        for prediction in update.predictions:
            self._prediction = prediction
            self._pending.append(prediction)
            self.steps += 1
            self.step_times.append(prediction.step_time)
            if self._truth is not None:
                self.score.count(prediction, self._truth(prediction.timestamp))
        if update.frame is None:
            return
        self.frames += 1
        self._frame = update.frame
        shown = self._window is not None and self._wait_until_due() < _LATE
        picture = self._picture() if self._draw else self._frame.image
        if shown:
            self._window.show(picture)
        self._write_sinks(picture)

    def _wait_until_due(self) -> float:
        """Lets a file play in real time; returns the seconds by which the frame is late."""
        while self._clock is not None and not self._stop.is_set():
            remaining = self._clock.wait_time(self._frame.timestamp)
            if remaining <= 0:
                return -remaining
            time.sleep(min(remaining, _WAIT))
            self._obey_keys()
        return 0.0

    def _picture(self) -> np.ndarray:
        status, prediction = self._status, self._prediction
        status.camera_fps, status.sample_fps = self._pipeline.camera_fps, self._pipeline.sample_fps
        status.warming_up = prediction is None or prediction.step < status.wanted_fps
        status.truth = self._truth(self._frame.timestamp) if self._truth is not None else ""
        if time.monotonic() > self._message_until:
            status.message = ""
        height, width = self._frame.image.shape[:2]
        return draw_overlay(self._frame.image, prediction, status, fit_box(height, width, self._fit))

    def _show(self) -> None:
        if self._window is not None and self._frame is not None:
            self._window.show(self._picture())

    def _write_sinks(self, picture: np.ndarray) -> None:
        predictions, self._pending = self._pending, []
        for sink in list(self._sinks):
            try:
                sink.write(picture, self._frame.timestamp, predictions)
            except OutputError as error:
                sink.close()
                self._sinks.remove(sink)
                if not self._sinks and self._window is None:
                    raise  # nobody is left to run for
                say(f"classify.py: {error}")

    def _obey_keys(self) -> None:
        key = self._window.poll() if self._window is not None else None
        if key in self._keys:
            self._keys[key]()

    def _pause(self) -> None:
        self._status.paused = not self._status.paused
        self._pipeline.pause(self._status.paused)
        if self._clock is not None:
            self._clock.restart()

    def _reset(self) -> None:
        self._pipeline.reset()
        self._prediction = None
        self._announce("reset")

    def _snapshot(self) -> None:
        if self._frame is None:
            return
        try:
            self._announce(f"saved {save_snapshot(self._picture(), self._snapshots).name}")
        except OutputError as error:
            say(f"classify.py: {error}")
            self._announce("snapshot failed")

    def _toggle_help(self) -> None:
        self._status.help = not self._status.help

    def _announce(self, message: str) -> None:
        self._status.message = message
        self._message_until = time.monotonic() + _MESSAGE_TIME


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status; what a user can cause ends in one line on stderr."""
    signals = Signals()
    try:
        options = parse_options(arguments)
        if options.list_models:
            print(models.table())
        else:
            _run(options, signals)
        return signals.status
    except UserError as error:
        if error.status:  # 0: the reader of our output has had enough
            say(f"classify.py: {error}")
        return error.status
    except SystemExit as end:  # --help, or a signal before the loop
        return end.code


def _run(options: Namespace, signals: Signals) -> None:
    name, uri, note = _wait_for(lambda: startup.choose(options.model, options.source, find_camera))
    if note:
        say(note)
    model = models.find_model(name)
    labels = models.find_labels(model, options.labels)
    known = models.known_model(model)
    sampler = Sampler(options.sample_fps or (known.fps if known else _DEFAULT_FPS))
    with contextlib.ExitStack() as stack:
        window = _open_window(options)
        if window is not None:
            stack.callback(window.close)
        memory = None if options.memory is None else max(1, round(options.memory * sampler.fps))
        classifier = stack.enter_context(_open_classifier(model, labels, memory, options))
        threads = f"{classifier.threads} thread{'s' * (classifier.threads > 1)}"
        say(f"model: {model.name} on {classifier.runtime}, {threads}, {sampler.fps:g} frames a second")
        for note in classifier.notes:
            say(f"model: {note}")
        source = _wait_for(lambda: _open_source(uri, options))
        say(f"source: {source.name}")
        pipeline = stack.enter_context(
            open_pipeline(source, classifier, sampler, duration=options.duration, max_frames=options.max_frames)
        )
        sinks = [stack.enter_context(contextlib.closing(sink)) for sink in _open_sinks(options, source, window)]
        loop = CaptureLoop(
            pipeline,
            signals.stop,
            window,
            sinks,
            draw=window is not None or options.record is not None,
            paced=window is not None and not source.live,
            fit=options.fit,
            wanted_fps=sampler.fps,
            snapshots=options.snapshots,
            truth=_truth(source, classifier),
        )
        signals.deferred = True
        loop.run()
    _summarize(loop)


def _open_window(options: Namespace) -> Window | None:
    if options.display == "none":
        return None
    display = find_display()
    if display.name is not None:
        say(f"display: {display.name} ({display.reason})")
        return Window("Action recognition", options.fullscreen, display.screen)
    if options.display == "window":
        raise OutputError(f"no window: {display.reason}; use --display none to run without")
    say(f"display: none, {display.reason}; labels go to the terminal")
    return None


def _open_classifier(model: Path, labels: Path, memory: int | None, options: Namespace) -> VideoClassifier:
    return VideoClassifier(
        model,
        labels,
        threads=options.threads,
        runtime=options.runtime,
        top_k=options.top_k,
        threshold=options.threshold,
        allow=options.allow,
        deny=options.deny,
        memory=memory,
        precision=options.precision if options.compile else "source",
        fit=options.fit,
        channel_order="bgr",
    )


def _open_source(uri: str, options: Namespace) -> Source:
    return open_source(
        uri,
        loop=options.loop,
        width=options.width,
        height=options.height,
        fps=options.camera_fps,
        demo_seed=options.demo_seed,
    )


def _truth(source: Source, classifier: VideoClassifier) -> Callable[[float], str] | None:
    """Returns what tells the true label at a timestamp, if the source knows it and the model has such labels."""
    truth = getattr(source, "truth", None)
    return truth if truth is not None and set(source.actions) <= set(classifier.labels) else None


def _open_sinks(options: Namespace, source: Source, window: Window | None) -> Iterator[Sink]:
    if options.record is not None:
        recorder = VideoFile(options.record, source.fps, options.record_limit)
        say(f"recording: {recorder.path}")
        yield recorder
    if options.jsonl is not None:
        yield JsonLines(options.jsonl, source.name)
    if window is None and options.jsonl != "-":
        yield Console()


def _wait_for(work: Callable[[], T]) -> T:
    """Runs work that may block in a driver for seconds in a thread, so that signals are heard meanwhile."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="open", daemon=True).start()
    while not done.done():
        time.sleep(_WAIT)
    return done.result()


def _summarize(loop: CaptureLoop) -> None:
    times = loop.step_times
    median = f", {statistics.median(times) * 1e3:.1f} ms a step (median)" if times else ""
    say(f"ended: {loop.frames} frames, {loop.steps} steps{median}")
    if loop.score.steps:
        say(f"score: {loop.score}")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    if threading.active_count() > 1:
        os._exit(status)  # a driver that never returns holds its thread; everything else is closed
    sys.exit(status)
