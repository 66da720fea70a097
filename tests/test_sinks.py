"""JSON Lines, the console and snapshots: what they write is read back, also after pipes and disks have failed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap
import unicodedata
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from errors import OutputError
from printing import ReaderGone
from sinks.console import Console
from sinks.jsonl import JsonLines
from sinks.snapshot import save_snapshot
from video_classifier import Category, Prediction

ROOT = Path(__file__).resolve().parent.parent
PICTURE = np.zeros((8, 8, 3), np.uint8)
LONGEST = "passing American football (not in game)"  # of the Kinetics-600 labels


def prediction(step, *categories, timestamp=None, step_time=0.01234):
    nothing = np.zeros(0, np.float32)
    timestamp = step / 5 if timestamp is None else timestamp
    top = [Category(label, probability, index) for index, (label, probability) in enumerate(categories)]
    return Prediction(timestamp, step_time, step, top, nothing, nothing)


def run_shell(code, redirection):
    """Runs Python code in a real shell, with its output led somewhere; returns status, output and errors."""
    environment = {**os.environ, "CODE": textwrap.dedent(code), "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONUNBUFFERED", None)
    command = f'{{ "$PYTHON" -c "$CODE"; echo "status $?" >&2; }} {redirection}'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, timeout=60)
    errors = done.stderr.decode().splitlines()
    return errors[-1], done.stdout, errors[:-1]


def test_json_lines_hold_every_prediction(tmp_path):
    path = tmp_path / "out.jsonl"
    predictions = [
        prediction(1, ("carving ice", np.float32(0.9876543)), ("ice fishing", 1e-9)),
        prediction(2, step_time=0.3),
        prediction(3, ('Käse "schneiden"\nin\u2028Wien', 1.0)),
    ]
    sink = JsonLines(path, "clip.mp4")
    sink.write(PICTURE, 0.2, predictions[:1])
    sink.write(PICTURE, 0.3, [])
    sink.write(PICTURE, 0.6, predictions[1:])
    # Each line is there before the file is closed: a kill loses none.
    lines = path.read_bytes().split(b"\n")
    sink.close()
    sink.close()
    assert path.read_bytes().split(b"\n") == lines and lines.pop() == b""
    records = [json.loads(line) for line in lines]
    assert len(records) == 3
    for record, made in zip(records, predictions):
        assert record["source"] == "clip.mp4" and record["step"] == made.step
        assert record["timestamp"] == pytest.approx(made.timestamp)
        assert record["step_ms"] == pytest.approx(made.step_time * 1000, abs=0.06)
        assert [(c["label"], c["index"]) for c in record["top"]] == [(c.label, c.index) for c in made.top]
        for written, category in zip(record["top"], made.top):
            assert written["probability"] == pytest.approx(float(category.probability), abs=1e-6)
        written_at = datetime.strptime(record["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        assert abs(datetime.now(timezone.utc) - written_at) < timedelta(minutes=1)
    assert "Käse".encode() in lines[2]  # readable, not \u00e4


def test_json_is_strict(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = JsonLines(path, "camera")
    sink.write(PICTURE, 0.0, [prediction(1, ("a", float("nan")), timestamp=float("inf"))])
    sink.write(PICTURE, 0.0, [Prediction(None, 0.01, 2, [], PICTURE, PICTURE)])
    sink.close()

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    first, second = (json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines())
    assert first["timestamp"] is second["timestamp"] is first["top"][0]["probability"] is None


@pytest.mark.parametrize(
    ("before", "kept"),
    [(b'{"a": 1}\n', b'{"a": 1}\n'), (b'{"a": 1}\n{"b', b'{"a": 1}\n{"b\n'), (b"", b"")],
    ids=["whole", "cut by a kill", "empty"],
)
def test_json_is_appended_on_a_line_of_its_own(tmp_path, before, kept):
    path = tmp_path / "out.jsonl"
    path.write_bytes(before)
    sink = JsonLines(path, "camera")
    sink.write(PICTURE, 0.0, [prediction(7)])
    sink.close()
    content = path.read_bytes()
    assert content.startswith(kept)
    assert json.loads(content[len(kept) :])["step"] == 7


@pytest.mark.parametrize(
    ("name", "says"),
    [(".", "Is a directory"), ("absent/out.jsonl", "No such file"), ("file/out.jsonl", "Not a directory")],
)
def test_json_to_a_bad_path(tmp_path, name, says):
    (tmp_path / "file").write_text("text")
    with pytest.raises(OutputError, match=says) as caught:
        JsonLines(tmp_path / name, "camera")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_json_to_a_full_disk():
    sink = JsonLines("/dev/full", "camera")
    with pytest.raises(OutputError, match="/dev/full: No space left") as caught:
        sink.write(PICTURE, 0.0, [prediction(1)])
    assert not isinstance(caught.value, ReaderGone) and "\n" not in str(caught.value)
    sink.close()


WRITE_TO_STDOUT = """
    import sys
    from tests.test_sinks import PICTURE, prediction
    from errors import OutputError
    from sinks.console import Console
    from sinks.jsonl import JsonLines
    try:
        sink = {sink}
        for step in range({steps}):
            sink.write(PICTURE, float(step), [prediction(step, ("Käse", 0.5))])
        sink.close()
    except OutputError as error:
        print(type(error).__name__, error, file=sys.stderr)
"""
JSON = 'JsonLines("-", "camera")'


@pytest.mark.parametrize("sink", [JSON, "Console()"])
def test_the_reader_of_the_pipe_goes_away(sink):
    """`| head` ends quietly: one exception, no complaint from Python as it exits."""
    status, output, errors = run_shell(WRITE_TO_STDOUT.format(sink=sink, steps=20_000), "| head -n 2")
    assert len(output.splitlines()) == 2
    assert errors == ["ReaderGone standard output: the reader has closed the pipe"]
    assert status == "status 0"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("sink", [JSON, "Console()"])
def test_stdout_on_a_full_disk(sink):
    status, _, errors = run_shell(WRITE_TO_STDOUT.format(sink=sink, steps=5), "> /dev/full")
    assert len(errors) == 1 and errors[0].startswith("OutputError can't write standard output: No space left")
    assert status == "status 0"


def test_stdout_is_closed():
    status, _, errors = run_shell(WRITE_TO_STDOUT.format(sink=JSON, steps=5), ">&-")
    assert len(errors) == 1 and "standard output: it is closed" in errors[0] and status == "status 0"
    assert run_shell(WRITE_TO_STDOUT.format(sink="Console()", steps=5), ">&-") == ("status 0", b"", [])


def test_json_on_stdout_is_utf8_in_any_locale(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    _, output, errors = run_shell(WRITE_TO_STDOUT.format(sink=JSON, steps=1), "")
    assert errors == [] and json.loads(output.decode("utf-8"))["top"][0]["label"] == "Käse"


def test_console_on_a_terminal_without_the_letter(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    _, output, errors = run_shell(WRITE_TO_STDOUT.format(sink="Console()", steps=3), "")
    assert errors == [] and b"K?se" in output


def console_lines(frames):
    """Shows frames of (timestamp, predictions) to a console; returns its lines."""
    stream = io.StringIO()
    console = Console(stream)
    for timestamp, predictions in frames:
        console.write(PICTURE, timestamp, predictions)
    console.close()
    console.close()
    return stream.getvalue().splitlines()


def test_console_tells_no_rate_of_steps_that_are_seconds_apart():
    made = {0: 1, 40: 2, 80: 3}  # a clip model's, one in 4 s
    lines = console_lines(
        [(i / 10, [prediction(made[i], ("a", 0.9), timestamp=i / 10)] if i in made else []) for i in range(100)]
    )
    assert all("0.0 steps/s" not in line for line in lines)
    assert lines[-1].endswith("(12 ms)")


def test_console_prints_a_line_a_second():
    """30 frames and 5 steps a second of a camera whose clock is far from zero; the last step comes between lines."""
    frames = []
    for i in range(106):
        timestamp = 8000 + i / 30
        made = (
            [prediction(i, ("carving ice", i / 200), ("ice fishing", 0.02), timestamp=timestamp)] if i % 6 == 0 else []
        )
        frames.append((timestamp, made))
    lines = console_lines(frames)
    assert [line.split()[0] for line in lines] == ["1.0", "2.0", "3.0", "3.5"]
    for line, percent in zip(lines, [15, 30, 45, 51]):
        assert f"carving ice {percent:3} %" in line and "ice fishing   2 %" in line
        assert "(5.0 steps/s, 12 ms)" in line
        assert len(line) == 80
    assert len({line.index("(") for line in lines}) == 1  # in columns


@pytest.mark.parametrize("name", ["팔 굽혀 펴기", "ボールを投げる（野球・アメフト以外）" * 2, "nadar a crol"])
def test_console_aligns_names_in_other_letters(name):
    top = [Category("label", 0.5, 0, name), Category("other", 0.25, 1, "물")]
    made = [Prediction(float(second), 0.01, second, top, PICTURE, PICTURE) for second in range(4)]
    lines = console_lines([(one.timestamp, [one]) for one in made])
    assert len(lines) == 3
    for line in lines:
        wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in line)
        assert len(line) + wide == 80 and name[:6] in line and "label" not in line


def test_json_lines_keep_the_english_name(tmp_path):
    sink = JsonLines(tmp_path / "log.jsonl", "demo")
    top = [Category("yoga", 0.5, 598, "요가"), Category("own", 0.25, 1)]
    sink.write(PICTURE, 0.0, [Prediction(0.0, 0.01, 1, top, PICTURE, PICTURE)])
    sink.close()
    text = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    found = json.loads(text)["top"]
    assert (found[0]["label"], found[0]["shown"]) == ("yoga", "요가") and "요가" in text
    assert found[1]["label"] == "own" and "shown" not in found[1]


def test_console_prints_nothing_older_after_an_outage():
    stream = io.StringIO()
    console = Console(stream)
    console.write(PICTURE, 0.0, [prediction(1, ("yoga", 0.5))])
    console.write(PICTURE, 4.5, [prediction(2, ("yoga", 0.6))])
    console.write(PICTURE, 4.8, [prediction(3, ("yoga", 0.7))])
    for seconds in (3.0, 4.0):
        console.no_signal(seconds)
    console.close()
    times = [float(line.split()[0]) for line in stream.getvalue().splitlines()]
    assert times == [4.5, 7.8, 8.8]


def test_console_without_labels():
    lines = console_lines([(0.0, []), (1.0, []), (2.0, [prediction(1)]), (2.2, [])])
    assert len(lines) == 2
    assert "no prediction yet" in lines[0] and "no action" in lines[1]


def test_console_calls_nothing_nought_that_is_not():
    (line,) = console_lines([(0.0, [prediction(1, ("carving ice", 0.6), ("ice fishing", 0.004))])])
    assert "carving ice  60 %" in line and "ice fishing <1 %" in line


def test_console_of_a_short_run():
    assert "carving ice  94 %" in console_lines([(0.0, [prediction(1, ("carving ice", 0.94))])])[0]
    assert console_lines([(0.0, [])]) == []


@pytest.mark.parametrize("label", [LONGEST, "x" * 200])
def test_console_fits_80_columns(label):
    (line,) = console_lines([(0.0, []), (99999.0, [prediction(1, (label, 1.0), (label, 0.5), step_time=2.5)])])
    assert len(line) <= 80 and "100 %" in line and "2500 ms" in line
    assert label in line or "x…" in line


def test_snapshots_never_overwrite(tmp_path, monkeypatch):
    """Several in one millisecond, and the picture read back."""
    import sinks.snapshot

    class StoppedClock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 21, 7, 57, 1, 123999)

    monkeypatch.setattr(sinks.snapshot, "datetime", StoppedClock)
    colors = [(0, 0, 255), (0, 255, 0), (255, 0, 0)]
    paths = [save_snapshot(np.full((30, 40, 3), color, np.uint8), tmp_path) for color in colors]
    assert paths[0].name == "snapshot-20261121-075701.123.jpg"
    assert sorted(tmp_path.iterdir()) == sorted(set(paths)) and len(set(paths)) == 3
    for path, color in zip(paths, colors):
        picture = cv2.imread(str(path))
        assert picture.shape == (30, 40, 3)
        np.testing.assert_allclose(picture.reshape(-1, 3).mean(axis=0), color, atol=4)


@pytest.mark.parametrize("name", ["absent", "file"])
def test_snapshot_into_a_bad_folder(tmp_path, name):
    (tmp_path / "file").write_text("text")
    with pytest.raises(OutputError, match=name) as caught:
        save_snapshot(PICTURE, tmp_path / name)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("name", "reason"), [("file", "it is a file"), ("no/pictures", "No such file")])
def test_a_folder_for_snapshots_that_cannot_be_made_is_told_at_the_start(tmp_path, name, reason):
    (tmp_path / "file").touch()
    command = [sys.executable, str(ROOT / "classify.py"), "--source", "demo", "--max-frames", "2", "--display", "none"]
    done = subprocess.run([*command, "--snapshots", str(tmp_path / name)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 5 and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"can't keep snapshots in {tmp_path / name}: {reason}" in done.stderr


@pytest.mark.parametrize("name", ["closed/now.jpg", "closed/folder", 300 * "x" + ".jpg"])
def test_snapshot_to_where_nobody_can_look(tmp_path, name):
    from conftest import as_nobody  # not above: other processes load this file by itself

    (tmp_path / "closed" / "folder").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    with as_nobody(tmp_path), pytest.raises(OutputError):
        save_snapshot(PICTURE, name)
