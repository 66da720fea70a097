"""The database of events: killed, watched while it grows, written by two, on a full disk, and beside other files."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from errors import OutputError
from events import Event
from events.database import Database, is_running, process_key
from events.json_lines import JsonLinesEvents
from events.opening import open_event_sink

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 11, 21, 8, 26, 37, 540000, tzinfo=timezone.utc)
LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are told apart by Linux's /proc")


def event(number=0, ongoing=False, **changes):
    values = {
        "id": f"id-{number:06}",
        "label": "yoga",
        "source": "camera",
        "start": START.timestamp() + number,
        "position": 4.2,
        "duration": 1.0 if ongoing else 12.5,
        "peak": 0.9,
        "mean": 0.7,
        "ongoing": ongoing,
        "clip": None,
    }
    return Event(**{**values, **changes})


def query(path, statement, *values):
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        return connection.execute(statement, values).fetchall()


def await_rows(path, count):
    """Waits until another connection sees so many rows."""
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        await_that(lambda: connection.execute("SELECT count(*) FROM events").fetchone()[0] == count)


def await_that(happens):
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def start_child(code, *arguments, **options):
    """Runs Python code in a process of its own; it prints lines, and waits for them on its standard input."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextlib.contextmanager
def kept(child):
    """Ends a child, however the test ends."""
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def test_an_event_from_begin_to_end(tmp_path):
    path = tmp_path / "events.db"
    database = Database(path)
    database.event(event(ongoing=True))
    await_rows(path, 1)
    assert query(path, "SELECT ongoing, duration FROM events") == [(1, 1.0)]
    database.event(event(clip="2026-11-21 yoga.mp4", peak=0.95))
    database.event(event(1, label="tai chi"))
    database.close()
    database.close()
    columns = "id, label, source, start, duration, position, peak, mean, clip, ongoing, cut"
    assert query(path, f"SELECT {columns} FROM events ORDER BY start") == [
        ("id-000000", "yoga", "camera", START.timestamp(), 12.5, 4.2, 0.95, 0.7, "2026-11-21 yoga.mp4", 0, 0),
        ("id-000001", "tai chi", "camera", START.timestamp() + 1, 12.5, 4.2, 0.9, 0.7, None, 0, 0),
    ]
    assert query(path, "SELECT start_utc, end_utc FROM readable WHERE label = 'yoga'") == [
        ("2026-11-21T08:26:37.540Z", "2026-11-21T08:26:50.040Z")
    ]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert os.listdir(tmp_path) == ["events.db"]  # closed, it is one file again


def test_appending_in_another_run(tmp_path):
    path = tmp_path / "events ?#%20.db"
    for number in range(3):
        database = Database(path)
        database.event(event(number))
        database.close()
    assert query(path, "SELECT count(*) FROM events") == [(3,)]


def test_it_is_read_while_it_grows(tmp_path):
    path = tmp_path / "events.db"
    database, seen = Database(path), 0
    with contextlib.closing(sqlite3.connect(path)) as reader:
        for number in range(300):
            database.event(event(number))
            if number % 30 == 0:
                await_that(lambda n=number: reader.execute("SELECT count(*) FROM events").fetchone()[0] > n)
            now = reader.execute("SELECT count(*), count(DISTINCT id) FROM events").fetchone()
            assert seen <= now[0] == now[1] <= number + 1
            seen = now[0]
        reader.execute("BEGIN")  # a reader that takes its time
        reader.execute("SELECT count(*) FROM events").fetchone()
        database.event(event(300))
        await_rows(path, 301)
    database.close()


WRITER = """
    import sqlite3, sys
    from events import Event
    from events.database import Database

    path, name = sys.argv[1:3]
    print("up", flush=True)
    database = Database(path)
    reader = sqlite3.connect(path, timeout=20)
    number, told = 0, set()
    while number < 100_000:
        for _ in range(1 + number % 7):
            number += 1
            start = Event(f"{name}-{number:06}", "yoga", "camera", 1.8e9 + number, 1.0, 1.0, 0.5, 0.4, ongoing=True)
            database.event(start)
            if number > 3:
                id = f"{name}-{number - 3:06}"
                database.event(Event(id, "yoga", "camera", 1.8e9 + number - 3, 1.0, 9.5, 0.5, 0.4, ongoing=False))
        # What another connection sees is committed.
        for row in reader.execute("SELECT id, ongoing FROM events WHERE id > ? ORDER BY id", (f"{name}-",)):
            if row not in told and row[0].startswith(f"{name}-"):
                told.add(row)
                print(*row, flush=True)
"""


def integrity(path):
    return query(path, "PRAGMA integrity_check")


@LINUX
def test_killed_at_any_moment_nothing_committed_is_lost(tmp_path):
    path, chance, told = tmp_path / "events.db", random.Random(6), {}
    for kill in range(15):
        with kept(start_child(WRITER, path, f"run{kill:02}")) as child:
            for _ in range(chance.randrange(1, 80)):
                assert child.stdout.readline(), child.stderr.read()
            child.kill()
            rest = child.stdout.read()
            lines = [line for line in rest.splitlines(True) if line.endswith("\n")]
        for line in lines:
            if line != "up\n":
                id, ongoing = line.split()
                told[id] = min(told.get(id, 1), int(ongoing))  # an end follows its begin
        assert integrity(path) == [("ok",)]
        found = dict(query(path, "SELECT id, ongoing FROM events"))
        assert set(told) <= set(found)
        assert all(found[id] == 0 for id, ongoing in told.items() if not ongoing)
    assert len(told) > 50
    before = dict(query(path, "SELECT id, duration FROM events WHERE ongoing"))
    assert before
    Database(path).close()
    assert query(path, "SELECT count(*) FROM events WHERE ongoing") == [(0,)]
    assert dict(query(path, "SELECT id, duration FROM events WHERE cut")).items() >= before.items()
    assert query(path, "SELECT count(*) FROM events WHERE cut AND duration > 9") == [(0,)]  # those had ended


@LINUX
def test_killed_while_it_is_made(tmp_path):
    chance = random.Random(7)
    for kill in range(8):
        path = tmp_path / f"{kill}.db"
        with kept(start_child(WRITER, path, "run")) as child:
            assert child.stdout.readline() == "up\n"
            time.sleep(chance.random() * 0.02)  # making it takes about so long
            child.send_signal(signal.SIGKILL)
            child.wait(30)
        database = Database(path)
        database.event(event(ongoing=True))
        database.event(event())
        database.close()
        assert integrity(path) == [("ok",)]
        assert query(path, "SELECT ongoing FROM events WHERE id = 'id-000000'") == [(0,)]


ONE_EVENT = """
    import sys
    from events import Event
    from events.database import Database

    path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print("up")
    sys.stdin.readline()
    database = Database(path)
    for number in range(count):
        database.event(Event(f"{name}-{number}", "yoga", name, 1.8e9 + number, 1.0, 1.0, 0.5, 0.4, ongoing=True))
    print("given")
    sys.stdin.readline()
    database.close()
"""


@LINUX
def test_two_write_at_once(tmp_path):
    """Both open the new file at the same moment, and write at the same time."""
    path = tmp_path / "events.db"
    with kept(start_child(ONE_EVENT, path, "a", 300)) as first, kept(start_child(ONE_EVENT, path, "b", 300)) as second:
        for child in (first, second):
            assert child.stdout.readline() == "up\n"
        for child in (first, second):
            print(file=child.stdin, flush=True)
        await_that(path.exists)
        await_that(lambda: query(path, "PRAGMA user_version") == [(1,)])
        await_rows(path, 600)
        # A third one leaves alone what the living have begun,
        Database(path).close()
        assert query(path, "SELECT source, sum(ongoing), sum(cut) FROM events GROUP BY source") == [
            ("a", 300, 0),
            ("b", 300, 0),
        ]
        # and ends what the dead have.
        first.kill()
        first.wait(30)
        Database(path).close()
        assert query(path, "SELECT source, sum(ongoing), sum(cut) FROM events GROUP BY source") == [
            ("a", 0, 300),
            ("b", 300, 0),
        ]
        assert second.communicate("\n", timeout=30)[1] == ""
    assert integrity(path) == [("ok",)]


@LINUX
@pytest.mark.parametrize("field", [0, 2], ids=["before this boot", "another process of that number"])
def test_a_process_id_that_was_given_again(tmp_path, field):
    path = tmp_path / "events.db"
    database = Database(path)
    database.event(event(ongoing=True))
    database.close()
    ((writer,),) = query(path, "SELECT writer FROM events")
    assert str(os.getpid()) in writer
    parts = writer.split(":")
    parts[field] = "1"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET writer = ?", (":".join(parts),))
    Database(path).close()
    assert query(path, "SELECT ongoing, cut FROM events") == [(0, 1)]


@LINUX
def test_which_processes_run():
    with kept(start_child("input()")) as child:
        own, other = process_key(os.getpid()), process_key(child.pid)
        assert is_running(own) and is_running(other)
        assert own.split(":")[0] == other.split(":")[0] and int(own.split(":")[2]) < int(other.split(":")[2])
        child.kill()
        await_that(lambda: not is_running(other))  # nobody has asked how it ended: its number isn't free yet
        assert Path(f"/proc/{child.pid}").exists()
    assert not is_running(other) and not is_running("") and not is_running("a:b:c")


def test_a_slow_disk_holds_nobody_up(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("events.database._LOCKED", 0.0)  # so that it is refused many times
    path = tmp_path / "events.db"
    database = Database(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # for as long as this holds, nothing can be written
        with caplog.at_level(logging.WARNING):
            for number in range(6000):
                database.event(event(number))
        assert query(path, "SELECT count(*) FROM events") == [(0,)]
        (warning,) = caplog.messages
        assert "events.db" in warning and "lost" in warning
        other.execute("ROLLBACK")
    kept_events = 6000 - database.lost
    assert 1000 <= kept_events < 6000
    await_rows(path, kept_events)
    database.event(event(7000))  # there is room again
    await_rows(path, kept_events + 1)
    database.close()
    assert query(path, "SELECT count(*) FROM events WHERE id < ?", f"id-{kept_events:06}") == [(kept_events,)]
    assert f"{6000 - kept_events} events" in caplog.messages[-1]


def test_the_program_ends_although_another_one_holds_the_file(tmp_path, caplog):
    path = tmp_path / "events.db"
    database = Database(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        database.event(event())
        database.event(event(1))
        with caplog.at_level(logging.WARNING):
            database.close()
        assert "2 events" in caplog.text
        await_that(lambda: "events" not in {thread.name for thread in threading.enumerate()})
        other.execute("ROLLBACK")
    assert query(path, "SELECT count(*) FROM events") == [(0,)]


FILL = """
    import sys, time
    from events import Event
    from events.database import Database

    database = Database(sys.argv[1])
    for number in range(8000):
        database.event(Event(f"{number:06}", "yoga" * 200, "camera", 1.0, 1.0, 1.0, 0.5, 0.4, ongoing=False))
        time.sleep(0.0005)
    database.close()
    print("goes on")
"""


def check_full(path, **options):
    """Fills a disk; what was committed before is whole. Returns what is said of it."""
    with kept(start_child(FILL, path, **options)) as child:
        output, errors = child.communicate(timeout=60)
    assert output == "goes on\n" and "Traceback" not in errors
    (message,) = [line for line in errors.splitlines() if "can't write" in line]
    assert str(path) in message
    assert integrity(path) == [("ok",)]
    ids = [id for (id,) in query(path, "SELECT id FROM events ORDER BY id")]
    assert len(ids) > 20 and ids == [f"{number:06}" for number in range(len(ids))]
    assert f"{8000 - len(ids)} events are lost" in errors.splitlines()[-1]
    return message


def test_a_file_that_may_not_grow(tmp_path):
    resource = pytest.importorskip("resource")
    limit = (2_000_000, 2_000_000)
    check_full(tmp_path / "events.db", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))


def test_a_full_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2000000", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if mounted.returncode:
        pytest.skip(f"can't mount a small file system here (needs root): {mounted.stderr.strip()}")
    try:
        assert "full" in check_full(folder / "events.db")
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=10)


FULL_FOR_A_WHILE = """
    import resource, sys
    from events import Event
    from events.database import Database

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def give(number, ongoing):
        database.event(Event(f"{number}", "yoga" * 200, "camera", 1.0, 1.0, 1.0, 0.5, 0.4, ongoing=ongoing))

    database = Database(sys.argv[1])
    give(0, True)
    print("begun")
    sys.stdin.readline()
    limit(1)  # nothing can be written any more
    give(0, False)
    for number in range(1, 50):
        give(number, False)
    print("full")
    sys.stdin.readline()
    limit(resource.RLIM_INFINITY)
    print("free")
    sys.stdin.readline()
    database.close()
"""


def test_what_a_disk_that_is_full_for_a_while_did_not_take_is_written_later(tmp_path):
    pytest.importorskip("resource")
    path = tmp_path / "events.db"
    with kept(start_child(FULL_FOR_A_WHILE, path)) as child:
        assert child.stdout.readline() == "begun\n"
        await_rows(path, 1)
        print(file=child.stdin, flush=True)
        assert child.stdout.readline() == "full\n"
        assert "can't write" in child.stderr.readline()
        assert query(path, "SELECT ongoing FROM events") == [(1,)]
        print(file=child.stdin, flush=True)
        assert child.stdout.readline() == "free\n"
        await_rows(path, 50)
        assert "again" in child.stderr.readline()
        assert child.communicate("\n", timeout=30)[1] == ""  # nothing was lost
    assert query(path, "SELECT count(*) FROM events WHERE ongoing") == [(0,)]
    assert integrity(path) == [("ok",)]


def somebody_elses(path, journal):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE events (recipe TEXT)")
        connection.execute("INSERT INTO events VALUES ('apple pie')")


def a_newer_one(path):
    Database(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: somebody_elses(path, "delete"), "not a database of events"),
        (lambda path: somebody_elses(path, "wal"), "not a database of events"),
        (lambda path: path.write_text('{"label": "yoga"}\n'), "not a database of events"),
        (a_newer_one, "schema 99"),
        (lambda path: path.mkdir(), "Is a directory"),
    ],
    ids=["rollback journal", "write-ahead log", "text", "newer", "folder"],
)
def test_other_files_are_left_alone(tmp_path, make, says):
    path = tmp_path / "events.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(OutputError, match=says) as caught:
        Database(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert os.listdir(tmp_path) == ["events.db"]


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(OutputError, match="absent") as caught:
        Database(tmp_path / "absent" / "events.db")
    assert "\n" not in str(caught.value)


def test_a_damaged_database(tmp_path):
    path = tmp_path / "events.db"
    database = Database(path)
    for number in range(500):
        database.event(event(number))
    database.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    with pytest.raises(OutputError) as caught:
        Database(path)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_taken(tmp_path):
    path = tmp_path / "events.db"
    path.touch()
    database = Database(path)
    database.event(event())
    database.close()
    assert query(path, "SELECT count(*) FROM events") == [(1,)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.db", Database), ("B.SQLite", Database), ("c.sqlite3", Database), ("d.jsonl", JsonLinesEvents)],
)
def test_the_suffix_chooses(tmp_path, name, kind):
    with contextlib.closing(open_event_sink(tmp_path / name)) as sink:
        assert type(sink) is kind
        sink.event(event())


def test_what_isnt_asked_for_isnt_imported(tmp_path):
    code = """
        import sys
        from events import detector, opening
        opening.open_event_sink(sys.argv[1]).close()
        print(*{"sqlite3", "events.database", "events.report"} & set(sys.modules))
    """
    with kept(start_child(code, tmp_path / "events.jsonl")) as child:
        assert child.communicate(timeout=60) == ("\n", "")
