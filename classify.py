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
import threading
import time
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Callable, Mapping, Sequence

import numpy as np

import archive
import cameras
import models
import startup
from errors import OutputError, SourceError, UserError
from grid import tile
from live import Live
from notify import Notifier
from opening import await_camera, wait_for
from options import parse_options
from printing import print_out
from remote.instance import Instance
from services import Services
from session import Session
from settings import live_flags
from signals import Signals
from sinks import Sink
from sinks.awake import keep_awake
from sinks.snapshot import make_folder, save_snapshot
from sinks.viewer import Viewer, open_viewer
from sources import Frame, find_camera
from utils import say
from video_classifier import Prediction
from view import View

_WAIT = 0.02  # seconds that the main thread waits for a frame before it looks at keys and signals
_LATE = 0.1  # seconds that a file's picture may lag before frames go unshown
_MESSAGE_TIME = 2.0  # seconds that a message stays on the picture
_PATIENCE = 2.0  # seconds in which a signal should have ended it
_OUTAGE_PERIOD = 1.0  # seconds between two reports of a camera that gives no picture


class CaptureLoop:
    """The main thread's part: takes frames and predictions, draws, shows, hands to the sinks, obeys keys.

    Args:
        session: What runs; several sources are shown as a grid. An output that fails is dropped, with a line, and the
            others go on; the last one ends the run.
        stop: Ends the loop; set by signals, and here by the q key.
        window: Where to show the picture, or None.
        snapshots: Folder for the pictures that the s key takes.
        notifier: Hears that the program is alive, for as long as it is.
        instance: Commands from elsewhere; None without.
        size: (width, height) in pixels of the grid.
    """

    def __init__(
        self,
        session: Session,
        stop: threading.Event,
        window: Viewer | None,
        *,
        snapshots: str,
        notifier: Notifier | None = None,
        instance: Instance | None = None,
        size: tuple[int, int] = (1280, 720),
    ) -> None:
        self._session = session
        self._stop = stop
        self._window = window
        self._snapshots = snapshots
        self._notifier = notifier or Notifier()
        self._size = size
        actions: dict[str, Callable[..., object]] = {
            "reset": self._reset,
            "snapshot": lambda path: str(self._save_snapshot(path)),
            "quit": stop.set,
        }
        self._live = None if instance is None else Live(instance, session, actions)
        self._message_until = 0.0
        self._outages_at = 0.0
        self._keys = {
            "quit": stop.set,
            "space": lambda: session.pause(not session.paused),
            "r": self._reset,
            "s": self._take_snapshot,
            "f": self._toggle_fullscreen,
            "t": self._toggle_strip,
            "h": self._toggle_help,
        }

    def run(self) -> None:
        """Runs until the sources end, the user quits, or a signal came.

        Raises:
            SourceError: The last source broke.
        """
        session = self._session
        try:
            while session.running and not self._stop.is_set():
                if session.paused:
                    time.sleep(_WAIT)
                    self._show()
                else:
                    self._hand_out([view for view in session.running if self._take(view)])
                self._tell_outages()
                self._obey_keys()
                if self._live is not None:
                    self._live.obey()
                self._report()
        finally:
            self._notifier.stop()
            if self._live is not None:
                self._live.close()
            for view in session.views:
                if view.pending:  # made from a live source's last frame after it was shown
                    self._write(view.sinks, view.frame.image, view.frame.timestamp, view)

    def _take(self, view: View) -> bool:
        """Waits a moment for what is new from a source; returns whether it has a new frame."""
        try:
            update = view.pipeline.next(_WAIT / len(self._session.running))
        except SourceError as error:
            view.ended = True
            if not self._session.running:
                raise
            say(f"classify.py: {error}")
            return False
        view.ended = update is None
        return update is not None and view.take(update)

    def _hand_out(self, views: Sequence[View]) -> None:
        """Shows and writes the new frames of these views."""
        if not views:
            return
        shown = self._window is not None and self._wait_until_due(views[0].frame) < _LATE
        pictures = self._pictures() if self._session.draws else {view: view.frame.image for view in views}
        if shown or self._session.sinks:
            picture = self._join(pictures)
            if shown:
                self._window.show(picture)
            self._write(self._session.sinks, picture, max(view.frame.timestamp for view in views))
        for view in views:
            self._write(view.sinks, pictures[view], view.frame.timestamp, view)

    def _wait_until_due(self, frame: Frame) -> float:
        """Lets a file play in real time; returns the seconds by which the frame is late."""
        clock = self._session.clock
        while clock is not None and not self._stop.is_set():
            remaining = clock.wait_time(frame.timestamp)
            if remaining <= 0:
                return -remaining
            time.sleep(min(remaining, _WAIT))
            self._obey_keys()
        return 0.0

    def _pictures(self) -> dict[View, np.ndarray]:
        """Draws the picture of each view that has a frame."""
        if time.monotonic() > self._message_until:
            self._say_on_picture("")
        return {view: view.picture() for view in self._session.views if view.frame is not None}

    def _join(self, pictures: Mapping[View, np.ndarray]) -> np.ndarray:
        """Makes one picture of those of all views."""
        views = self._session.views
        return pictures[views[0]] if len(views) == 1 else tile([pictures.get(view) for view in views], *self._size)

    def _show(self) -> None:
        if self._window is not None and any(view.frame is not None for view in self._session.views):
            self._window.show(self._join(self._pictures()))

    def _write(self, sinks: list[Sink], picture: np.ndarray, timestamp: float, view: View | None = None) -> None:
        """Gives the sinks a picture, and a view's sinks the predictions that they have not been given yet."""
        predictions: list[Prediction] = []
        if view is not None:
            predictions, view.pending = view.pending, []
        frame = picture if view is None or view.frame is None else view.plain()
        self._give(
            sinks, lambda sink: sink.write(frame if hasattr(sink, "wants_frames") else picture, timestamp, predictions)
        )

    def _give(self, sinks: list[Sink], give: Callable[[Sink], None]) -> None:
        """Gives each of the sinks something; drops the one that can take no more."""
        for sink in list(sinks):
            try:
                give(sink)
            except OutputError as error:
                with contextlib.suppress(OutputError):  # such as the same again
                    sink.close()
                sinks.remove(sink)
                if not self._session.heard:
                    raise  # nobody is left to run for
                say(f"classify.py: {error}")

    def _tell_outages(self) -> None:
        """Once a second, says which cameras give no picture: on the last one, and in their outputs."""
        now = time.monotonic()
        if now < self._outages_at:
            return
        self._outages_at = now + _OUTAGE_PERIOD
        silent = [view for view in self._session.running if view.update_outage(now)]
        for view in silent:
            if view.pending:  # made from the last frame after it was shown; nothing older is told later
                picture = view.picture() if self._session.draws else view.frame.image
                self._write(view.sinks, picture, view.frame.timestamp, view)
            seconds = view.status.no_signal
            self._give(view.sinks, lambda sink, seconds=seconds: sink.no_signal(seconds))
        if silent:
            self._show()

    def _obey_keys(self) -> None:
        key = self._window.poll() if self._window is not None else None
        if key in self._keys:
            self._keys[key]()

    def _report(self) -> None:
        """Tells a service manager that the program is alive: that no step hangs, or none is to be expected."""
        now = time.monotonic()
        running = self._session.running
        outages = [view.pipeline.outage(now) for view in running]
        away = bool(outages) and all(outages)
        if away:
            status = f"no signal for {min(outages):.0f} s"
        else:
            status = ", ".join(f"model {view.pipeline.sample_fps:.1f} frames a second" for view in running)
        self._notifier.beat(self._session.turns, status, waiting=self._session.paused or away)

    def _reset(self) -> None:
        for view in self._session.views:
            view.reset()
        self._announce("reset")

    def _take_snapshot(self) -> None:
        try:
            self._announce(f"saved {self._save_snapshot(self._snapshots).name}")
        except OutputError as error:
            say(f"classify.py: {error}")
            self._announce("snapshot failed")

    def _save_snapshot(self, path: str) -> Path:
        pictures = self._pictures()
        if not pictures:
            raise OutputError("there is no picture yet; try again in a moment")
        return save_snapshot(self._join(pictures), path)

    def _toggle_fullscreen(self) -> None:
        if self._window is not None:
            self._window.toggle_fullscreen()

    def _toggle_strip(self) -> None:
        shown = not self._session.views[0].status.strip
        for view in self._session.views:
            view.status.strip = shown

    def _toggle_help(self) -> None:
        views = self._session.views
        shown = any(view.status.help for view in views)  # on another one, if the order has changed since
        for view in views:
            view.status.help = not shown and view is views[0]

    def _announce(self, message: str) -> None:
        self._say_on_picture(message)
        self._message_until = time.monotonic() + _MESSAGE_TIME

    def _say_on_picture(self, message: str) -> None:
        views = self._session.views
        for view in views:
            view.status.message = message if view is views[0] else ""


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status; what a user can cause ends in one line on stderr."""
    signals = Signals()
    try:
        if "--live" in arguments:
            from remote.client import live

            return live(arguments)
        options = parse_options(arguments)
        if options.list_models:
            print_out(models.table())
        elif options.model_info is not None:
            from clip_format import clip_settings
            from model_info import describe

            path = models.find_model(options.model_info)
            print_out(describe(path, options.labels, options.runtime, clip_settings(path, options)))
        elif options.list_cameras:
            print_out(cameras.table())
        elif options.events_report is not None:
            from events.report import report

            print_out(report(options.events_report, options.day))
        elif archive.is_archive(options):
            options.model, options.source, _ = startup.choose(options.model, options.source, find_camera)
            return archive.run(options)
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
    options.source = options.source and [archive.only_match(uri) for uri in options.source]
    tell_waiting = partial(notifier.beat, 0, "waiting for the camera", waiting=True)
    looking = options.source is None
    name, uris, note = wait_for(
        lambda: startup.choose(options.model, options.source, lambda: await_camera(options.retry)),
        lambda: looking and tell_waiting(),
    )
    notifier.begin("loading the model")
    if note:
        say(note)
    options.model, options.source = name, uris
    make_folder(options.snapshots)
    with contextlib.ExitStack() as stack:
        window, found = open_viewer(options.display, "Action recognition", options.fullscreen)
        if options.display != "none":
            say(f"display: {found}")
        if window is not None:
            stack.callback(window.close)
            stack.enter_context(keep_awake())
        instance = Instance(options.instance or str(os.getpid()), live_flags())
        if options.control:
            _open_control(instance, stack)
        services = stack.enter_context(Services(options, instance))
        session = stack.enter_context(Session(window, services))
        given = ["record"] if options.record is not None else []
        session.commit(
            wait_for(lambda: session.prepare(options, given), lambda: session.awaits_camera and tell_waiting())
        )
        loop = CaptureLoop(
            session, signals.stop, window, snapshots=options.snapshots, notifier=notifier, instance=instance
        )
        signals.deferred, signals.patience = True, _PATIENCE
        loop.run()


def _open_control(instance: Instance, stack: contextlib.ExitStack) -> None:
    from remote.socket_server import SocketServer

    try:
        stack.callback(SocketServer(instance).close)
    except OutputError as error:  # nobody asked for it by name: the picture is more important
        say(f"no --live: {error}")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if threading.active_count() > 1:
        os._exit(status)  # a driver that never returns holds its thread; everything else is closed
    sys.exit(status)
