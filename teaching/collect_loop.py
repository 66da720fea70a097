"""Collecting as it runs: frames in, clips out, with a picture and keys if there is a window."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from errors import OutputError, SourceError, UserError
from lettering import OPENCV, Lettering
from sinks.screen import Screen
from sinks.viewer import Viewer
from sources import open_source
from sources.paced import Paced
from teaching.camera_feed import Feed
from teaching.clip_store import ClipStore, Recording
from teaching.collect import LEAST, Clip, Collector, Phase
from teaching.collect_view import Scene, draw_scene
from teaching.review import hint
from utils import say

_WAIT = 0.02  # seconds that a frame is waited for before keys and signals are looked at
_SHOW_PERIOD = 0.1  # seconds between two pictures while the camera gives none
_LONG_SIDE, _SHORT_SIDE = 640, 480  # pixels of a clip at most: many times what a model sees


class CollectLoop:
    """The main thread's part.

    Args:
        collector: Says what to do when.
        store: Where the clips go.
        feed: Where the frames come from.
        stop: Ends the loop; set by signals, and here by the q key.
        live: Whether frames are stamped with the monotonic clock; else their time is the only one there is.
        fps: The source's usual rate.
        viewer: Where to show the picture, or None.
        mirror: Whether left and right are swapped in the picture that is shown; never in a clip.
        lettering: Draws labels that aren't ASCII.

    Attributes:
        kept: Clips recorded, those that were discarded later included.
    """

    def __init__(
        self,
        collector: Collector,
        store: ClipStore,
        feed: Feed,
        stop: threading.Event,
        *,
        live: bool,
        fps: float | None,
        viewer: Viewer | None = None,
        mirror: bool = False,
        lettering: Lettering = OPENCV,
    ) -> None:
        self.kept = 0
        self._collector = collector
        self._store = store
        self._feed = feed
        self._stop = stop
        self._live = live
        self._fps = fps
        self._viewer = viewer
        self._mirror = mirror
        self._lettering = lettering
        self._has_keys = not isinstance(viewer, Screen)
        self._terminal = _Terminal(live)
        self._image: np.ndarray | None = None  # the newest frame's
        self._frame_time = 0.0
        self._shown = 0.0  # seconds of the monotonic clock
        self._recording: Recording | None = None
        self._label = ""  # of what is being recorded
        self._last: tuple[str, Path] | None = None  # the last clip and its label, for replay and discard
        self._replay: Feed | None = None
        self._replayed: np.ndarray | None = None
        self._message = ""

    def run(self) -> None:
        """Runs until there are enough clips, the source ends, the user quits, or a signal came.

        Raises:
            SourceError: The source broke.
            OutputError: The disk is full or broken. All clips that were finished are there.
        """
        try:
            while self._collector.phase is not Phase.DONE and not self._stop.is_set() and not self._feed.ended:
                self._take_frames()
                self._obey_key()
                self._show()
                self._terminal.follow(self._collector, self._now())
        finally:
            self._close_replay()
            self._handle(self._collector.stop())

    def _now(self) -> float:
        return time.monotonic() if self._live else self._frame_time

    def _take_frames(self) -> None:
        came = False
        for frame in self._feed.take(_WAIT):
            came = True
            self._frame_time = frame.timestamp
            # By the frame's time, not by ours: while the disk keeps us, frames wait in the feed.
            self._handle(self._collector.update(frame.timestamp))
            outcome = self._collector.see(frame.timestamp)
            if outcome is Clip.ADD:
                self._add(fit_clip(frame.image), frame.timestamp)
            else:
                self._handle(outcome)
            self._image = frame.image
        if not came and self._live:
            self._handle(self._collector.update(time.monotonic()))

    def _add(self, picture: np.ndarray, timestamp: float) -> None:
        if self._recording is None:
            self._label = self._collector.label
            self._recording = self._store.begin(self._label, self._fps)
        try:
            self._recording.add(picture, timestamp)
        except OutputError:
            self._recording = None
            raise

    def _handle(self, outcome: Clip | None) -> None:
        """Does with the clip that was being recorded what the collector decided."""
        recording, self._recording = self._recording, None
        if outcome is None or recording is None:
            self._recording = recording
        elif outcome is Clip.DROP:
            recording.drop()
            away = self._collector.away
            reason = "the camera was away; it is recorded again" if away else f"it had less than {LEAST:g} s"
            self._tell("clip thrown away", f"thrown away: {reason}")
        else:
            path = recording.keep()
            if outcome is Clip.KEEP:
                self.kept += 1
                self._last = self._label, path
                self._tell("recorded", f"kept {path.parent.name}/{path.name}")
            else:
                self._tell("discarded", f"discarded: {self._store.discard(path)}")

    def _tell(self, words: str, line: str) -> None:
        """Says something on the picture and on the terminal."""
        self._message = words
        self._terminal.say(line)

    def _obey_key(self) -> None:
        key = self._viewer.poll() if self._viewer is not None else None
        if key is None:
            return
        if key == "f" and self._viewer is not None:
            self._viewer.toggle_fullscreen()
            return
        self._close_replay()
        now = self._now()
        if key == "quit":
            self._stop.set()
        elif key == "space":
            self._message = ""
            self._collector.go_on_or_pause(now)
        elif key == "n":
            self._message = ""
            self._collector.turn_to_next(now)
        elif key == "d":
            self._discard(now)
        elif key in ("r", "p"):
            self._open_replay(now)

    def _discard(self, now: float) -> None:
        """Discards the clip that is being recorded, else the last one."""
        if self._collector.phase is Phase.RECORDING:
            self._handle(self._collector.abandon(now))
        elif self._last is not None:
            (label, path), self._last = self._last, None
            try:
                moved = self._store.discard(path)
            except OutputError as error:
                self._last = label, path
                self._tell("not discarded", str(error))
                return
            except UserError as error:  # somebody else has moved or deleted it
                self._tell("it was gone already", str(error))
            else:
                self._tell("discarded", f"discarded: {moved}")
            self._collector.take_back(label, now)

    def _open_replay(self, now: float) -> None:
        if self._last is None or self._collector.phase is Phase.RECORDING:
            return
        self._collector.pause(now)
        try:
            self._replay = Feed(Paced(open_source(str(self._last[1].absolute()))))
        except SourceError as error:
            self._tell("no replay", str(error))
        else:
            self._replay.__enter__()

    def _close_replay(self) -> None:
        if self._replay is not None:
            self._replay.__exit__()
        self._replay = self._replayed = None

    def _show(self) -> None:
        if self._viewer is None:
            return
        image = self._image
        if self._replay is not None:
            try:
                for frame in self._replay.take(0.0):
                    self._replayed = frame.image
            except SourceError as error:  # it is gone, or damaged
                self._tell("no replay", str(error))
            image = self._replayed if self._replayed is not None else image
            if self._replay.ended:
                self._close_replay()
        if image is None:
            return
        if self._mirror:
            image = cv2.flip(image, 1)
        replay = "" if self._replay is None or self._last is None else self._last[0]
        scene = Scene(replay, self._message, self._has_keys)
        self._viewer.show(draw_scene(image, self._collector, self._now(), scene, self._lettering))


def fit_clip(image: np.ndarray) -> np.ndarray:
    """Returns a frame as it is recorded: as it is, or as large as fits 640x480 or 480x640.

    Args:
        image: uint8 [H, W, 3] BGR.
    """
    height, width = image.shape[:2]
    scale = min(_LONG_SIDE / max(height, width), _SHORT_SIDE / min(height, width))
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


class _Terminal:
    """Tells on stderr what goes on, a line for each clip: "waving, clip 5 of 10: 3 2 1 recording ... kept ...".

    Args:
        live: Whether somebody may act to it: a file's frames come as fast as they can be read.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._bell = "\a" if live and sys.stderr.isatty() else ""
        self._state: tuple[object, ...] = ()
        self._begun = False  # whether a line waits for its end

    def say(self, words: str) -> None:
        """Ends the line that has begun, or writes one."""
        self._begun = False
        say(words + self._bell)

    def follow(self, collector: Collector, now: float) -> None:
        """Tells what has changed."""
        phase, label = collector.phase, collector.label
        seconds = collector.seconds_left(now) if phase is Phase.COUNTDOWN else 0
        state = (phase, label, seconds, collector.paused, collector.away)
        if not self._live or state == self._state:
            return
        before, self._state = self._state, state
        if phase in (Phase.COUNTDOWN, Phase.RECORDING) and not self._begun:
            self._write(f"{label}, clip {collector.counts[label] + 1} of {collector.clips}:")
        if phase is Phase.COUNTDOWN:
            self._write(f" {seconds}")
        elif phase is Phase.RECORDING and before[:1] != (phase,):
            self._write(f" recording ...{self._bell} ")
        elif phase is Phase.REVIEW and collector.fresh and before[:2] != (phase, label):
            words = hint(label, collector.counts[label])
            self._line(f"next: {label}{': ' + words if words else ''}")
        elif phase is Phase.REVIEW and collector.paused:
            self._line("paused; space records the next clip")

    def _write(self, words: str) -> None:
        self._begun = True
        sys.stderr.write(words)
        sys.stderr.flush()

    def _line(self, words: str) -> None:
        if self._begun:
            self._write("\n")
        say(words)
        self._begun = False
