"""What a user sees of a long task: a bar on a terminal, lines in a log, nothing of a short one."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from teaching.progress import track

_TASK = "import time; from teaching.progress import track; [time.sleep(0.02) for _ in track(list(range(40)))]"


def on_a_terminal(code: str, environment: dict[str, str]) -> str:
    """Runs Python with its stderr on a terminal of 80 columns; returns what is written there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", f"import os; os.environ['COLUMNS'] = '80'; {code}"]
    with subprocess.Popen(command, stderr=theirs, cwd=ROOT, env={**os.environ, **environment}) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how Linux says that nobody writes any more
                part = b""
            if not part:
                break
            written += part
        assert process.wait(timeout=60) == 0
    os.close(ours)
    return written.decode()


def test_all_items_come_in_order(capsys):
    assert list(track(["a", "b", "c"])) == ["a", "b", "c"] and list(track([])) == []
    assert capsys.readouterr() == ("", "")  # a short task says nothing


def test_lines_tell_how_many_are_done_and_how_long_the_rest_takes(capsys):
    for _ in track(range(4), "features", "clips", period=0.05):
        time.sleep(0.06)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"features: {done} of 4 clips, some seconds left" for done in (1, 2, 3)]


@pytest.mark.parametrize(
    ("seconds", "said"), [(36, "about 40 s left"), (150, "about 2 min left"), (3 * 3600, "about 3 h left")]
)
def test_the_rest_is_reckoned_from_what_was_done(capsys, monkeypatch, seconds, said):
    """The clock says that the first of four items took a third of these seconds."""
    clock = iter([0.0, 0.0, seconds / 3, seconds / 3, seconds / 3])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    list(track(range(4), "features", "clips"))
    assert capsys.readouterr().err == f"features: 1 of 4 clips, {said}\n"


def test_a_bar_on_a_terminal():
    pytest.importorskip("tqdm", reason="tqdm isn't installed")
    last = on_a_terminal(_TASK, {}).replace("\n", "\r").strip("\r").split("\r")[-1]
    assert re.match(r"features: 100%\|.*\| 40/40 \[\d\d:\d\d<\d\d:\d\d", last) and len(last) <= 80


def test_lines_on_a_terminal_without_tqdm(tmp_path):
    (tmp_path / "tqdm.py").write_text("raise ImportError")
    code = _TASK.replace("range(40))", "range(40)), period=0.2")
    lines = on_a_terminal(code, {"PYTHONPATH": str(tmp_path)}).splitlines()
    assert lines and all(re.fullmatch(r"features: \d+ of 40 clips, some seconds left", line) for line in lines)
