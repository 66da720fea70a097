"""Reads events that are older than those in memory from a database of --events."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from events import Event

_WAIT = 2.0  # seconds that another program may hold the file
_COLUMNS = "id, label, source, start, position, duration, peak, mean, ongoing, clip"


class Archive:
    """A database of events. `newest` may be called from any thread.

    Args:
        path: Of the file; there may be none yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser().absolute()

    def newest(self, limit: int, before: str | None) -> list[Event]:
        """Returns the newest events, newest first, as `history.EventList` does; none from a file without any.

        Raises:
            sqlite3.Error: It can't be read.
        """
        if not self._path.exists():
            return []
        connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", timeout=_WAIT, uri=True)
        connection.row_factory = sqlite3.Row
        with contextlib.closing(connection):
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
                return []
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM events WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2", (before, limit)
            ).fetchall()
        return [Event(**{**row, "ongoing": bool(row["ongoing"])}) for row in map(dict, rows)]
