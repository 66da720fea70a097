"""Commands that print and end, where nobody can read what they print: `>&-`, a full disk, `| head`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA, ROOT

from events import Event
from events.database import Database

LIMIT = 120  # seconds; against hanging only
TINY = ("--model", DATA / "tiny.tflite", "--labels", DATA / "tiny.txt")
COMMANDS = [
    ["--help"],
    ["--list-models"],
    ["--model-info", DATA / "tiny.tflite", "--labels", DATA / "tiny.txt"],
    ["--events-report", "events.db"],
    ["--doctor", "--source", "demo", *TINY],
]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Runs classify.py beside a database of an event; returns exit status and standard error."""
    with contextlib.closing(Database(tmp_path / "events.db")) as database:
        database.event(Event("1", "yoga", "demo", 1.8e9, 0.0, 4.0, 0.9, 0.7, False))

    def finish(flags: Any, redirection: str = "", **streams: Any) -> tuple[int, str]:
        command = ["sh", "-c", f'exec "$0" "$@" {redirection}', sys.executable, ROOT / "classify.py", *flags]
        process = subprocess.run(
            [str(each) for each in command], cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=LIMIT, **streams
        )
        return process.returncode, process.stderr

    return finish


@pytest.mark.parametrize("flags", COMMANDS, ids=lambda flags: flags[0])
def test_a_reader_that_has_gone_is_no_mistake(run, flags):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(flags, stdout=writer) == (0, "")
    finally:
        os.close(writer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("flags", COMMANDS, ids=lambda flags: flags[0])
def test_a_full_disk_is_one_line_and_a_status(run, flags):
    status, errors = run(flags, ">/dev/full")
    assert status == 5
    assert errors == "classify.py: can't write standard output: No space left on device; check the free space\n"


@pytest.mark.parametrize("flags", COMMANDS, ids=lambda flags: flags[0])
def test_a_closed_output_is_written_nothing(run, flags):
    assert run(flags, ">&-") == (0, "")


def test_the_program_runs_and_ends_without_standard_output(run):
    status, errors = run(["--source", "demo", "--display", "none", "--duration", "2", *TINY], ">&-")
    assert status == 0 and errors.splitlines()[-1].startswith("ended: ")


def test_without_standard_error_what_is_said_is_said_to_nobody(run, tmp_path):
    """Least of all to who reads the results."""
    with open(tmp_path / "out.jsonl", "w") as out:
        flags = ["--source", "demo", "--display", "none", "--duration", "2", "--jsonl", "-", *TINY]
        status, _ = run(flags, "2>&-", stdout=out)
    assert status == 0
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert lines and all(line.startswith("{") for line in lines)


DEMO = ["--source", "demo", "--display", "none", "--duration", "2", *TINY]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_under_what_is_said_ends_nothing(run, tmp_path):
    """Of a log: 2>log.txt."""
    with open(tmp_path / "out.jsonl", "w") as out:
        assert run([*DEMO, "--jsonl", "-"], "2>/dev/full", stdout=out)[0] == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) > 3


def test_a_reader_of_what_is_said_that_has_gone_ends_nothing(run, tmp_path):
    """Of a terminal that was closed; or 2>&1 | head."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run([*DEMO, "--jsonl", "out.jsonl"], "2>&1", stdout=writer)[0] == 0
    finally:
        os.close(writer)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) > 3


def test_the_address_of_the_web_page_is_no_result(run, tmp_path):
    pytest.importorskip("uvicorn")
    with open(tmp_path / "out.jsonl", "w") as out:
        assert run([*DEMO, "--jsonl", "-", "--serve", "0"], "2>&-", stdout=out)[0] == 0
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert lines and all(line.startswith("{") for line in lines)
