#!/usr/bin/env python3
"""Live action recognition: frames from a camera or a file in; labels on the picture, in a file, on the terminal out.

_run() shows how the parts are joined, CaptureLoop.run() what happens to each frame.
"""

from __future__ import annotations

import signal
import sys

from credentials import hide_credentials
from environment import use_venv

if __name__ == "__main__":
    hide_credentials()
    # The imports below take a second on a Pi; Ctrl-C during them should end the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "--doctor" in sys.argv and not {"-h", "--help"} & set(sys.argv):
        from doctor import main as examine  # before the packages below, one of which may be what is broken

        use_venv(needed=())
        sys.exit(examine(sys.argv[1:]))
    use_venv()

import contextlib
import os
import statistics
import threading
import time
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Callable, Sequence

import numpy as np

import cameras
import models
import startup
from errors import OutputError, SourceError, UserError
from grid import tile
from notify import Notifier
from opening import (
    await_camera,
    open_classifier,
    open_pace,
    open_recorder,
    open_sinks,
    open_sources,
    open_view,
    wait_for,
)
from options import parse_options
from pipeline import InferenceWorker
from signals import Signals
from sinks import Sink
from sinks.awake import keep_awake
from sinks.snapshot import save_snapshot
from sinks.viewer import Viewer, open_viewer
from sources import Frame
from sources.clock import Clock
from thermal import Cooling
from utils import say
from video_classifier import Prediction, VideoClassifier
from view import View

_DEFAULT_FPS = 5.0  # for a model that the registry doesn't know; every published MoViNet was trained at it
_WAIT = 0.02  # seconds that the main thread waits for a frame before it looks at keys and signals
_LATE = 0.1  # seconds that a file's picture may lag before frames go unshown
_MESSAGE_TIME = 2.0  # seconds that a message stays on the picture
_OUTAGE_PERIOD = 1.0  # seconds between two reports of a camera that gives no picture


class CaptureLoop:
    """The main thread's part: takes frames and predictions, draws, shows, hands to the sinks, obeys keys.

    Args:
        views: The sources; several are shown as a grid.
        stop: Ends the loop; set by signals, and here by the q key.
        window: Where to show the picture, or None.
        sinks: Further outputs, besides those of each view. One that fails is dropped, with a line, and the others go
            on; the last one ends the run.
        draw: Whether a window or a sink wants the overlay.
        paced: Whether to play in real time: a file in a window.
        snapshots: Folder for the pictures that the s key takes.
        notifier: Hears that the program is alive, for as long as it is.
        size: (width, height) in pixels of the grid.
    """

    def __init__(
        self,
        views: Sequence[View],
        stop: threading.Event,
        window: Viewer | None,
        sinks: Sequence[Sink],
        *,
        draw: bool,
        paced: bool,
        snapshots: str,
        notifier: Notifier | None = None,
        size: tuple[int, int] = (1280, 720),
    ) -> None:
        self._views = list(views)
        self._running = list(views)
        self._stop = stop
        self._window = window
        self._sinks = list(sinks)
        self._draw = draw
        self._clock = Clock() if paced else None
        self._snapshots = snapshots
        self._notifier = notifier or Notifier()
        self._size = size
        self._paused = False
        self._message_until = 0.0
        self._outages_at = 0.0
        self._keys = {
            "quit": stop.set,
            "space": self._pause,
            "r": self._reset,
            "s": self._snapshot,
            "f": self._toggle_fullscreen,
            "h": self._toggle_help,
        }

    def run(self) -> None:
        """Runs until the sources end, the user quits, or a signal came.

        Raises:
            SourceError: The last source broke.
        """
        try:
            while self._running and not self._stop.is_set():
                if self._paused:
                    time.sleep(_WAIT)
                    self._show()
                else:
                    self._hand_out([view for view in list(self._running) if self._take(view)])
                self._tell_outages()
                self._obey_keys()
                self._report()
        finally:
            self._notifier.stop()
            for view in self._views:
                if view.pending:  # made from a live source's last frame after it was shown
                    self._write(view.sinks, view.frame.image, view.frame.timestamp, view)

    def _take(self, view: View) -> bool:
        """Waits a moment for what is new from a source; returns whether it has a new frame."""
        try:
            update = view.pipeline.next(_WAIT / len(self._running))
        except SourceError as error:
            self._running.remove(view)
            if not self._running:
                raise
            say(f"classify.py: {error}")
            return False
        if update is None:
            self._running.remove(view)
        return update is not None and view.take(update)

    def _hand_out(self, views: Sequence[View]) -> None:
        """Shows and writes the new frames of these views."""
        if not views:
            return
        shown = self._window is not None and self._wait_until_due(views[0].frame) < _LATE
        picture = self._picture() if self._draw else views[0].frame.image
        if shown:
            self._window.show(picture)
        self._write(self._sinks, picture, max(view.frame.timestamp for view in views))
        for view in views:
            self._write(view.sinks, picture, view.frame.timestamp, view)

    def _wait_until_due(self, frame: Frame) -> float:
        """Lets a file play in real time; returns the seconds by which the frame is late."""
        while self._clock is not None and not self._stop.is_set():
            remaining = self._clock.wait_time(frame.timestamp)
            if remaining <= 0:
                return -remaining
            time.sleep(min(remaining, _WAIT))
            self._obey_keys()
        return 0.0

    def _picture(self) -> np.ndarray:
        if time.monotonic() > self._message_until:
            self._say_on_picture("")
        pictures = [view.picture() if view.frame is not None else None for view in self._views]
        return pictures[0] if len(pictures) == 1 else tile(pictures, *self._size)

    def _show(self) -> None:
        if self._window is not None and any(view.frame is not None for view in self._views):
            self._window.show(self._picture())

    def _write(self, sinks: list[Sink], picture: np.ndarray, timestamp: float, view: View | None = None) -> None:
        """Gives the sinks a picture, and a view's sinks the predictions that they have not been given yet."""
        predictions: list[Prediction] = []
        if view is not None:
            predictions, view.pending = view.pending, []
        self._give(sinks, lambda sink: sink.write(picture, timestamp, predictions))

    def _give(self, sinks: list[Sink], give: Callable[[Sink], None]) -> None:
        """Gives each of the sinks something; drops the one that can take no more."""
        for sink in list(sinks):
            try:
                give(sink)
            except OutputError as error:
                sink.close()
                sinks.remove(sink)
                if self._window is None and not self._sinks and not any(view.sinks for view in self._views):
                    raise  # nobody is left to run for
                say(f"classify.py: {error}")

    def _tell_outages(self) -> None:
        """Once a second, says which cameras give no picture: on the last one, and in their outputs."""
        now = time.monotonic()
        if now < self._outages_at:
            return
        self._outages_at = now + _OUTAGE_PERIOD
        silent = [view for view in self._running if view.update_outage(now)]
        for view in silent:
            seconds = view.status.no_signal
            self._give(view.sinks, lambda sink, seconds=seconds: sink.no_signal(seconds))
        if silent:
            self._show()

    def _obey_keys(self) -> None:
        key = self._window.poll() if self._window is not None else None
        if key in self._keys:
            self._keys[key]()

    def _report(self) -> None:
        """Tells a service manager that the program is alive: that the model advances, or can't for a good reason."""
        now = time.monotonic()
        outages = [view.pipeline.outage(now) for view in self._running]
        away = bool(outages) and all(outages)
        if away:
            status = f"no signal for {min(outages):.0f} s"
        else:
            status = ", ".join(f"model {view.pipeline.sample_fps:.1f} frames a second" for view in self._running)
        self._notifier.beat(sum(view.steps for view in self._views), status, waiting=self._paused or away)

    def _pause(self) -> None:
        self._paused = not self._paused
        for view in self._views:
            view.status.paused = self._paused
            view.pipeline.pause(self._paused)
        if self._clock is not None:
            self._clock.restart()

    def _reset(self) -> None:
        for view in self._views:
            view.reset()
        self._announce("reset")

    def _snapshot(self) -> None:
        if all(view.frame is None for view in self._views):
            return
        try:
            self._announce(f"saved {save_snapshot(self._picture(), self._snapshots).name}")
        except OutputError as error:
            say(f"classify.py: {error}")
            self._announce("snapshot failed")

    def _toggle_fullscreen(self) -> None:
        if self._window is not None:
            self._window.toggle_fullscreen()

    def _toggle_help(self) -> None:
        self._views[0].status.help = not self._views[0].status.help

    def _announce(self, message: str) -> None:
        self._say_on_picture(message)
        self._message_until = time.monotonic() + _MESSAGE_TIME

    def _say_on_picture(self, message: str) -> None:
        self._views[0].status.message = message


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status; what a user can cause ends in one line on stderr."""
    signals = Signals()
    try:
        options = parse_options(arguments)
        if options.list_models:
            print(models.table())
        elif options.list_cameras:
            print(cameras.table())
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
    notifier = Notifier()  # first: before anything can start a child process
    tell_waiting = partial(notifier.beat, 0, "waiting for the camera", waiting=True)
    name, uris, note = wait_for(
        lambda: startup.choose(options.model, options.source, lambda: await_camera(options.retry)), tell_waiting
    )
    if note:
        say(note)
    model = models.find_model(name)
    labels = models.find_labels(model, options.labels)
    known = models.known_model(model)
    fps = options.sample_fps or (known.fps if known else _DEFAULT_FPS)
    memory = None if options.memory is None else max(1, round(options.memory * fps))
    with contextlib.ExitStack() as stack:
        window, found = open_viewer(options.display, "Action recognition", options.fullscreen)
        if options.display != "none":
            say(f"display: {found}")
        if window is not None:
            stack.callback(window.close)
            stack.enter_context(keep_awake())
        classifiers = [stack.enter_context(open_classifier(model, labels, memory, options)) for _ in uris]
        _describe(model, classifiers[0], fps)
        lores = classifiers[0].input_size[::-1]
        sources = wait_for(lambda: open_sources(uris, lores, options), tell_waiting)
        say(f"source{'s' * (len(sources) > 1)}: {', '.join(source.name for source in sources)}")
        worker = stack.enter_context(InferenceWorker()) if len(sources) > 1 else None
        cooling = Cooling()  # one for all: they share the inference thread and the board
        views = []
        for source, classifier in zip(sources, classifiers):
            pace = open_pace(fps, source, classifier, len(sources), cooling, options)
            views.append(open_view(source, classifier, pace, worker, options, stack))
        for view, source in zip(views, sources):
            view.sinks += [
                stack.enter_context(contextlib.closing(s)) for s in open_sinks(options, source, window, view.name)
            ]
        recorder = open_recorder(options, sources[0].fps)
        if recorder is not None:
            say(f"recording: {recorder.path}")
            stack.enter_context(contextlib.closing(recorder))
        loop = CaptureLoop(
            views,
            signals.stop,
            window,
            [] if recorder is None else [recorder],
            draw=window is not None or options.record is not None,
            paced=window is not None and not sources[0].live,
            snapshots=options.snapshots,
            notifier=notifier,
        )
        signals.deferred = True
        loop.run()
    for view in views:
        _summarize(view)


def _describe(model: Path, classifier: VideoClassifier, fps: float) -> None:
    threads = f"{classifier.threads} thread{'s' * (classifier.threads > 1)}"
    say(f"model: {model.name} on {classifier.runtime}, {threads}, {fps:g} frames a second")
    for note in classifier.notes:
        say(f"model: {note}")


def _summarize(view: View) -> None:
    name = f"{view.name}: " if view.name else ""
    times = view.step_times
    median = f", {statistics.median(times) * 1e3:.1f} ms a step (median)" if times else ""
    say(f"ended: {name}{view.frames} frames, {view.steps} steps{median}")
    if view.score.steps:
        say(f"score: {name}{view.score}")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    if threading.active_count() > 1:
        os._exit(status)  # a driver that never returns holds its thread; everything else is closed
    sys.exit(status)
