"""What is off costs nothing: neither the web page, MQTT, the database nor the clips are loaded unless asked for."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time

import demo_program
from conftest import ROOT

PROGRAM = """
import sys
import classify
status = classify.main(sys.argv[1:])
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(status)
"""
HEAVY = {"paho", "starlette", "uvicorn", "anyio", "sqlite3", "ssl", "asyncio", "matplotlib", "sklearn", "http.server"}
OURS = {"events.clips", "events.database", "events.detector", "remote.mqtt", "web.server", "remote.client"}


def modules(folder, *flags):
    command = [sys.executable, "-c", PROGRAM, "--source", "demo", "--display", "none", "--duration", "1", *flags]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, env=environment(folder))
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def environment(folder):
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(folder)}


def test_what_is_off_is_not_even_imported(tmp_path):
    loaded = modules(tmp_path)
    assert loaded & (HEAVY | OURS) == set()
    assert "remote.socket_server" in loaded
    assert "remote.socket_server" not in modules(tmp_path, "--no-control")


def test_what_is_on_is(tmp_path):
    loaded = modules(tmp_path, "--events", "events.db", "--clips", "clips")
    assert {"sqlite3", "events.clips", "events.database"} <= loaded and "paho" not in loaded


def test_services_that_take_their_time_end_at_the_same_time(tmp_path):
    """Another program holds the databases: each is tried for a second, in which all of them and the clips end."""
    names = [f"{number}.db" for number in range(6)]
    flags = [part for name in (*names, "-") for part in ("--events", name)]
    program = demo_program.start(
        *("--source", "demo", "--display", "none", "--event-min", 0, "--clips", "clips", *flags),
        *demo_program.ONE_THREAD,
        folder=tmp_path,
    )
    try:
        assert program.stdout.readline()  # an event, so all of them are open
        with contextlib.ExitStack() as stack:
            for name in names:
                other = stack.enter_context(contextlib.closing(sqlite3.connect(tmp_path / name, isolation_level=None)))
                other.execute("PRAGMA busy_timeout = 30000")
                other.execute("BEGIN IMMEDIATE")
            assert program.stdout.readline()  # and one that none of them can write now
            begun = time.monotonic()
            program.send_signal(signal.SIGTERM)
            assert program.wait(demo_program.LIMIT) == 143
            assert time.monotonic() - begun < 5  # one after another: more than six
        errors = program.communicate()[1]
        assert sum("are lost" in line for line in errors.splitlines()) == len(names)
        assert list((tmp_path / "clips").glob("*.mp4"))
    finally:
        demo_program.stop(program)
