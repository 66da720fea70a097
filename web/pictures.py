"""The live picture as JPEG: encoded once for all who look, at a bounded rate, and only while somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Iterator

import cv2
import numpy as np

_PERIOD = 0.1  # seconds between two pictures of a source
_WIDTH = 1280  # pixels; larger ones are shrunk
_QUALITY = 75


class Channel:
    """The newest picture of one source.

    `put` is for the main thread, `encode` for the encoder's thread, everything else for the server's loop.

    Args:
        loop: The server's.
        encoder: Told when the first viewer comes.

    Attributes:
        viewers: How many look.
        jpeg: The newest picture; empty before the first.
        number: Grows with each picture.
        closed: Whether the source has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, encoder: Encoder) -> None:
        self.viewers = 0
        self.jpeg = b""
        self.number = 0
        self.closed = False
        self._loop = loop
        self._encoder = encoder
        self._latest: np.ndarray | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    def put(self, picture: np.ndarray) -> None:
        """Takes a picture, uint8 [H, W, 3] BGR, in place of one that nobody came to encode."""
        if self.viewers:
            self._latest = picture

    def encode(self) -> None:
        """Makes the newest picture a JPEG, if there is a new one."""
        picture, self._latest = self._latest, None
        if picture is not None:
            jpeg = _to_jpeg(picture)
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                self._loop.call_soon_threadsafe(self._announce, jpeg)

    @contextlib.contextmanager
    def viewer(self) -> Iterator[None]:
        """Somebody looks, for as long as the block runs."""
        self.viewers += 1
        self._encoder.wake()
        try:
            yield
        finally:
            self.viewers -= 1
            if not self.viewers:
                self.jpeg, self._latest = b"", None  # would be old when the next one comes

    async def newer(self, number: int, seconds: float) -> int:
        """Waits for a picture after the one with this number, or some seconds; returns the newest one's number."""
        if not self.closed and (self.number == number or not self.jpeg):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await asyncio.wait({waiter}, timeout=seconds)
            finally:
                self._waiting.discard(waiter)
        return self.number

    def close(self) -> None:
        """Sends the viewers away."""
        self.closed = True
        self._tell()

    def _announce(self, jpeg: bytes) -> None:
        if self.viewers:
            self.jpeg = jpeg
            self.number += 1
            self._tell()

    def _tell(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class Encoder:
    """The thread that encodes the pictures of all channels; it sleeps while nobody looks."""

    def __init__(self) -> None:
        self._channels: tuple[Channel, ...] = ()  # replaced as a whole: the thread needs no lock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web pictures", daemon=True)
        self._thread.start()

    def watch(self, channels: tuple[Channel, ...]) -> None:
        """Says which channels there are."""
        self._channels = channels

    def wake(self) -> None:
        """Says that somebody looks."""
        self._wake.set()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._wake.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()  # before looking for viewers: one who comes meanwhile sets it again
            started = time.monotonic()
            for channel in [channel for channel in self._channels if channel.viewers]:
                self._wake.set()
                channel.encode()
            self._stop.wait(max(0.0, started + _PERIOD - time.monotonic()))


def _to_jpeg(picture: np.ndarray) -> bytes:
    height, width = picture.shape[:2]
    if width > _WIDTH:
        picture = cv2.resize(picture, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_LINEAR)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
