"""Prints a day of a database of events: as a table, in sums, and as a timeline."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import sys
import textwrap
import time
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Iterable, Sequence

from errors import UserError
from events.database import is_running, kind_problem
from utils import printable

_WAIT = 5.0  # seconds for a database that another program holds
_HOUR = 3600.0
_TICKS = (5, 10, 15, 30, 60, 120, 180, 240, 360, 720)  # minutes between two times on the axis
_TICK_WIDTH = 8  # columns from one to the next, at least: "06:00" and some space
_LEAST_PLOT = 50  # columns that long labels leave to the plot
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class _Style:
    """The characters of a report.

    Attributes:
        levels: Of a cell of the timeline, from the least of its time to the most.
        side: Left and right of the timeline.
        guide: Of an empty cell above a time of the axis.
        axis: Left end, line, mark of a time, and right end.
        ellipsis: For what was cut off, or isn't over.
    """

    levels: str
    side: str
    guide: str
    axis: tuple[str, str, str, str]
    ellipsis: str


_UNICODE = _Style("▁▂▃▄▅▆▇█", "│", "·", ("└", "─", "┴", "┘"), "…")
_ASCII = _Style("_-=+*%#@", "|", ".", ("+", "-", "+", "+"), "~")


@dataclass(frozen=True)
class _Row:
    """An event as the database has it, with times in seconds since 1970."""

    label: str
    source: str
    start: float
    duration: float
    peak: float
    mean: float
    clip: str
    ongoing: bool
    cut: bool

    @property
    def end(self) -> float:
        return self.start + self.duration


def report(
    path: str | os.PathLike[str], day: date | None = None, *, width: int | None = None, encoding: str | None = None
) -> str:
    """Describes a day of events.

    Args:
        path: A database of --events; another program may be writing to it.
        day: By this machine's time zone; None for the latest day with events.
        width: Columns of the terminal; None to ask it.
        encoding: Of the terminal, which may not know every character; None for that of standard output.

    Returns:
        Lines without an end of the last one. The timeline fits the width; a table does unless its labels are long.

    Raises:
        UserError: The file can't be read, or is something else.
    """
    width = width or shutil.get_terminal_size((80, 24)).columns
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "utf-8"
    style = _UNICODE if _is_known(_UNICODE, encoding) else _ASCII
    path = Path(path).expanduser()
    try:
        with contextlib.closing(_connect(path)) as connection:
            text = _describe(path.name, connection, day, width, style)
    except UserError:
        raise
    except (OSError, sqlite3.Error, OverflowError, TypeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"can't read {path}: {reason}; give a file that --events has written") from None
    return text.encode(encoding, "replace").decode(encoding)


def _connect(path: Path) -> sqlite3.Connection:
    """Opens a database that others may be writing to, and changes nothing."""
    path = path.resolve(strict=True)
    problem = kind_problem(path)
    if problem:
        raise UserError(f"can't read {path}: {problem}; give a file that --events has written")
    # Whoever writes has a log beside it. Without one there is nothing to share, and SQLite would leave files behind,
    # or refuse where it may not write.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"{path.as_uri()}?{mode}", timeout=_WAIT, uri=True)


def _describe(name: str, connection: sqlite3.Connection, day: date | None, width: int, style: _Style) -> str:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
        return f"{name}: no events yet"
    first, last = connection.execute("SELECT min(start), max(start) FROM events").fetchone()
    if first is None:
        return f"{name}: no events yet"
    day = day or _day_of(last)
    begin, end = _midnight(day), _midnight(day + timedelta(days=1))
    rows = _read(connection, begin, end)
    if not rows:
        first_day, last_day = _day_of(first), _day_of(last)
        others = f"on {last_day}" if first_day == last_day else f"between {first_day} and {last_day}"
        return f"{name}: no events on {day}; there are some {others}"
    parts = [
        _heading(name, day, rows, begin, end, width),
        _table(rows, begin, style),
        _sums(rows, begin, end),
        _timeline(rows, begin, end, width, style),
    ]
    return "\n\n".join(parts)


def _day_of(epoch: float) -> date:
    return datetime.fromtimestamp(epoch).date()


def _midnight(day: date) -> float:
    """Returns when a day begins. The next one may begin 23 or 25 hours later."""
    return datetime(day.year, day.month, day.day).timestamp()


def _read(connection: sqlite3.Connection, begin: float, end: float) -> list[_Row]:
    """Returns the events that lie in a day, wholly or in part, by their start."""
    found = connection.execute(
        "SELECT label, source, start, duration, peak, mean, clip, ongoing, cut, writer FROM events "
        "WHERE start < ? AND (start >= ? OR start + duration > ? OR ongoing) ORDER BY start, id",
        (end, begin, begin),
    )
    rows = []
    for label, source, start, duration, peak, mean, clip, ongoing, cut, writer in found:
        texts = printable(str(label)), printable(str(source))
        row = _Row(*texts, start, duration, peak, mean, printable(str(clip or "")), bool(ongoing), bool(cut))
        if row.ongoing and is_running(writer):
            row = replace(row, duration=max(duration, time.time() - start))
        elif row.ongoing:  # its program was killed, and nobody has opened the file since
            row = replace(row, ongoing=False, cut=True)
        if row.start >= begin or row.end > begin:
            rows.append(row)
    return rows


def _heading(name: str, day: date, rows: Sequence[_Row], begin: float, end: float, width: int) -> str:
    total = sum(_within(row, begin, end) for row in rows)
    events = f"{len(rows)} event{'s' * (len(rows) > 1)}"
    text = f"{printable(str(name))}, {_DAYS[day.weekday()]} {day}: {events}, {_duration(total)} in all"
    sources = sorted({row.source for row in rows})
    if len(sources) == 1:
        text += f", from {sources[0]}"
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _table(rows: Sequence[_Row], begin: float, style: _Style) -> str:
    """Lists every event. The source is a column where there are several, the clip where there is one."""
    several, clips = len({row.source for row in rows}) > 1, any(row.clip for row in rows)
    cells = [["start", "duration", "label", "peak", "mean"] + ["source"] * several + ["clip"] * clips]
    for row in rows:
        start = datetime.fromtimestamp(row.start)
        mark = style.ellipsis if row.ongoing else "+" if row.cut else " "
        cells.append(
            [
                f"{start:%H:%M:%S}" if row.start >= begin else f"{start:%Y-%m-%d %H:%M:%S}",
                _duration(row.duration) + mark,
                row.label,
                _percent(row.peak),
                _percent(row.mean),
            ]
            + [row.source] * several
            + [row.clip] * clips
        )
    cells[0][1] += " "  # over the numbers, not over their marks
    text = _align(cells, "rrlrrll")
    if any(row.ongoing for row in rows):
        text += f"\n{style.ellipsis} still lasts"
    if any(row.cut for row in rows):
        text += "\n+ or longer: the program was killed meanwhile"
    return text


def _sums(rows: Sequence[_Row], begin: float, end: float) -> str:
    cells = [["label", "events", "in all", "longest", "peak"]]
    for label, own in _by_label(rows, begin, end):
        times = [_within(row, begin, end) for row in own]
        peak = max(row.peak for row in own)
        cells.append([label, str(len(own)), _duration(sum(times)), _duration(max(times)), _percent(peak)])
    return _align(cells, "lrrrr")


def _timeline(rows: Sequence[_Row], begin: float, end: float, width: int, style: _Style) -> str:
    """Draws a row a label over the hours that have events; the higher a block, the more of its time the action took."""
    first = begin + math.floor((max(begin, rows[0].start) - begin) / _HOUR) * _HOUR
    last = min(end, max(max(row.end for row in rows), rows[-1].start + 1))
    hours = math.ceil((last - first) / _HOUR)
    names, columns = _split(width, max(_width(row.label) for row in rows), hours)
    cell = hours * _HOUR / columns  # seconds
    groups = [(label, _times(own, first, cell, columns)) for label, own in _by_label(rows, begin, end)]
    most = max([seconds for _, times in groups for seconds in times.values()] + [1e-3])
    ticks = _ticks(first, hours, columns)
    lines = []
    for label, times in groups:
        cells = [style.guide if column in ticks and column else " " for column in range(columns)]
        for column, seconds in times.items():
            cells[column] = style.levels[max(1, math.ceil(seconds / most * len(style.levels))) - 1]
        lines.append(f"{_fit(label, names, style)} {style.side}{''.join(cells)}{style.side}")
    left, line, mark, right = style.axis
    axis = [mark if column in ticks and column else line for column in range(columns)]
    lines.append(" " * (names + 1) + left + "".join(axis) + right)
    texts = ""
    for column, text in ticks.items():
        place = names + (column + 2 if column else 1) - len(text) // 2
        if place > len(texts) or not texts:
            texts = texts.ljust(place) + text
    # Several sources, or files read faster than they play, can have more of a label than time went by.
    share = "of" if most <= cell else "in"
    scale = f"{style.levels[-1]} is {_duration(most)} {share} {_duration(cell)}".replace(" 00 s", "")
    return "\n".join([*lines, texts, scale])


def _split(width: int, longest: int, hours: int) -> tuple[int, int]:
    """Returns the columns for the labels and for the timeline, whose hours are equally wide where there is room."""
    room = max(20, width - 5)  # without the sides, a space, and half of the last time on the axis
    names = max(2, min(longest, max(room - _LEAST_PLOT, room // 3)))
    columns = (room - names) // hours * hours
    if not columns:
        return names, room - names
    return max(names, min(longest, room - columns)), columns


def _ticks(first: float, hours: int, columns: int) -> dict[int, str]:
    """Returns the times on the axis by column; the one after the last column is its end."""
    per_minute = columns / (hours * 60)
    step = next((minutes for minutes in _TICKS if minutes * per_minute >= _TICK_WIDTH), _TICKS[-1])
    ticks = {}
    for minutes in range(0, hours * 60 + 1, _TICKS[0]):  # of real time: where the clocks change, hours repeat or lack
        moment = datetime.fromtimestamp(first + minutes * 60)
        if (moment.hour * 60 + moment.minute) % step == 0:
            midnight = minutes and not moment.hour and not moment.minute
            ticks[round(minutes * per_minute)] = "24:00" if midnight else f"{moment:%H:%M}"
    return ticks


def _times(rows: Iterable[_Row], first: float, cell: float, columns: int) -> dict[int, float]:
    """Returns the seconds that these events take of each column in which they lie."""
    times: dict[int, float] = {}
    for row in rows:
        start, end = (row.start - first) / cell, (row.end - first) / cell
        for column in range(max(0, math.floor(start)), min(columns, max(math.floor(start) + 1, math.ceil(end)))):
            times[column] = times.get(column, 0.0) + (min(end, column + 1) - max(start, column)) * cell
    return times


def _by_label(rows: Sequence[_Row], begin: float, end: float) -> list[tuple[str, list[_Row]]]:
    """Returns the events of each label; what took most of the day first."""
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    return sorted(groups.items(), key=lambda group: (-sum(_within(row, begin, end) for row in group[1]), group[0]))


def _within(row: _Row, begin: float, end: float) -> float:
    """Returns the seconds of an event that lie in the day."""
    return max(0.0, min(row.end, end) - max(row.start, begin))


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _percent(probability: float) -> str:
    return f"{probability:.0%}".replace("%", " %")


def _align(cells: Sequence[Sequence[str]], sides: str) -> str:
    """Lays out rows of cells in columns that are flush left ("l") or right ("r")."""
    widths = [max(map(_width, column)) for column in zip(*cells)]
    lines = []
    for row in cells:
        padded = []
        for text, width, side in zip(row, widths, sides):
            space = " " * (width - _width(text))
            padded.append(space + text if side == "r" else text + space)
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _is_known(style: _Style, encoding: str) -> bool:
    """Says whether an encoding has the characters of a style."""
    try:
        "".join([style.levels, style.side, style.guide, *style.axis, style.ellipsis]).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _fit(text: str, width: int, style: _Style) -> str:
    """Returns a text in exactly so many columns, shortened if it must be."""
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += style.ellipsis
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Returns the columns that a text takes: Chinese characters take two, combining accents none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
