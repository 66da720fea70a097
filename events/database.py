"""Keeps events in a file of SQLite, which a kill -9 or a power cut can't harm.

Every batch of events is a transaction in the write-ahead log that is flushed to the disk before it counts as committed
(synchronous=FULL). Without the flush a kill would lose nothing either, but a power cut could lose the latest
transactions, and a Pi is switched off by pulling its plug. Events are rare and have a thread of their own: the flush
costs nobody time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Iterator

from errors import OutputError
from events import Event

APPLICATION_ID = 0x4D6F5669  # "MoVi", in the file's header: tells our files from others of SQLite
VERSION = 1  # of the schema

# Times are in seconds since 1970; `writer` tells which process an ongoing event belongs to; `cut` is 1 if that process
# was killed, so that the event lasted at least as long as it says.
_SCHEMA = """
    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        label TEXT NOT NULL,
        source TEXT NOT NULL,
        start REAL NOT NULL,
        duration REAL NOT NULL,
        position REAL NOT NULL,
        peak REAL NOT NULL,
        mean REAL NOT NULL,
        clip TEXT,
        ongoing INTEGER NOT NULL,
        cut INTEGER NOT NULL DEFAULT 0,
        writer TEXT NOT NULL
    );
    CREATE INDEX events_start ON events (start);
    CREATE INDEX events_label ON events (label, start);
    CREATE INDEX events_ongoing ON events (writer) WHERE ongoing;
    CREATE VIEW readable AS SELECT
        id, label, source,
        strftime('%Y-%m-%dT%H:%M:%fZ', start, 'unixepoch') AS start_utc,
        strftime('%Y-%m-%dT%H:%M:%fZ', start + duration, 'unixepoch') AS end_utc,
        round(duration, 3) AS duration, round(peak, 4) AS peak, round(mean, 4) AS mean, clip, ongoing, cut
    FROM events ORDER BY start;
"""
_SAVE = """
    INSERT OR REPLACE INTO events (id, label, source, start, duration, position, peak, mean, clip, ongoing, writer)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_MOST_WAITING = 4096  # events, while the disk is slow or another program holds the file
_OPENING = 10.0  # seconds that another program may hold the file while it is opened
_RETRY = 3.0  # seconds until a disk that was full or broken is tried again
_LOCKED = 0.25  # seconds that SQLite waits for another program before it is asked again
_FINISHING = 1.0  # seconds to write what waits when the program ends; it has 2 as a whole
_log = logging.getLogger(__name__)


class Database:
    """An EventSink on SQLite in WAL mode: it can be read, and written by other processes, while it grows.

    A thread of its own writes, so that a slow disk holds nobody up. What a full or broken disk doesn't take waits, and
    is tried again. If more events wait than can be kept, further ones are lost; that is logged once, and how many they
    were at the end.

    Args:
        path: Made if it isn't there. Events that a killed process left ongoing in it are ended.

    Attributes:
        lost: Events that found no room.

    Raises:
        OutputError: The file can't be opened, isn't one of events, or is of a newer version. It is left as it was.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.lost = 0
        self._name = str(path)
        self._writer = process_key(os.getpid())
        self._connection = self._open(Path(path).expanduser())
        self._changed = threading.Condition()
        self._waiting: list[Event] = []
        self._failing = False  # whether the last try to write has failed
        self._give_up_at: float | None = None  # on the monotonic clock, once it is to finish
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def event(self, event: Event) -> None:
        """Takes an event, to be written as soon as the disk takes it."""
        with self._changed:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(event)
                self._changed.notify()
                return
            self.lost += 1
        if self.lost == 1:
            _log.warning("%s: %d events wait for the disk; further ones are lost", self._name, _MOST_WAITING)

    def finish(self) -> None:
        """Begins to write what waits, for a second at most; may be called twice."""
        with self._changed:
            if self._give_up_at is None:
                self._give_up_at = time.monotonic() + _FINISHING
            self._changed.notify()

    def close(self) -> None:
        """Finishes, and closes the file; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.finish()
        assert self._give_up_at is not None
        self._thread.join(max(0.0, self._give_up_at + 0.5 - time.monotonic()))
        lost = self.lost + len(self._waiting)
        if lost:
            _log.warning("%s: %d events are lost", self._name, lost)

    def _open(self, path: Path) -> sqlite3.Connection:
        connection = None
        try:
            problem = kind_problem(path)
            if problem:
                raise OutputError(f"can't write {self._name}: {problem}; it is left as it is, give another name")
            connection = sqlite3.connect(path, timeout=_OPENING, isolation_level=None, check_same_thread=False)
            # First, outside the log: so the main file tells its kind from the first moment on.
            with _transaction(connection):
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    _create(connection)
                _end_abandoned(connection)
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA busy_timeout = {int(_LOCKED * 1000)}")
            return connection
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            reason = error.strerror if isinstance(error, OSError) else error
            raise OutputError(f"can't write {self._name}: {reason}; give a file you may write") from None

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._give_up_at is not None)
                    batch = list(self._waiting)
                if not batch:
                    return
                try:
                    self._save(batch)
                except sqlite3.Error as error:
                    if self._give_up_at is not None:
                        return
                    self._bear(error)
                else:
                    self._note_success(len(batch))
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()

    def _bear(self, error: sqlite3.Error) -> None:
        """Waits until it is time to try again; says once that there is something to wait for."""
        if not self._failing:
            _log.warning(
                "can't write %s: %s; its events wait and are tried again: check the disk and its free space",
                self._name,
                error,
            )
        self._failing = True
        with self._changed:
            self._changed.wait_for(lambda: self._give_up_at is not None, _RETRY)

    def _note_success(self, written: int) -> None:
        with self._changed:
            del self._waiting[:written]
        if self._failing:
            _log.warning("%s is written again", self._name)
        self._failing = False

    def _save(self, batch: list[Event]) -> None:
        """Commits events, waiting for as long as another program holds the file."""
        rows = [
            (e.id, e.label, e.source, e.start, e.duration, e.position, e.peak, e.mean, e.clip, e.ongoing, self._writer)
            for e in batch
        ]
        while True:
            try:
                with _transaction(self._connection):
                    self._connection.executemany(_SAVE, rows)
                return
            except sqlite3.OperationalError as error:
                late = self._give_up_at is not None and time.monotonic() > self._give_up_at
                if "locked" not in str(error) or late:
                    raise


def kind_problem(path: Path) -> str:
    """Says why a file is no database of events that this version knows; "" if it is, or is empty or missing.

    Without SQLite, which might tidy up somebody else's file.

    Raises:
        OSError: It can't be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return ""
    # The database header, https://www.sqlite.org/fileformat.html: user version at 60, application ID at 68.
    if header and (header[:16] != b"SQLite format 3\0" or int.from_bytes(header[68:72], "big") != APPLICATION_ID):
        return "it is not a database of events"
    version = int.from_bytes(header[60:64], "big")
    return f"a newer version of this program wrote it (schema {version}, not {VERSION})" if version > VERSION else ""


def process_key(pid: int) -> str:
    """Returns what tells a running process from any other, also of another boot; "" if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "" if Path("/proc/self").exists() else _key_without_proc(pid)
    return "" if stat[0] in "ZX" else f"{boot}:{pid}:{stat[19]}"  # fields 3 and 22 of proc(5): state, start time


def is_running(writer: str) -> bool:
    """Says whether the process that process_key() has described still runs."""
    pid = writer.split(":")[1] if writer.count(":") == 2 else ""
    return pid.isdecimal() and process_key(int(pid)) == writer


def _key_without_proc(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except OSError:
        return ""
    return f":{pid}:"


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commits what is done inside as a whole, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has undone some errors, such as a full disk, itself
            connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _end_abandoned(connection: sqlite3.Connection) -> None:
    """Ends what processes have left ongoing that don't run any more."""
    for (writer,) in connection.execute("SELECT DISTINCT writer FROM events WHERE ongoing").fetchall():
        if not is_running(writer):
            connection.execute("UPDATE events SET ongoing = 0, cut = 1 WHERE ongoing AND writer = ?", (writer,))
