"""Tells how far a long run has come, and when it will be done."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import Any

from utils import say

_PERIOD = 30.0  # seconds between two lines where there is no bar


class Progress:
    """A context manager, for any thread: a bar where tqdm is installed and somebody watches; else a line now and then.

    Args:
        total: Clips to come.
        period: Seconds between two lines.
    """

    def __init__(self, total: int, period: float = _PERIOD) -> None:
        self._total = total
        self._period = period
        self._done = 0
        self._start = self._told = time.monotonic()
        self._lock = threading.Lock()
        self._bar = _open_bar(total)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self) -> None:
        """Counts a clip."""
        with self._lock:
            self._done += 1
            now = time.monotonic()
            if self._bar is not None:
                self._bar.update()
            elif now - self._told >= self._period and self._done < self._total:
                self._told = now
                left = (now - self._start) / self._done * (self._total - self._done)
                say(f"{self._done} of {self._total} clips, {_in_words(left)} left")

    def say(self, text: str) -> None:
        """Prints a line without disturbing the bar."""
        with self._lock:
            if self._bar is None:
                say(text)
            else:
                self._bar.write(text, file=sys.stderr)


def _open_bar(total: int) -> Any:
    """Returns tqdm's bar, or None."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return None
    columns, rows = shutil.get_terminal_size()  # tqdm itself shows nothing on a serial console, whose size nobody knows
    return tqdm(total=total, unit=" clips", leave=False, ncols=columns, nrows=rows, smoothing=0.1)


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
