"""The sources as the web server sees them: a sink in the main thread, pictures and predictions for the viewers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any, Sequence

import numpy as np

from timeline.colours import Looks
from video_classifier import Prediction
from web.history import History
from web.pictures import Channel, Encoder


class SourceSink:
    """A sink that keeps the newest picture of a source, and its predictions. It encodes nothing.

    Args:
        name: The source's.
        channel: For its pictures.
        sources: Those that it belongs to, until it is closed.
        looks: The labels' colours.
    """

    def __init__(self, name: str, channel: Channel, sources: Sources, looks: Looks) -> None:
        self.name = name
        self.channel = channel
        self.history = History(looks)
        self._sources = sources

    @property
    def wants_pictures(self) -> bool:
        """Whether somebody looks."""
        return self.channel.viewers > 0

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Keeps the picture, uint8 [H, W, 3] BGR, and the predictions."""
        self.channel.put(picture)
        self.history.add(predictions)

    def no_signal(self, seconds: float) -> None:
        """Does nothing: the statistics say it."""

    def close(self) -> None:
        """Takes the source off; may be called twice."""
        self._sources.remove(self)


class Sources:
    """All sources. `open` and `remove` are for the main thread; the rest for any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, encoder: Encoder, looks: Looks) -> None:
        self._loop = loop
        self._looks = looks
        self._encoder = encoder
        self._sinks: dict[str, SourceSink] = {}  # replaced as a whole: who reads it needs no lock

    def open(self, name: str) -> SourceSink:
        """Returns the sink of a new source; a second one of the same name is numbered."""
        names = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
        free = next(one for one in names if one not in self._sinks)
        sink = SourceSink(free, Channel(self._loop, self._encoder), self, self._looks)
        self._replace({**self._sinks, free: sink})
        return sink

    def remove(self, sink: SourceSink) -> None:
        """Takes a source off and sends its viewers away."""
        self._replace({name: one for name, one in self._sinks.items() if one is not sink})
        with contextlib.suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(sink.channel.close)

    def find(self, name: str | None) -> SourceSink | None:
        """Returns a source by its name; the first one for None."""
        return next(iter(self._sinks.values()), None) if name is None else self._sinks.get(name)

    def latest(self) -> dict[str, dict[str, Any] | None]:
        """Returns the newest prediction of each source, ready for JSON."""
        return {name: sink.history.latest for name, sink in self._sinks.items()}

    def _replace(self, sinks: dict[str, SourceSink]) -> None:
        self._sinks = sinks
        self._encoder.watch(tuple(sink.channel for sink in sinks.values()))
