"""An archive that is killed again and again: every file is done once, whenever it was."""

from __future__ import annotations

import random
import sqlite3
import time

import pytest
from archive_files import BLUE, RED, done, events, query, run, start, states, write_video

COUNT = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of videos and the events that a run finds that nothing disturbs."""
    folder = tmp_path_factory.mktemp("kill")
    for number in range(COUNT):
        write_video(folder / "videos" / f"{number:02}.avi", [(RED, 200 + 4 * number), (BLUE, 400)])
    status, _, errors = run(folder, "--source", "videos", "--jobs", 2, "--events", "whole.db")
    assert status == 0, errors
    return folder


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_goes_on_and_every_file_is_done_once(whole, tmp_path, seed):
    moments = random.Random(seed)
    flags = ("--source", whole / "videos", "--jobs", 2, "--events", tmp_path / "a.db")
    times = {}  # by file: when it was written
    kills = 0
    while done(tmp_path / "a.db") < COUNT and kills < 3:
        goal = min(COUNT, done(tmp_path / "a.db") + moments.randint(0, COUNT // 3))
        with start(tmp_path, *flags) as program:
            while program.poll() is None and done(tmp_path / "a.db") < goal:
                time.sleep(0.005)
            time.sleep(moments.random() * 0.1 + 0.2 * (goal == 0))
            program.kill()
        kills += 1
        for name, at in written(tmp_path / "a.db"):
            assert times.setdefault(name, at) == at  # not done again
    status, _, errors = run(tmp_path, *flags)

    assert kills >= 2
    assert status == 0, errors
    assert states(tmp_path / "a.db") == {f"{number:02}.avi": "done" for number in range(COUNT)}
    assert events(tmp_path / "a.db") == events(whole / "whole.db")
    assert all(times.get(name, at) == at for name, at in written(tmp_path / "a.db"))


def written(database):
    try:
        return query(database, "SELECT name, at FROM files") if database.exists() else []
    except sqlite3.OperationalError:  # killed before its tables were made
        return []


def test_two_runs_at_once_leave_every_file_once(whole, tmp_path):
    flags = ("--source", whole / "videos", "--jobs", 1, "--events", "a.db")
    with start(tmp_path, *flags) as one, start(tmp_path, *flags) as other:
        reports = one.communicate(timeout=90)[1], other.communicate(timeout=90)[1]

    assert (one.returncode, other.returncode) == (0, 0), reports
    assert events(tmp_path / "a.db") == events(whole / "whole.db")


def test_a_database_that_another_program_holds_is_waited_for(whole, tmp_path):
    flags = ("--source", whole / "videos" / "0[0-3].avi", "--jobs", 1, "--events", "a.db")
    run(tmp_path, "--source", whole / "videos" / "00.avi", "--jobs", 1, "--events", "a.db")
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    with start(tmp_path, *flags) as program:
        while "at a time" not in program.stderr.readline():
            assert program.poll() is None
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(1.5)
        holder.execute("COMMIT")
        holder.close()
        assert program.wait(90) == 0

    assert len(states(tmp_path / "a.db")) == 4
