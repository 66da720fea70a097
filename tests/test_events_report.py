"""The day's report: what a person reads off it is what is in the database."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import time
import unicodedata
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import UserError
from events import Event
from events.database import Database
from events.report import report

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = " ▁▂▃▄▅▆▇█"


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    """Europe's winter time is an hour before UTC; summer time ends on 2026-10-25, so that that day has 25 hours."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text):
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()


def an_event(start, duration, label="yoga", **changes):
    """An event; its start is a text in UTC, or seconds."""
    start = utc(start) if isinstance(start, str) else start
    values = {"source": "usb:0", "position": 0.0, "peak": 0.9, "mean": 0.7, "ongoing": False}
    return Event(
        **{"id": f"{start:020.3f}-{label}", "label": label, "start": start, "duration": duration, **values, **changes}
    )


def keep(path, *events):
    database = Database(path)
    for event in events:
        database.event(event)
    database.close()
    return path


def columns(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def plot(text, sides="│"):
    """Reads the timeline: its cells by label, and the column of each time on the axis."""
    lines = text.split("\n\n")[-1].split("\n")
    rows = {line.split(sides)[0].strip(): line for line in lines[:-3]}
    times = {}
    for match in re.finditer(r"\d\d:\d\d", lines[-2]):
        times.setdefault(match.group(), (match.start() + match.end()) // 2)
    return rows, times


def test_a_day(tmp_path):
    path = keep(
        tmp_path / "events.db",
        an_event("2026-11-20 10:00:00", 5.0, "zumba"),
        an_event("2026-11-21 08:26:37", 12.44, peak=0.984, mean=0.71),
        an_event("2026-11-21 09:00:00", 185.0, "passing American football (not in game)"),
        an_event("2026-11-21 17:05:09", 3725.0, "tai chi"),
        an_event("2026-11-21 19:00:00", 2.0),
    )
    text = report(path, width=80)
    heading, table, sums, timeline = text.split("\n\n")
    assert heading == "events.db, Saturday 2026-11-21: 4 events, 1 h 05 min in all, from usb:0"
    header, *rows = table.split("\n")
    assert header.split() == ["start", "duration", "label", "peak", "mean"]
    assert [re.split(" {2,}", row.strip()) for row in rows] == [
        ["09:26:37", "12.4 s", "yoga", "98 %", "71 %"],
        ["10:00:00", "3 min 05 s", "passing American football (not in game)", "90 %", "70 %"],
        ["18:05:09", "1 h 02 min", "tai chi", "90 %", "70 %"],
        ["20:00:00", "2.0 s", "yoga", "90 %", "70 %"],
    ]
    assert len({row.index("%") for row in rows}) == 1 and len({len(row) for row in rows}) == 1  # aligned
    assert [re.split(" {2,}", row.strip()) for row in sums.split("\n")[1:]] == [
        ["tai chi", "1", "1 h 02 min", "1 h 02 min", "90 %"],
        ["passing American football (not in game)", "1", "3 min 05 s", "3 min 05 s", "90 %"],
        ["yoga", "2", "14.4 s", "12.4 s", "98 %"],
    ]
    assert all(len(line) <= 80 for line in timeline.split("\n"))


def test_blocks_stand_where_it_happened(tmp_path):
    """Read as a person would: from the times on the axis."""
    path = keep(
        tmp_path / "events.db",
        an_event("2026-11-20 23:00:00", 20.0, "zumba"),  # begins with the day
        an_event("2026-11-21 05:00:00", 6 * 3600.0),  # from 6 to 12 o'clock
        an_event("2026-11-21 22:30:00", 1800 - 0.001, "tai chi"),  # the last half hour
    )
    rows, times = plot(report(path, width=120))
    assert {"00:00", "06:00", "12:00", "18:00", "24:00"} <= set(times)
    yoga, zumba, tai_chi = rows["yoga"], rows["zumba"], rows["tai chi"]
    assert set(yoga[times["06:00"] : times["12:00"]]) == {"█"}
    assert yoga.count("█") == times["12:00"] - times["06:00"]
    assert not set(yoga[: times["06:00"]] + yoga[times["12:00"] :]) & set(BLOCKS[1:])
    assert zumba[times["00:00"] + 1] == "▁" and sum(c in BLOCKS[1:] for c in zumba) == 1
    quarter = (times["24:00"] - times["18:00"]) / 12  # of half an hour
    assert tai_chi[times["24:00"] - 1] == "█" and tai_chi.count("█") == pytest.approx(quarter, abs=1)
    assert times["12:00"] - times["06:00"] == times["18:00"] - times["12:00"]


def test_height_is_time(tmp_path):
    """In a cell of 15 minutes: half as long is half as high."""
    path = keep(
        tmp_path / "events.db",
        an_event("2026-11-21 10:00:00", 400.0, "long"),
        an_event("2026-11-21 10:00:00", 200.0, "half"),
        an_event("2026-11-21 10:00:00", 0.0, "no time at all"),
        an_event("2026-11-21 22:00:00", 1.0, "late"),
    )
    text = report(path, width=75)
    rows, _ = plot(text)
    assert "█" in rows["long"] and "▄" in rows["half"] and "▁" in rows["no time at all"]
    assert text.endswith("█ is 6 min 40 s of 15 min")


def test_several_sources_can_have_more_than_the_time_of_a_cell(tmp_path):
    events = [an_event("2026-11-21 10:00:00", 1800.0, id=str(number), source=f"usb:{number}") for number in range(3)]
    path = keep(tmp_path / "events.db", *events, an_event("2026-11-21 22:00:00", 1.0))
    assert report(path, width=75).endswith("█ is 36 min in 12 min")


def test_a_short_session_fills_the_axis(tmp_path):
    path = keep(tmp_path / "events.db", an_event("2026-11-21 10:05:00", 60.0), an_event("2026-11-21 10:50:00", 60.0))
    rows, times = plot(report(path, width=80))
    assert {"11:00", "11:10", "11:30", "12:00"} <= set(times)
    blocks = [where for where, cell in enumerate(rows["yoga"]) if cell in BLOCKS[1:]]
    minute = (times["12:00"] - times["11:00"]) / 60
    assert 2 <= len(blocks) <= 6
    assert blocks[0] == pytest.approx(times["11:00"] + 5 * minute, abs=1.5)
    assert blocks[-1] == pytest.approx(times["11:00"] + 51 * minute, abs=1.5)


def test_another_day_by_name(tmp_path):
    path = keep(tmp_path / "events.db", an_event("2026-11-20 10:00:00", 5.0), an_event("2026-11-23 10:00:00", 6.0))
    assert "Friday 2026-11-20: 1 event, 5.0 s in all" in report(path, date(2026, 11, 20))
    assert "Monday 2026-11-23" in report(path)
    assert report(path, date(2026, 11, 21)) == (
        "events.db: no events on 2026-11-21; there are some between 2026-11-20 and 2026-11-23"
    )


def test_an_event_over_midnight_belongs_to_both_days(tmp_path):
    path = keep(tmp_path / "events.db", an_event("2026-11-20 22:30:00", 3600.0))  # 23:30 to 00:30
    evening, morning = report(path, date(2026, 11, 20), width=80), report(path, date(2026, 11, 21), width=80)
    assert "1 event, 30 min 00 s in all" in evening and "\n23:30:00  1 h 00 min" in evening
    assert "1 event, 30 min 00 s in all" in morning and "2026-11-20 23:30:00  1 h 00 min" in morning
    rows, times = plot(morning)
    blocks = [where for where, cell in enumerate(rows["yoga"]) if cell in BLOCKS[1:]]
    assert blocks[0] == times["00:00"] + 1
    assert blocks[-1] == pytest.approx((times["00:00"] + times["01:00"]) / 2, abs=1)


def test_the_days_when_the_clocks_change(tmp_path):
    autumn = an_event("2026-10-25 00:30:00", 3600.0, "twice half past two")
    whole = an_event("2026-10-24 22:00:00", 25 * 3600.0, "all day")
    spring = an_event("2026-03-28 23:00:00", 23 * 3600.0, "all day")
    path = keep(tmp_path / "events.db", autumn, whole, spring)
    text = report(path, date(2026, 10, 25), width=120)
    assert "00:00:00  25 h 00 min   all day" in text and "02:30:00   1 h 00 min   twice" in text
    rows, times = plot(text)
    hour = (times["24:00"] - times["06:00"]) / 18
    assert times["06:00"] - times["00:00"] == pytest.approx(7 * hour, abs=1)
    assert rows["all day"].count("█") == times["24:00"] - times["00:00"] - 1
    middle = times["00:00"] + 3 * hour  # from 2.5 to 3.5 hours after midnight
    blocks = [where for where, cell in enumerate(rows["twice half past two"]) if cell in BLOCKS[1:]]
    assert min(blocks) == pytest.approx(middle - hour / 2, abs=1.5)
    assert max(blocks) == pytest.approx(middle + hour / 2, abs=1.5)
    assert "1 event, 23 h 00 min in all" in report(path, date(2026, 3, 29))
    assert "1 event" not in report(path, date(2026, 3, 30)) and "1 event" not in report(path, date(2026, 3, 28))


def test_sources_and_clips_have_columns_where_there_are_some(tmp_path):
    path = keep(
        tmp_path / "events.db",
        an_event("2026-11-21 10:00:00", 5.0, clip="2026-11-21_11-00-00_yoga.mp4"),
        an_event("2026-11-21 10:00:10", 5.0, source="rtsp://10.0.0.7/cam"),
    )
    table = report(path).split("\n\n")[1]
    header, first, second = table.split("\n")
    assert header.split()[-2:] == ["source", "clip"]
    assert header.index("source") == first.index("usb:0") == second.index("rtsp://10.0.0.7/cam")
    assert header.index("clip") == first.index("2026-11-21_11-00-00_yoga.mp4")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are told apart by Linux's /proc")
def test_what_lasts_and_what_was_cut(tmp_path):
    path = tmp_path / "events.db"
    code = """
import os, sys, time
from tests.test_events_report import *
Database(sys.argv[1]).event(an_event(time.time(), 1.0, "cut", ongoing=True))
while not sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM events").fetchone()[0]:
    time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, timeout=60)
    text = report(path, width=80)  # nobody has opened it for writing since
    assert re.search(r" 1\.0 s\+  cut ", text) and "killed" in text and "still lasts" not in text
    database = Database(path)
    database.event(an_event(time.time() - 30, 1.0, "lasting", ongoing=True))
    while not query(path, "SELECT count(*) FROM events WHERE ongoing"):
        time.sleep(0.01)
    text = report(path, width=80)
    database.close()
    seconds = float(re.search(r" (\d+\.\d) s…  lasting ", text).group(1))
    assert 30 <= seconds <= 59 and "… still lasts" in text and re.search(r" 1\.0 s\+  cut ", text)


def query(path, statement):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchone()[0]


def test_it_reads_while_another_writes_and_changes_nothing(tmp_path):
    path = keep(tmp_path / "events.db", an_event("2026-11-21 10:00:00", 5.0))
    before = path.read_bytes()
    path.chmod(0o444)
    assert "1 event" in report(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["events.db"]
    path.chmod(0o644)
    database = Database(path)
    database.event(an_event("2026-11-21 10:01:00", 5.0))
    while query(path, "SELECT count(*) FROM events") < 2:
        time.sleep(0.01)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # within a transaction
        assert "2 events" in report(path)
    database.close()


@pytest.mark.parametrize(
    ("encoding", "block", "side"),
    [("utf-8", "█", "│"), ("cp437", "@", "|"), ("ascii", "@", "|"), ("latin-1", "@", "|")],
)
def test_a_terminal_that_knows_few_characters(tmp_path, encoding, block, side):
    path = keep(tmp_path / "events.db", an_event("2026-11-21 10:00:00", 600.0, "Käse\x1b[2Jschneiden 瑜伽"))
    text = report(path, width=80, encoding=encoding)
    assert text.encode(encoding)  # can be printed
    rows, _ = plot(text, side)
    ((label, cells),) = rows.items()
    assert cells.count(block) > 3
    assert "\x1b" not in text and "schneiden" in label and ("ä" in label) == (encoding != "ascii")


def test_the_printed_report_of_a_process(tmp_path):
    path = keep(tmp_path / "events.db", an_event("2026-11-21 10:00:00", 600.0))
    for encoding, block in (("utf-8", "█"), ("ascii", "@")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "72"}
        code = "import sys; from events.report import report; print(report(sys.argv[1]))"
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            timeout=60,
            check=True,
        )
        lines = done.stdout.decode(encoding).split("\n")
        assert block in done.stdout.decode(encoding) and 60 < max(map(len, lines)) <= 72


LABELS = ["yoga", "tai chi", "passing American football (not in game)", "瑜伽", "e\u0301tirements", "x" * 70, "a\tb"]


@settings(
    max_examples=80,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    events=st.lists(
        st.tuples(
            st.floats(utc("2026-10-24 22:00:00"), utc("2026-10-25 22:59:59")),
            st.one_of(st.floats(0, 100), st.floats(0, 90_000)),
            st.sampled_from(LABELS),
        ),
        min_size=1,
        max_size=12,
    ),
    width=st.integers(40, 200),
)
def test_any_day_fits_the_terminal_and_hides_nothing(tmp_path_factory, events, width):
    path = tmp_path_factory.mktemp("day") / "events.db"
    keep(path, *(an_event(start, duration, label, id=str(i)) for i, (start, duration, label) in enumerate(events)))
    text = report(path, date(2026, 10, 25), width=width)
    table, sums, timeline = text.split("\n\n")[1:]
    assert len(table.split("\n")) == len(events) + 1
    used = {label for _, _, label in events}
    assert len(sums.split("\n")) == len(used) + 1
    lines = timeline.split("\n")
    assert len(lines) == len(used) + 3  # the axis, its times, the scale
    assert all(columns(line) <= width for line in lines)
    assert len({columns(line) for line in lines[: len(used) + 1]}) == 1  # a rectangle
    assert all(set(line) & set(BLOCKS[1:]) for line in lines[: len(used)])  # each label is to be seen
    assert re.search(r"\d\d:\d\d", lines[-2])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_text('{"event": "began"}\n'), "not a database of events"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE events (id)").connection.commit(), "not a database"),
        (lambda path: damage(path, "label", "'x' WHERE 0; DROP TABLE events"), "read"),
        (lambda path: damage(path, "start", "'soon'"), "read"),
        (lambda path: damage(path, "start", "1e300"), "read"),
        (lambda path: damage(path, "duration", "9e999"), "read"),
        (lambda path: damage(path, "peak", "x'00ff'"), "read"),
    ],
)
def test_files_that_cant_be_read(tmp_path, make, says):
    path = tmp_path / "events.db"
    make(path)
    with pytest.raises(UserError, match=says) as caught:
        print(report(path))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def damage(path, column, value):
    keep(path, an_event("2026-11-21 10:00:00", 5.0))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"UPDATE events SET {column} = {value}")
        if "DROP" in value:
            connection.executescript("CREATE TABLE events (id)")


def test_no_events_yet(tmp_path):
    empty = tmp_path / "empty.db"
    empty.touch()
    assert report(empty) == "empty.db: no events yet"
    assert report(keep(tmp_path / "events.db")) == "events.db: no events yet"
