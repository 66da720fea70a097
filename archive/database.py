"""Keeps what is done of an archive, beside the events: a file's row and its events are one transaction."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Callable, Sequence

from archive.analyser import Analysis
from archive.patterns import File
from errors import OutputError
from events.database import Database

# `name` is the events' source, no two alike. Of a file that is done, size and modified (nanoseconds since 1970) tell
# whether it is still the same one, settings whether it would be analysed in the same way. `took` and `at` are seconds,
# of work and since 1970. `error` is why a file is unreadable, or what is missing of one that is done.
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS files (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        settings TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('done', 'unreadable')),
        frames INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        seconds REAL NOT NULL,
        took REAL NOT NULL,
        at REAL NOT NULL,
        error TEXT
    );
    CREATE TABLE IF NOT EXISTS file_events (
        event TEXT PRIMARY KEY REFERENCES events (id),
        file INTEGER NOT NULL REFERENCES files (id)
    );
    CREATE INDEX IF NOT EXISTS file_events_file ON file_events (file);
"""
_FILE = """
    INSERT INTO files (path, name, size, modified, settings, state, frames, steps, seconds, took, at, error)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (path) DO UPDATE SET name = excluded.name, size = excluded.size, modified = excluded.modified,
        settings = excluded.settings, state = excluded.state, frames = excluded.frames, steps = excluded.steps,
        seconds = excluded.seconds, took = excluded.took, at = excluded.at, error = excluded.error
"""
_EVENT = """
    INSERT INTO events (id, label, source, start, duration, position, peak, mean, clip, ongoing, writer)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 'archive')
"""
_LOCKED = 0.25  # seconds that SQLite waits for another program before it is asked again
_UNREAD = Analysis((), "", 0, 0, 0.0, 0.0)


class ArchiveDatabase:
    """A file of --events that knows what is done already. For the main thread.

    Args:
        path: Made if it isn't there; may hold other events, too.
        settings: What tells how files are analysed: one that was analysed otherwise counts as not done.
        stop: Ends the wait for another program that holds the file.

    Raises:
        OutputError: It can't be opened, or isn't one of events.
    """

    def __init__(self, path: str, settings: str, stop: threading.Event) -> None:
        self._name = path
        self._settings = settings
        self._stop = stop
        Database(path).close()  # makes what isn't there, and checks what is
        where = Path(path).expanduser()
        self._connection = sqlite3.connect(where, timeout=_LOCKED, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._commit(lambda: [self._connection.execute(statement) for statement in _SCHEMA.split(";\n")])

    def close(self) -> None:
        """Closes it; may be called twice."""
        self._connection.close()

    def holds(self) -> Callable[[File], bool]:
        """Returns what says of a file whether it is done."""
        rows = self._connection.execute(
            "SELECT path, size, modified FROM files WHERE state = 'done' AND settings = ?", (self._settings,)
        )
        done = {path: (size, modified) for path, size, modified in rows}
        return lambda file: done.get(file.path) == (file.size, file.modified)

    def distinct(self, files: Sequence[File]) -> list[File]:
        """Returns the files; one whose name another file of the database has, of another run, is named by its path."""
        rows = self._connection.execute("SELECT path, name FROM files")
        owners = {name: path for path, name in rows}
        return [
            dataclasses.replace(file, name=file.path)
            if owners.get(text(file.name), text(file.path)) != text(file.path)
            else file
            for file in files
        ]

    def write(self, file: File, outcome: Analysis | str) -> None:
        """Keeps what came of a file, as a whole or not at all, in place of what came of it earlier.

        Raises:
            OutputError: The disk is full or broken, or the program is to end.
        """
        analysis = _UNREAD if isinstance(outcome, str) else outcome
        state, error = ("unreadable", outcome) if isinstance(outcome, str) else ("done", outcome.note or None)
        facts = analysis.frames, analysis.steps, analysis.seconds, analysis.took, time.time(), error
        row = text(file.path), text(file.name), file.size, file.modified, self._settings, state, *facts
        events = [
            (e.id, e.label, text(file.name), e.start, e.duration, e.position, e.peak, e.mean) for e in analysis.events
        ]
        self._commit(lambda: self._replace(row, events))

    def _replace(self, row: tuple[Any, ...], events: list[tuple[Any, ...]]) -> None:
        execute, executemany = self._connection.execute, self._connection.executemany
        execute(_FILE, row)
        (number,) = execute("SELECT id FROM files WHERE path = ?", row[:1]).fetchone()
        execute("DELETE FROM events WHERE id IN (SELECT event FROM file_events WHERE file = ?)", (number,))
        execute("DELETE FROM file_events WHERE file = ?", (number,))
        executemany(_EVENT, events)
        executemany("INSERT INTO file_events (event, file) VALUES (?, ?)", [(event[0], number) for event in events])

    def _commit(self, change: Callable[[], object]) -> None:
        """Makes a change as a transaction, waiting for as long as another program holds the file."""
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    change()
                    self._connection.execute("COMMIT")
                    return
                finally:
                    if self._connection.in_transaction:
                        with contextlib.suppress(sqlite3.Error):
                            self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                if "locked" not in str(error) or self._stop.is_set():
                    problem = f"can't write {self._name}: {error}; check the disk and its free space"
                    raise OutputError(problem) from None


def text(name: str) -> str:
    """Returns a file's name as something that UTF-8 can hold."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
