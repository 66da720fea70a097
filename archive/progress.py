"""How far an archive has come, on stderr: a bar on a terminal if tqdm is installed, else a line now and then."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import Any

from teaching.progress import time_left
from utils import say

_PERIOD = 10.0  # seconds between two lines
_REDRAW = 0.5  # seconds between two pictures of the bar
_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"


class Progress:
    """A context manager. The time that is left is told by bytes: files differ in length.

    Args:
        files: How many there are to do.
        size: Bytes of all of them.
        period: Seconds between two lines.
    """

    def __init__(self, files: int, size: int, period: float = _PERIOD) -> None:
        self._files, self._size, self._period = files, max(1, size), period
        self._done = self._done_size = 0
        self._start = self._told = time.monotonic()
        self._bar: Any = None
        if sys.stderr is not None and sys.stderr.isatty():
            with contextlib.suppress(ImportError):
                from tqdm import tqdm

                # On a serial console, whose size nobody knows, tqdm itself would show nothing.
                columns, rows = shutil.get_terminal_size()
                self._bar = tqdm(
                    desc=self._text(), total=self._size, bar_format=_FORMAT, smoothing=0, ncols=columns, nrows=rows
                )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, size: int) -> None:
        """Counts a file of so many bytes."""
        self._done += 1
        self._done_size += size
        if self._bar is not None:
            self._bar.set_description_str(self._text(), refresh=False)
            self._bar.update(size)
        self.show()

    def show(self) -> None:
        """Shows how the time goes, if it is time to; to be called often."""
        now = time.monotonic()
        if self._bar is not None:
            if now - self._told >= _REDRAW:
                self._told = now
                self._bar.refresh()
        elif now - self._told >= self._period and self._done < self._files:
            self._told = now
            left = ""
            if self._done_size:
                left = ", " + time_left((now - self._start) / self._done_size * (self._size - self._done_size))
            say(f"{self._text()}{left}")

    def tell(self, line: str) -> None:
        """Prints a line, above the bar."""
        if self._bar is not None:
            self._bar.clear()
        say(line)
        if self._bar is not None:
            self._bar.refresh()

    def _text(self) -> str:
        return f"archive: {self._done} of {self._files} files"
