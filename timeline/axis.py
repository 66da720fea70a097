"""The time axis of a chart: where its ticks stand, and what they are called."""

from __future__ import annotations

import math
import time

_HOUR, _DAY = 3600, 86400
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_LONG_STEPS = (_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY)


def ticks(start: float, end: float, most: int, clock: bool) -> list[tuple[float, str]]:
    """Chooses round times.

    Args:
        start: Seconds: since 1970 (UTC) for the clock's time, else of the source.
        end: Likewise, not before start.
        most: How many ticks the axis has room for, at least 2.
        clock: Whether to name them by this machine's clock.

    Returns:
        Times in seconds, each with its name: "1:30", "2:00:00", "3 d", "14:05", "21 Nov".
    """
    steps = (*_STEPS, *_LONG_STEPS)
    step = next((step for step in steps if (end - start) / step <= most - 1), steps[-1])
    while (end - start) / step > most - 1:
        step *= 2
    zone = time.localtime(start).tm_gmtoff if clock else 0
    numbers = range(math.ceil((start + zone) / step), math.floor((end + zone) / step) + 1)
    times = [number * step - zone for number in numbers]
    return [(moment, of_clock(moment, step) if clock else of_source(moment, step)) for moment in times]


def of_source(seconds: float, step: float = 1) -> str:
    """Names a time of a file: "1:30", or "3 d 6 h" where the ticks are hours apart and days long."""
    whole = round(seconds)
    days, hours, minutes = whole // _DAY, whole % _DAY // _HOUR, whole % _HOUR // 60
    if days and step >= _HOUR:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{minutes:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}"


def of_clock(seconds: float, step: float = 1) -> str:
    """Names a moment in local time: "14:05:30", "14:05", and at midnight "21 Nov"."""
    moment = time.localtime(round(seconds))
    if step >= _DAY or (step >= _HOUR and moment.tm_hour == moment.tm_min == 0):
        return f"{moment.tm_mday} {time.strftime('%b', moment)}"
    return time.strftime("%H:%M:%S" if step < 60 else "%H:%M", moment)
