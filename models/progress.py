"""How far a download has come, on stderr."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

_BAR = 20  # columns
_PERIOD = 0.1  # seconds between two redraws


class ProgressLine:
    """One line that redraws itself on a terminal; elsewhere one line at the start and one at the end.

    A context manager, called with the bytes received so far and the bytes expected in all (None if unknown).
    """

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self._name = name
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._started = self._drawn = 0.0
        self._first = self._received = 0
        self._total: int | None = None

    def __enter__(self) -> ProgressLine:
        if self._terminal:
            self._show(f"{self._name} ...")
        return self

    def __call__(self, received: int, total: int | None) -> None:
        now = time.monotonic()
        if not self._terminal and not self._started:
            self._show(f"fetching {self._name} ...", "\n")
        if not self._started or received < self._received:
            # A new download, or one that starts over. What an earlier run left doesn't count for the speed.
            self._started, self._first = now, received
        self._received, self._total = received, total
        if self._terminal and now - self._drawn >= _PERIOD:
            self._drawn = now
            self._show(self._line(now))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind:
            self._show("")  # whoever catches the error prints the reason in this line's place
        elif not self._received:
            self._show(f"{self._name} is here", "\n")
        elif self._terminal:
            self._show(self._line(time.monotonic()), "\n")
        else:
            self._show(f"{self._name} fetched, {self._received / 1e6:.1f} MB", "\n")

    def _line(self, now: float) -> str:
        rate = (self._received - self._first) / 1e6 / max(now - self._started, 1e-3)
        speed = f"{rate:.1f} MB/s"
        if not self._total:
            return f"{self._name}  {self._received / 1e6:.1f} MB  {speed}"
        done = self._received / self._total
        filled = int(done * _BAR)
        bar = "#" * filled + "-" * (_BAR - filled)
        amount = f"{self._received / 1e6:.1f} of {self._total / 1e6:.1f} MB"
        return f"{self._name}  [{bar}]  {done:4.0%}  {amount}  {speed}"

    def _show(self, text: str, end: str = "") -> None:
        if self._terminal:
            text = "\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1]
        self._stream.write(text + end)
        self._stream.flush()
