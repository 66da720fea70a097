"""Writes every prediction as a line of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Sequence, TextIO

import numpy as np

from errors import OutputError
from printing import STDOUT, write_line
from video_classifier import Prediction


class JsonLines:
    """A sink that writes JSON Lines in UTF-8: appended to a file, or to standard output.

    Each line reaches the system at once, so that a kill costs at most the line that is being written.

    Args:
        path: A file, or "-" for standard output.
        source_name: What the lines give as "source"; without credentials.

    Raises:
        OutputError: The file can't be opened.
    """

    wants_pictures = False

    def __init__(self, path: str | os.PathLike[str], source_name: str) -> None:
        self._source_name = source_name
        self._stream, self._name = open_lines(path)

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Writes a line per prediction.

        Args:
            picture: Not used.
            timestamp: Not used: a prediction has its own.
            predictions: Those made since the last call, oldest first.

        Raises:
            ReaderGone: Nobody reads the pipe any more.
            OutputError: The disk is full or broken.
        """
        for prediction in predictions:
            record = prediction.to_json()
            timestamp = record.pop("timestamp")
            self._write_record({"time": _now(), "timestamp": timestamp, "source": self._source_name, **record})

    def no_signal(self, seconds: float) -> None:
        """Writes a line that says for how long there has been no picture."""
        self._write_record({"time": _now(), "source": self._source_name, "no_signal": round(seconds, 1)})

    def close(self) -> None:
        """Closes the file; may be called twice."""
        with contextlib.suppress(OSError):  # a line that write() has reported as lost
            self._stream.close()

    def _write_record(self, record: dict[str, Any]) -> None:
        write_line(self._stream, json.dumps(record, ensure_ascii=False, allow_nan=False), self._name)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_lines(path: str | os.PathLike[str]) -> tuple[TextIO, str]:
    """Opens a file to append lines to, or standard output.

    Args:
        path: A file, or "-" for standard output.

    Returns:
        The stream, and what messages call it.

    Raises:
        OutputError: The file can't be opened.
    """
    name = STDOUT if str(path) == "-" else str(path)
    try:
        return (_open_stdout() if name == STDOUT else _open_to_append(Path(path).expanduser())), name
    except OSError as error:
        raise OutputError(f"can't write {name}: {error.strerror or error}; give a file you may write") from None


def _open_stdout() -> TextIO:
    if sys.stdout is None:  # the shell's >&-
        raise OutputError("can't write standard output: it is closed; give a file")
    # A stream of our own: JSON is UTF-8 whatever the terminal's encoding is.
    return open(sys.stdout.fileno(), "w", encoding="utf-8", newline="\n", closefd=False)


def _open_to_append(path: Path) -> TextIO:
    last = b"\n"
    if path.is_file() and path.stat().st_size:
        with open(path, "rb") as old:
            old.seek(-1, os.SEEK_END)
            last = old.read()
    stream = open(path, "a", encoding="utf-8", newline="\n")
    if last != b"\n":  # an earlier run was killed within a line
        stream.write("\n")
    return stream
