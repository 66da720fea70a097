"""Cameras that fail: pulled out, switched off, frozen, gone from the network. They are opened again until they return.

A camera's word is not trusted: FFmpeg and V4L2 call a dead camera open. What counts is whether pictures come in time,
and whether they differ.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import threading
import time
from typing import Callable

from errors import SourceError, UserError
from sources import Frame, Source
from sources.link import Link
from sources.stillness import FROZEN_AFTER, Stillness

# All in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
ANSWERED_PAUSE = 1.0  # the longest while something answers there: with an opening, it makes less than two
PROBE_INTERVAL = 0.5  # between looks, during a pause, whether the camera is back
OPEN_TIMEOUT = 20.0  # for opening a camera and its first frame; FFmpeg itself takes up to 10 and a read timeout
CLOSE_TIMEOUT = 1.0  # for a driver to let go of a camera
NOTICE_AFTER = 2.5  # without a picture until that is told, however long the read timeout; for a slow camera longer
# Threads that drivers have swallowed for good. One more would help no better; a new process may.
MOST_STUCK = 3

_log = logging.getLogger(__name__)


def keep_open(
    open_camera: Callable[[], Source],
    link: Link,
    *,
    retries: int | None = None,
    read_timeout: float = 5.0,
    frozen_after: float = FROZEN_AFTER,
) -> Source:
    """Opens a camera and opens it again whenever it fails.

    The first opening fails at once, since it may be the address that is wrong, unless `retries` are asked for; then
    each reason is told once.

    Args:
        open_camera: Opens it.
        link: The way to it.
        retries: Failed openings in a row after which it is given up; None for never.
        read_timeout: Seconds without a frame after which it is opened again.
        frozen_after: Seconds of one and the same picture after which it is opened again.

    Returns:
        A Reconnecting; or what was opened, if that isn't live: a video file behind an HTTP address.

    Raises:
        SourceError: It can't be opened.
        PackageError: It needs a Python package that isn't installed.
    """
    pauses = _Pauses(link, threading.Event())
    told: set[str] = set()
    for failures in itertools.count():
        try:
            link.prepare()
            source = open_camera()
            break
        except SourceError as error:
            if failures >= (retries or 0):
                raise
            if str(error) not in told:
                told.add(str(error))
                _log.warning("%s; trying again", error)
            pauses.wait()
    if not source.live:
        return source
    return Reconnecting(
        source, open_camera, link, retries=retries, read_timeout=read_timeout, frozen_after=frozen_after
    )


class Reconnecting:
    """A live Source around another one, which it opens again when it fails. Made by `keep_open`, which see.

    `read` and `outage` may be called from two threads, `interrupt` and `close` from any.
    """

    live = True

    def __init__(
        self,
        source: Source,
        open_camera: Callable[[], Source],
        link: Link,
        *,
        retries: int | None,
        read_timeout: float,
        frozen_after: float,
    ) -> None:
        self.name = source.name
        self.fps = source.fps
        self._open = open_camera
        self._link = link
        self._retries = retries
        self._read_timeout = read_timeout
        self._stillness = Stillness(frozen_after)
        self._index = 0
        self._lost = False
        self._last_frame = time.monotonic()
        self._interval = 0.0  # seconds between the last two frames
        self._stuck: list[_Reader] = []
        self._closed = threading.Event()
        self._close_by = 0.0  # seconds of the monotonic clock until which an interrupted driver is waited for
        self._replacing = threading.Lock()
        self._reader = _Reader(lambda: source, link)

    def read(self) -> Frame | None:
        """Blocks for the next frame, through outages of any length; None once closed.

        Raises:
            SourceError: It was given up, or its driver returns from nothing.
        """
        while not self._closed.is_set():
            try:
                return self._next_frame()
            except SourceError as error:
                if not self._closed.is_set():
                    self._reopen(error)
        return None

    def outage(self, now: float) -> float:
        """Returns for how many seconds there has been no picture; 0 while all is well.

        Args:
            now: Seconds of the monotonic clock.
        """
        silence = max(0.0, now - self._last_frame)
        noticed = min(self._read_timeout / 2, max(NOTICE_AFTER, 2 * self._interval))
        return silence if self._lost or silence > noticed else 0.0

    def interrupt(self) -> None:
        """Makes a read that blocks return None, as all later ones will; returns at once."""
        with self._replacing:
            if not self._closed.is_set():
                self._close_by = time.monotonic() + CLOSE_TIMEOUT
            self._closed.set()
            self._reader.stop()

    def close(self) -> None:
        """Interrupts, and waits a moment for the camera to be released; may be called twice."""
        self.interrupt()
        self._reader.join(max(0.0, self._close_by - time.monotonic()))

    def _next_frame(self) -> Frame:
        frame = self._reader.get(self._read_timeout)
        if frame is None:
            raise SourceError(f"no frame from {self.name} for {self._read_timeout:g} s; check its cable or network")
        now = time.monotonic()
        if self._retries != 0 and self._stillness.lasts_too_long(frame.image, now):
            raise SourceError(f"{self.name} repeats one picture; it has frozen, or looks at nothing")
        if self._lost:
            _log.warning("%s is back after %.1f s", self.name, now - self._last_frame)
        self._interval = 0.0 if self._lost else now - self._last_frame
        self._lost = False
        self._last_frame = now
        self._index += 1
        return dataclasses.replace(frame, index=self._index - 1)

    def _reopen(self, error: SourceError) -> None:
        """Opens the camera again, until it gives a frame or the source is closed."""
        if not self._lost:
            _log.warning("%s; trying again", error)
        self._lost = True
        pauses = _Pauses(self._link, self._closed)
        for failures in itertools.count():
            self._abandon(self._reader)
            if self._closed.is_set():
                return
            if self._retries is not None and failures >= self._retries:
                raise error
            pauses.wait()
            with self._replacing:
                if self._closed.is_set():
                    return
                self._reader = _Reader(self._open, self._link)
            try:
                self._reader.wait(OPEN_TIMEOUT)
                return
            except SourceError as another:
                error = another.with_traceback(None)  # which would hold this frame, and with it the error itself

    def _abandon(self, reader: _Reader) -> None:
        reader.stop()
        reader.join(CLOSE_TIMEOUT)
        self._stuck = [other for other in (*self._stuck, reader) if other.is_alive()]
        if len(self._stuck) > MOST_STUCK:
            raise SourceError(f"the driver of {self.name} doesn't return any more; start the program again")


class _Reader:
    """Opens and reads a source in a thread of its own, since a driver can block for longer than anybody will wait.

    That thread also closes it. Only the newest frame is kept.
    """

    def __init__(self, open_source: Callable[[], Source], link: Link) -> None:
        self._open = open_source
        self._link = link
        self._source: Source | None = None
        self._closing = threading.Lock()
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._failure: tuple[type[UserError], str] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Waits for a frame and leaves it there.

        Raises:
            SourceError: None came in `timeout` seconds, or what the source itself says.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame or self._failure or self._stopped, timeout)
            self._raise_failure()
            if self._frame is None:
                raise SourceError(f"no answer within {timeout:g} s")

    def get(self, timeout: float) -> Frame | None:
        """Takes the newest frame; None if none came in `timeout` seconds or it was stopped.

        Raises:
            SourceError: What the source itself says.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame or self._failure or self._stopped, timeout)
            frame, self._frame = self._frame, None
            if frame is None:
                self._raise_failure()
            return frame

    def stop(self) -> None:
        """Asks the thread to end, and ends what it may be blocked in; returns at once."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._link.cut()
        threading.Thread(target=self._close, name="close camera", daemon=True).start()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._link.prepare()
            self._source = self._open()
            while not self._stopped:
                frame = self._source.read()
                if frame is None:
                    raise SourceError(f"{self._source.name} has ended")
                with self._changed:
                    self._frame = frame
                    self._changed.notify_all()
        except UserError as error:
            self._fail(type(error), str(error))
        except Exception as error:  # Whatever a driver raises. Its text is not shown: it may hold the URL.
            self._fail(SourceError, f"the camera's driver failed ({type(error).__name__})")
        finally:
            self._close()

    def _fail(self, kind: type[UserError], text: str) -> None:
        # The error itself would hold, by its traceback, this thread's frames and pictures until the next collection.
        with self._changed:
            self._failure = kind, text
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            kind, text = self._failure
            raise kind(text)

    def _close(self) -> None:
        with self._closing, contextlib.suppress(Exception):  # A camera that is gone can't be closed in good order.
            if self._source is not None:
                self._source.close()


class _Pauses:
    """The pauses between openings, which grow.

    Much while nothing answers: one ends early when something begins to, and then they begin anew. But little while the
    camera answers and yet refuses, since nothing but an opening shows that it has become willing.

    Args:
        link: The way to the camera.
        closed: Ends any pause.
    """

    def __init__(self, link: Link, closed: threading.Event) -> None:
        self._link = link
        self._closed = closed
        self._pause = FIRST_PAUSE
        self._answered = True  # only a change is news: a camera may answer and yet give no picture

    def wait(self) -> None:
        end = time.monotonic() + self._pause
        while not self._closed.wait(max(0.0, min(PROBE_INTERVAL, end - time.monotonic()))):
            answered, before = self._link.answers(), self._answered
            self._answered = answered
            if answered and not before:
                self._pause = FIRST_PAUSE
                return
            if time.monotonic() >= end:
                self._pause = min(2 * self._pause, ANSWERED_PAUSE if answered else LONGEST_PAUSE)
                return
