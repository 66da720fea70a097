"""What a user sees of a long task: a bar on a terminal, lines in a log, nothing of a short one."""

from __future__ import annotations

import os
import re
import sys
import time

import pytest
from conftest import ROOT
from terminal import written_on_a_terminal

from progress import Progress, track

_TASK = "import time; from progress import track; [time.sleep(0.02) for _ in track(list(range(40)))]"
_FILES = """
import time
from progress import Progress
with Progress("archive", 4, "files", 4000) as progress:
    time.sleep(0.2); progress.advance(1000); progress.tell("skipped: x.mp4"); progress.advance(2000)
"""


def on_a_terminal(code: str, columns: int = 0, **environment: str) -> list[str]:
    command = [sys.executable, "-c", code]
    return written_on_a_terminal(command, columns, cwd=ROOT, env={**os.environ, **environment})


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
    clock = iter([0.0, *[seconds / 3] * 4])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    list(track(range(4), "features", "clips"))
    assert capsys.readouterr().err == f"features: 1 of 4 clips, {said}\n"


def test_the_rest_of_items_that_differ_is_reckoned_by_their_size(capsys, monkeypatch):
    clock = iter([0.0, *[40.0] * 2])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Progress("archive", 2, "files", 5000) as progress:
        progress.advance(1000)
    assert capsys.readouterr().err == "archive: 1 of 2 files, about 3 min left\n"


def test_other_lines_stand_between(capsys):
    with Progress("archive", 3, "files", period=0) as progress:
        progress.advance()
        progress.tell("skipped: x.mp4")
        progress.advance()
        progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "archive: 1 of 3 files",
        "skipped: x.mp4",
        "archive: 2 of 3 files",
    ]


@pytest.mark.parametrize("columns", [0, 80, 200])
def test_a_bar_on_a_terminal(columns):
    pytest.importorskip("tqdm", reason="tqdm isn't installed")
    last = on_a_terminal(_TASK, columns)[-1]
    assert re.fullmatch(r"features: 40 of 40 clips 100%\|█{20,}\| \d\d:\d\d, 00:00 left", last), last
    assert len(last) <= (columns or 80)


def test_a_bar_on_a_narrow_terminal_has_room():
    pytest.importorskip("tqdm", reason="tqdm isn't installed")
    last = on_a_terminal(_FILES, 40)[-1]
    assert re.fullmatch(r"2 of 4 files\|█{8,}[^|]+\| \d\d:\d\d left", last) and len(last) <= 40, last


def test_lines_stand_above_the_bar():
    pytest.importorskip("tqdm", reason="tqdm isn't installed")
    lines = on_a_terminal(_FILES, 80)
    assert "skipped: x.mp4" in lines
    assert re.match(r"archive: 2 of 4 files  75%\|.* left$", lines[-1])


def test_lines_on_a_terminal_without_tqdm(tmp_path):
    (tmp_path / "tqdm.py").write_text("raise ImportError")
    code = _TASK.replace("range(40))", "range(40)), period=0.2")
    lines = on_a_terminal(code, PYTHONPATH=str(tmp_path))
    assert lines and all(re.fullmatch(r"features: \d+ of 40 clips, some seconds left", line) for line in lines)
