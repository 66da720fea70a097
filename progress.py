"""How far a long task has come, on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Any, Iterator, Sequence, TypeVar

from utils import say

_PERIOD = 10.0  # seconds between two lines
_REDRAW = 0.5  # seconds between two pictures of the bar while nothing is done
_WIDE = 70  # columns from which there is room for more than the number, a bar and the time left
_FORM, _NARROW_FORM = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left", "{desc}|{bar}| {remaining} left"
_COLUMNS = 80  # where nobody knows

T = TypeVar("T")


class Progress:
    """A context manager, for any thread: a bar on a terminal if tqdm is installed, otherwise a line now and then.

    A short task says nothing where there is no bar.

    Args:
        task: What it is called.
        total: How many items there are to do.
        unit: What they are, in the plural.
        size: Of all of them, if they differ: the time that is left is told by it.
        period: Seconds between two lines.
    """

    def __init__(
        self, task: str, total: int, unit: str = "clips", size: int | None = None, period: float = _PERIOD
    ) -> None:
        self._task, self._total, self._unit, self._period = task, total, unit, period
        self._size = max(1, total if size is None else size)
        self._done = self._done_size = 0
        self._start = self._told = time.monotonic()
        self._lock = threading.Lock()
        self._wide = True
        self._bar: Any = None
        if sys.stderr is not None and sys.stderr.isatty():
            with contextlib.suppress(ImportError):
                self._bar = self._open_bar()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, size: int = 1) -> None:
        """Counts an item of this size."""
        with self._lock:
            self._done += 1
            self._done_size += size
            if self._bar is not None:
                self._bar.set_description_str(self._text(), refresh=False)
                self._bar.update(size)
        self.show()

    def show(self) -> None:
        """Shows how the time goes, if it is time to; to be called often where items take long."""
        with self._lock:
            now = time.monotonic()
            if self._bar is not None:
                if now - self._told >= _REDRAW:
                    self._told = now
                    self._bar.refresh()
            elif now - self._told >= self._period and self._done < self._total:
                self._told = now
                left = ""
                if self._done_size:
                    left = ", " + time_left((now - self._start) / self._done_size * (self._size - self._done_size))
                say(f"{self._text()}{left}")

    def tell(self, line: str) -> None:
        """Prints a line, above the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
            say(line)
            if self._bar is not None:
                self._bar.refresh()

    def _open_bar(self) -> Any:
        from tqdm import tqdm  # type: ignore[import-untyped]

        columns = _COLUMNS
        with contextlib.suppress(OSError, ValueError):
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
        self._wide = columns >= _WIDE
        form = _FORM if self._wide else _NARROW_FORM
        # On a serial console, whose size nobody knows (0x0), tqdm itself would show no bar.
        return tqdm(desc=self._text(), total=self._size, bar_format=form, smoothing=0, ncols=columns, nrows=24)

    def _text(self) -> str:
        number = f"{self._done} of {self._total} {self._unit}"
        return f"{self._task}: {number}" if self._wide else number


def track(items: Sequence[T], task: str = "features", unit: str = "clips", period: float = _PERIOD) -> Iterator[T]:
    """Yields the items while telling how many are done and how long the rest will take; arguments as of Progress."""
    with Progress(task, len(items), unit, period=period) as progress:
        for item in items:
            yield item
            progress.advance()


def time_left(seconds: float) -> str:
    """Returns "about 40 s left", with no more digits than an estimate deserves."""
    if seconds < 10:
        return "some seconds left"
    if seconds < 100:
        return f"about {round(seconds, -1):.0f} s left"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.0f} h left"
