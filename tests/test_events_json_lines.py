"""Events as JSON Lines: what is written is read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from errors import OutputError
from events import Event
from events.json_lines import JsonLinesEvents

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 11, 21, 8, 26, 37, 540000, tzinfo=timezone.utc)
BEGAN = Event("01J0", "Käse\n\u2028schneiden", "camera", START.timestamp(), 4.2, 1.0, 0.75, 0.625, ongoing=True)
ENDED = Event(
    "01J0", "Käse\n\u2028schneiden", "camera", START.timestamp(), 4.2, 62.25, 0.875, 0.5, ongoing=False, clip="a b.mp4"
)


def test_a_line_at_begin_and_at_end(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "beg')  # by a run that was killed within a line
    sink = JsonLinesEvents(path)
    sink.event(BEGAN)
    before = path.read_bytes()
    sink.event(ENDED)
    content = path.read_bytes()  # there before the file is closed: a kill loses none
    sink.close()
    sink.close()
    assert path.read_bytes() == content and content.startswith(before) and before.endswith(b"\n")
    began, ended = (json.loads(line) for line in content.decode().split("\n")[1:-1])
    common = {"id": "01J0", "label": BEGAN.label, "source": "camera", "start": "2026-11-21T08:26:37.540Z"}
    assert began == {**common, "event": "began", "end": None, "duration": 1, **numbers(0.75, 0.625), "clip": None}
    assert ended == {
        **common,
        "event": "ended",
        "end": "2026-11-21T08:27:39.790Z",
        "duration": 62.25,
        **numbers(0.875, 0.5),
        "clip": "a b.mp4",
    }


def numbers(peak, mean):
    return {"position": 4.2, "peak": peak, "mean": mean}


def test_standard_output():
    code = "from tests.test_events_json_lines import *; s = JsonLinesEvents('-'); s.event(BEGAN); s.event(ENDED)"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=True
    )
    assert [json.loads(line)["label"] for line in done.stdout.decode("utf-8").split("\n")[:-1]] == [BEGAN.label] * 2
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk():
    sink = JsonLinesEvents("/dev/full")
    with pytest.raises(OutputError, match="/dev/full: No space left"):
        sink.event(BEGAN)
    sink.close()


def test_a_bad_path(tmp_path):
    with pytest.raises(OutputError, match="No such file"):
        JsonLinesEvents(tmp_path / "absent" / "events.jsonl")
