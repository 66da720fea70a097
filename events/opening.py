"""Chooses what keeps the events by the name of the file."""

from __future__ import annotations

import os

from events import EventSink

DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def open_event_sink(path: str | os.PathLike[str]) -> EventSink:
    """Opens a file of --events.

    Args:
        path: Ends in .db, .sqlite or .sqlite3 for SQLite; any other name, or "-" for standard output, is JSON Lines.

    Raises:
        OutputError: It can't be opened.
    """
    if str(path).lower().endswith(DATABASE_SUFFIXES):
        from events.database import Database

        return Database(path)
    from events.json_lines import JsonLinesEvents

    return JsonLinesEvents(path)
