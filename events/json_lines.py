"""Writes every event as two lines of JSON: when it has begun and when it has ended."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import datetime, timezone
from typing import Any

from events import Event
from printing import write_line
from sinks.jsonl import open_lines


class JsonLinesEvents:
    """An EventSink that writes JSON Lines in UTF-8: appended to a file, or to standard output.

    Args:
        path: A file, or "-" for standard output.

    Raises:
        OutputError: The file can't be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._stream, self._name = open_lines(path)

    def event(self, event: Event) -> None:
        """Writes a line, which reaches the system at once.

        Raises:
            ReaderGone: Nobody reads the pipe any more.
            OutputError: The disk is full or broken.
        """
        write_line(self._stream, json.dumps(record(event), ensure_ascii=False, allow_nan=False), self._name)

    def close(self) -> None:
        """Closes the file; may be called twice."""
        with contextlib.suppress(OSError):  # a line that event() has reported as lost
            self._stream.close()


def record(event: Event) -> dict[str, Any]:
    """Returns an event, ready for JSON, as it is told to everybody outside."""
    return {
        "event": "began" if event.ongoing else "ended",
        "id": event.id,
        "label": event.label,
        "source": event.source,
        "start": utc(event.start),
        "end": None if event.ongoing else utc(event.end),
        "duration": round(event.duration, 3),
        "position": round(event.position, 3),
        "peak": round(event.peak, 6),
        "mean": round(event.mean, 6),
        "clip": event.clip,
    }


def utc(epoch: float) -> str:
    """Returns seconds since 1970 as 2026-11-21T08:26:37.540Z."""
    moment = datetime.fromtimestamp(epoch, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
