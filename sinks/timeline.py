"""--timeline FILE: a whole run as one picture, or a film of the video beside its chart."""

from __future__ import annotations

import contextlib
import queue
import re
import threading
import time
from pathlib import Path
from typing import Optional, Sequence, Tuple

# Before PyAV, see video_file.
import cv2  # noqa: F401
import numpy as np

from errors import OutputError, UserError
from events import Event
from plotting import import_figure
from sinks.video_file import VideoFile
from timeline.chart import Chart, Timebase, make_chart
from timeline.colours import Looks
from timeline.drawing import Names
from timeline.film import Film
from timeline.free_name import check, create
from timeline.gif import FPS as GIF_FPS
from timeline.gif import GifFile
from timeline.history import History, Spans
from timeline.picture import WHAT, draw_picture
from utils import say, write_whole
from video_classifier import Prediction

PICTURES, FILMS = (".png", ".svg"), (".mp4", ".gif")
_NO_LETTERS = r"\W+"
_FIRST, _LONGEST = 10.0, 180.0  # seconds until a picture is written for the first time, and between two writings
_FILM_FPS = 30.0  # at most
_GIF_WIDTH = 720  # pixels
_WAITING = 8  # pictures between the main thread and the one that draws the film
_JOIN = 10.0  # seconds: against a disk that hangs; the work itself takes less than one

_Labels = Optional[Tuple[Sequence[str], np.ndarray, Names]]  # as TimelineFilm.follow() was given them, if it was


def check_path(path: str) -> str:
    """Checks the value of --timeline.

    Raises:
        UserError: Its suffix is none of those that are known.
    """
    if Path(path).suffix.lower() not in (*PICTURES, *FILMS):
        raise UserError(f"timeline {path!r}: its name must end in .png or .svg for a picture, .mp4 or .gif for a film")
    return path


def open_timeline(
    path: str, source: str, *, live: bool, fps: float | None, looks: Looks, name: str = ""
) -> TimelinePicture | TimelineFilm:
    """Opens the timeline of one source.

    Args:
        path: As given by the user.
        source: The source's name.
        live: Whether it is a camera: its axis shows the clock, and nobody waits for the drawing.
        fps: The source's usual rate, if it is known.
        looks: The labels' colours.
        name: What the file's name gets added, where there are several sources: "" or the source's name.

    Raises:
        UserError: The suffix isn't known.
        OutputError: The file can't be made there.
        PackageError: What draws or writes it isn't installed.
    """
    target = Path(check_path(path)).expanduser()
    if name:
        target = target.with_name(f"{target.stem}-{re.sub(_NO_LETTERS, '-', name).strip('-')}{target.suffix}")
    if target.suffix.lower() in PICTURES:
        return TimelinePicture(target, source, live, looks)
    return TimelineFilm(target, live, fps, looks)


class TimelinePicture:
    """A sink that draws the probabilities of a run's leading labels and its events as a PNG or SVG.

    The file is written at the end, and before that more and more rarely, at last every three minutes, each time whole:
    a kill costs at most what came since. An existing file is kept: the picture takes the next free name, with an empty
    file until there is more.

    Args:
        path: Ends in .png or .svg.
        source: The source's name, the title.
        live: Whether the axis shows the clock; else the source's time.
        looks: The labels' colours.
        first: Seconds after which the file is written for the first time.

    Attributes:
        path: The file's name in the end.

    Raises:
        OutputError: The file can't be made.
        PackageError: matplotlib is missing.
    """

    wants_pictures = False

    def __init__(self, path: Path, source: str, live: bool, looks: Looks, first: float = _FIRST) -> None:
        import_figure(WHAT)  # now, not at the end of a long run
        with create(path) as reserved:
            self.path = Path(reserved.name)
        self._source = source
        self._live = live
        self._looks = looks
        self._timebase: Timebase | None = None
        self._history = History()
        self._spans = Spans(self._history)
        self._names = Names()
        self._period = first
        self._due = time.monotonic() + first
        self._thread: threading.Thread | None = None
        self._closed = False

    def follow(self, labels: Sequence[str], candidates: np.ndarray, names: Names | None = None) -> None:
        """Sets the labels that may be drawn, see History.follow(), and how they are written."""
        self._history.follow(labels, candidates)
        self._names = names or Names()

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Remembers the predictions; the picture isn't used."""
        for prediction in predictions:
            self._looks.notice(prediction)
            self._history.add(prediction)
        if self._timebase is None and predictions:
            self._timebase = Timebase.of(self._live, self._history.now)
        if time.monotonic() >= self._due and (self._thread is None or not self._thread.is_alive()):
            self._period = min(2 * self._period, _LONGEST)
            self._due = time.monotonic() + self._period
            self._draw_meanwhile()

    def event(self, event: Event) -> None:
        """Takes an event of this source that has begun or ended."""
        if event.source == self._source:
            self._spans.add(event)

    def no_signal(self, seconds: float) -> None:
        """Does nothing: the lines are broken where nothing came."""

    def close(self) -> None:
        """Writes the picture of the whole run; may be called twice.

        Raises:
            OutputError: It can't be written.
        """
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._thread.join(_JOIN)
        chart = self._chart()
        if chart is None:
            self.path.unlink(missing_ok=True)
            say(f"timeline: the model saw nothing, so there is no {self.path}")
        else:
            self._write(chart)
            say(f"timeline: {self.path}")

    def _draw_meanwhile(self) -> None:
        chart = self._chart()
        if chart is not None:
            self._thread = threading.Thread(target=self._try, args=(chart,), name="timeline", daemon=True)
            self._thread.start()

    def _chart(self) -> Chart | None:
        if self._timebase is None:
            return None
        return make_chart(self._source, self._history, self._spans, self._looks, self._timebase, self._names)

    def _write(self, chart: Chart) -> None:
        write_whole(self.path, draw_picture(chart, self.path.suffix.lower()[1:]))

    def _try(self, chart: Chart) -> None:
        try:
            self._write(chart)
        except OutputError as error:  # there may be space again at the end
            say(f"timeline: {error}")


class TimelineFilm:
    """A sink that writes the video beside a growing chart, as MP4 or GIF.

    A thread of its own draws and encodes. For a camera it leaves pictures out when it can't keep up, but no
    prediction; a file waits for it. An existing file is kept: the film takes the next free name.

    Args:
        path: Ends in .mp4 or .gif (10 pictures a second at most, 720 pixels wide, two minutes).
        live: Whether it is a camera.
        fps: The source's usual rate, if it is known.
        looks: The labels' colours.

    Attributes:
        wants_frames: It wants the source's frames, without the overlay.
        path: The file's name in the end.

    Raises:
        OutputError: The file can't be made.
        PackageError: PyAV is missing.
    """

    wants_pictures = False
    wants_frames = True

    def __init__(self, path: Path, live: bool, fps: float | None, looks: Looks) -> None:
        self._file: VideoFile | GifFile
        if path.suffix.lower() == ".gif":
            self._file, most, width = GifFile(path), GIF_FPS, _GIF_WIDTH
        else:
            check(path)
            self._file, most, width = VideoFile(path, min(fps or _FILM_FPS, _FILM_FPS)), _FILM_FPS, None
        self.path = self._file.path
        self._period = 1 / most
        self._live = live
        self._looks = looks
        self._width = width
        self._labels: _Labels = None
        self._film: Film | None = None
        self._pending: list[tuple[_Labels, Prediction]] = []  # each with those that held when it was made
        self._last: float | None = None  # timestamp of the last picture that was taken
        self._error: Exception | None = None
        self._told = False
        self._queue: queue.Queue[tuple[np.ndarray, float, list[tuple[_Labels, Prediction]]] | None]
        self._queue = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="timeline", daemon=True)
        self._thread.start()

    def follow(self, labels: Sequence[str], candidates: np.ndarray, names: Names | None = None) -> None:
        """Sets the labels that may be drawn, see History.follow(), and how they are written."""
        self._labels = labels, candidates, names or Names()

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Takes a frame, uint8 [H, W, 3] BGR, which nobody modifies afterwards, and predictions.

        Raises:
            OutputError: The film has ended: it is full, or the disk is.
        """
        if self._error is not None:
            self._told = True
            raise self._error
        for prediction in predictions:
            self._looks.notice(prediction)
            self._pending.append((self._labels, prediction))
        since = self._period if self._last is None else timestamp - self._last
        if 0 <= since < 0.9 * self._period:
            return
        try:
            self._queue.put((picture, timestamp, self._pending), timeout=None if not self._live else 1e-4)
        except queue.Full:
            return
        self._last, self._pending = timestamp, []

    def event(self, event: Event) -> None:
        """Does nothing: the film shows what the model says."""

    def no_signal(self, seconds: float) -> None:
        """Does nothing: the last picture stands until the next one."""

    def close(self) -> None:
        """Finishes the film; may be called twice.

        Raises:
            OutputError: The end could not be written; not where write() has said so.
        """
        if not self._thread.is_alive():
            return
        with contextlib.suppress(queue.Full):  # a disk that hangs: the thread won't come back
            self._queue.put(None, timeout=_JOIN)
        self._thread.join(_JOIN)
        if self._error is None:
            say(f"timeline: {self.path}")
        elif not self._told:
            raise self._error

    def _work(self) -> None:
        """The thread: draws and writes until it is given None; after an error it only empties the queue."""
        while True:
            given = self._queue.get()
            try:
                if given is None:
                    if self._error is None:
                        self._file.close()
                    return
                if self._error is None:
                    self._add(*given)
            except Exception as error:  # the main thread raises it
                self._error = error
                if given is None:
                    return

    def _add(self, picture: np.ndarray, timestamp: float, pending: list[tuple[_Labels, Prediction]]) -> None:
        if self._film is None:
            self._film = Film(self._looks, Timebase.of(self._live, timestamp), self._width)
        for followed, prediction in pending:
            if followed is not None:
                labels, candidates, self._film.names = followed
                self._film.history.follow(labels, candidates)
            self._film.history.add(prediction)
        drawn = self._film.draw(picture)
        if isinstance(self._file, VideoFile):
            self._file.write(drawn, timestamp, [prediction for _, prediction in pending])
        else:
            self._file.write(drawn, timestamp)
