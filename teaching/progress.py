"""How far a long task has come, on stderr."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import Iterator, Sequence, TypeVar

from utils import say

_PERIOD = 10.0  # seconds between two lines

T = TypeVar("T")


def track(items: Sequence[T], task: str = "features", unit: str = "clips", period: float = _PERIOD) -> Iterator[T]:
    """Yields the items while telling how many are done and how long the rest will take.

    A bar on a terminal if tqdm is installed, otherwise a line now and then; a short task says nothing then.

    Args:
        items: What the task goes through.
        task: What it is called.
        unit: What the items are, in the plural.
        period: Seconds between two lines.
    """
    if sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            return _bar(items, task, unit)
    return _lines(items, task, unit, period)


def _bar(items: Sequence[T], task: str, unit: str) -> Iterator[T]:
    from tqdm import tqdm

    # On a serial console, whose size nobody knows, tqdm itself would show nothing.
    columns, rows = shutil.get_terminal_size()
    return iter(tqdm(items, desc=task, unit=f" {unit}", ncols=columns, nrows=rows))


def _lines(items: Sequence[T], task: str, unit: str, period: float) -> Iterator[T]:
    start = told = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - told >= period:
            told = now
            say(f"{task}: {done} of {len(items)} {unit}, {time_left((now - start) / done * (len(items) - done))}")
        yield item


def time_left(seconds: float) -> str:
    """Returns "about 40 s left", with no more digits than an estimate deserves."""
    if seconds < 10:
        return "some seconds left"
    if seconds < 100:
        return f"about {round(seconds, -1):.0f} s left"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.0f} h left"
