"""What is off costs nothing: neither the web page, MQTT, the database nor the clips are loaded unless asked for."""

from __future__ import annotations

import subprocess
import sys

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
