"""A whole archive, as a user has it classified: real videos, worker processes, a database."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from archive_files import BLUE, GREEN, LIMIT, MODEL, RED, done, events, query, run, start, states, write_video
from conftest import DATA, ROOT
from terminal import written_on_a_terminal

import archive
from errors import SourceError, UserError
from options import parse_options

CLIPS = {
    "hall/cam.avi": [(RED, 90), (BLUE, 240)],
    "yard/cam.avi": [(GREEN, 120)],
    "yard/late.avi": [(BLUE, 60), (RED, 150)],
}


CLIP_MODEL = ("--model", DATA / "clip.tflite", "--labels", DATA / "clip.txt", "--stride", 4)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "videos"
    for name, parts in CLIPS.items():
        write_video(folder / name, parts)
    return folder


@pytest.fixture
def own_videos(videos, tmp_path):
    """A copy that a test may change."""
    folder = tmp_path / "videos"
    for name in CLIPS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((videos / name).read_bytes())
    return folder


@pytest.fixture
def signals():
    """Gives the tests their signals back after a run in this process."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, handlers):
        signal.signal(number, handler)


def lines(text):
    """Lines of JSON without what differs between runs: clocks."""
    found = [json.loads(line) for line in text.splitlines()]
    return [{key: value for key, value in line.items() if key not in ("time", "step_ms")} for line in found]


def sources(path):
    """The files that have lines; one that is being written doesn't count."""
    return {json.loads(line)["source"] for line in path.read_text().split("\n")[:-1]}


# What it finds


@pytest.mark.parametrize("model", [MODEL, CLIP_MODEL], ids=["streaming", "clips"])
def test_one_job_and_two_find_what_a_run_of_each_file_finds(videos, tmp_path, model):
    names = model[3].read_text().split()
    (tmp_path / "labels.txt").write_text("\n".join(names))
    (tmp_path / "labels.ko.txt").write_text("\n".join(f"ko {name}" for name in names))
    common = (*model, "--labels", "labels.txt", "--lang", "ko", "--event-on", 0.4)
    for jobs in (1, 2):
        flags = (*common, "--jobs", jobs, "--events", f"{jobs}.db", "--jsonl", f"{jobs}.jsonl")
        status, _, errors = run(tmp_path, "--source", f"{videos}/**/*.avi", *flags)
        assert status == 0, errors
    for number, name in enumerate(CLIPS):
        command = [sys.executable, ROOT / "classify.py", *common, "--source", videos / name, "--display", "none"]
        command += ["--no-control", "--events", f"plain {number}.db", "--jsonl", f"plain {number}.jsonl"]
        subprocess.run([str(part) for part in command], cwd=tmp_path, check=True, capture_output=True, timeout=LIMIT)

    assert events(tmp_path / "1.db") == events(tmp_path / "2.db")
    assert query(tmp_path / "1.db", "SELECT source, start FROM events ORDER BY source, start") == query(
        tmp_path / "2.db", "SELECT source, start FROM events ORDER BY source, start"
    )
    for number, name in enumerate(CLIPS):
        found = [event for event in events(tmp_path / "1.db") if event[0] == name]
        assert found
        assert [event[1:] for event in found] == [event[1:] for event in events(tmp_path / f"plain {number}.db")]
        plain = lines((tmp_path / f"plain {number}.jsonl").read_text())
        for jobs in (1, 2):
            own = [line for line in lines((tmp_path / f"{jobs}.jsonl").read_text()) if line["source"] == name]
            assert own == [{**line, "source": name} for line in plain]
            assert {top["shown"] for line in own for top in line["top"]} <= {f"ko {label}" for label in names}


def test_a_row_a_file_says_what_was_done(videos, tmp_path):
    run(tmp_path, "--source", videos, "--jobs", "auto", "--events", "a.db")

    rows = query(tmp_path / "a.db", "SELECT name, path, state, frames, steps, seconds, error FROM files ORDER BY name")
    assert [row[0] for row in rows] == sorted(CLIPS)
    for name, path, state, frames, steps, seconds, error in rows:
        assert os.path.samefile(path, videos / name)
        expected = sum(count for _, count in CLIPS[name])
        assert (state, frames, error) == ("done", expected, None)
        assert steps == pytest.approx(expected / 6, abs=1)
        assert seconds == pytest.approx(expected / 30, abs=0.05)


def test_events_are_dated_by_the_end_of_the_recording(own_videos, tmp_path):
    os.utime(own_videos / "yard/cam.avi", (1_700_000_000, 1_700_000_000))  # 4 s of green

    run(tmp_path, "--source", own_videos / "yard/cam.avi", "--jobs", 1, "--events", "a.db")

    found = dict(query(tmp_path / "a.db", "SELECT label, start - position FROM events"))
    assert found["green"] == pytest.approx(1_700_000_000 - 4, abs=0.1)


def test_events_as_lines_on_standard_output(videos, tmp_path):
    status, output, errors = run(tmp_path, "--source", f"{videos}/*/cam.avi", "--jobs", 2, "--events", "-")

    found = [json.loads(line) for line in output.splitlines()]
    assert status == 0
    assert {line["source"] for line in found} == {"hall/cam.avi", "yard/cam.avi"}
    assert {line["event"] for line in found} == {"ended"}
    assert "Traceback" not in errors


def test_the_lines_of_a_file_stand_together(videos, tmp_path):
    run(tmp_path, "--source", f"{videos}/**/*.avi", "--jobs", 2, "--jsonl", "a.jsonl")

    sources = [line["source"] for line in lines((tmp_path / "a.jsonl").read_text())]
    changes = sum(one != other for one, other in zip(sources, sources[1:]))
    assert changes == len(CLIPS) - 1


# What can't be read


def test_what_cannot_be_read_is_a_line_each_and_a_row_and_the_others_are_done(own_videos, tmp_path):
    (own_videos / "empty.avi").write_bytes(b"")
    (own_videos / "noise.avi").write_bytes(b"RIFF" + bytes(range(256)) * 40)
    (own_videos / "gone.avi").symlink_to("nowhere.avi")

    status, _, errors = run(tmp_path, "--source", f"{own_videos}/**/*.avi", "--jobs", 2, "--events", "a.db")

    skipped = [line for line in errors.splitlines() if line.startswith("skipped: ")]
    assert status == 0
    assert sorted(line.split()[1].rstrip(":") for line in skipped) == ["empty.avi", "gone.avi", "noise.avi"]
    assert "3 of 6 files done, 3 can't be read" in errors
    assert "Traceback" not in errors
    found = states(tmp_path / "a.db")
    assert found == {"empty.avi": "unreadable", "noise.avi": "unreadable", **dict.fromkeys(CLIPS, "done")}


def test_what_ends_before_its_end_is_a_line_and_a_note_in_its_row(tmp_path):
    for name in ("whole.mkv", "cut.mkv", "bounded.mkv"):
        write_video(tmp_path / name, [(RED, 120), (BLUE, 120)])
    content = (tmp_path / "cut.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) * 3 // 4])

    _, _, errors = run(tmp_path, "--source", "[cw]*.mkv", "--jobs", 2, "--events", "a.db")
    bounded = run(tmp_path, "--source", "bounded.mkv", "--jobs", 1, "--events", "b.db", "--duration", 2)

    (line,) = [line for line in errors.splitlines() if line.startswith("incomplete: ")]
    found = re.fullmatch(r"incomplete: cut.mkv: (its pictures end after ([\d.]+) of 8.0 s; is it damaged.*)", line)
    assert found and 5 < float(found[2]) < 7, line
    assert "2 of 2 files done, 1 incomplete; now " in errors
    assert query(tmp_path / "a.db", "SELECT name, state, error FROM files ORDER BY name") == [
        ("cut.mkv", "done", found[1]),
        ("whole.mkv", "done", None),
    ]
    assert "incomplete" not in bounded[2]


def test_if_none_can_be_read_the_status_says_so(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"no video")

    status, _, errors = run(tmp_path, "--source", "*.mp4", "--jobs", 2, "--events", "a.db")

    assert status == SourceError.status
    assert "0 of 2 files done, 2 can't be read" in errors


def test_what_can_be_read_later_is_done_later(own_videos, tmp_path):
    target = own_videos / "yard/cam.avi"
    content = target.read_bytes()
    target.write_bytes(b"half copied")
    flags = ("--source", own_videos, "--jobs", 2, "--events", "a.db")
    run(tmp_path, *flags)
    assert states(tmp_path / "a.db")["yard/cam.avi"] == "unreadable"

    target.write_bytes(content)
    run(tmp_path, *flags)

    assert set(states(tmp_path / "a.db").values()) == {"done"}


def test_a_name_cannot_harm_the_terminal_or_be_taken_for_something_else(own_videos, tmp_path):
    (own_videos / "yard/cam.avi").rename(own_videos / "rtsp:%41\x1b[2J\n'.avi")
    (own_videos / "bad\x1b]0;\n.avi").write_bytes(b"no video")
    with open(os.fsencode(own_videos) + b"/caf\xe9.avi", "wb") as file:
        file.write((own_videos / "hall/cam.avi").read_bytes())

    status, _, errors = run(tmp_path, "--source", f"{own_videos}/*.avi", "--jobs", 1, "--events", "a.db")

    assert status == 0
    assert "\x1b" not in errors
    assert sorted(states(tmp_path / "a.db").values()) == ["done", "unreadable", "unreadable"]
    assert {source for source, *_ in events(tmp_path / "a.db")} == {"rtsp:%41\x1b[2J\n'.avi"}


# What is seen of it


def test_on_a_terminal_every_line_stands_by_itself(videos, tmp_path):
    pytest.importorskip("tqdm", reason="tqdm isn't installed")
    command = [sys.executable, ROOT / "classify.py", *MODEL, "--source", videos, "--jobs", 1, "--events", "a.db"]

    lines = written_on_a_terminal(command, 80, cwd=tmp_path)

    assert "archive: 3 files, 1 at a time" in lines
    assert re.fullmatch(r"archive: 3 of 3 files 100%\|█+\| \d\d:\d\d, 00:00 left", lines[-2]), lines
    assert lines[-1].startswith("archive: 3 of 3 files done; now ")


# Going on


def test_what_is_done_is_not_done_again(own_videos, tmp_path):
    flags = ("--source", f"{own_videos}/**/*.avi", "--jobs", 2, "--events", "a.db")
    run(tmp_path, *flags)
    before = query(tmp_path / "a.db", "SELECT * FROM files ORDER BY id"), events(tmp_path / "a.db")

    _, _, errors = run(tmp_path, *flags)

    assert (query(tmp_path / "a.db", "SELECT * FROM files ORDER BY id"), events(tmp_path / "a.db")) == before
    assert "3 of 3 files done (3 of them before)" in errors


def test_lines_that_are_asked_for_too_late_are_told_of(videos, tmp_path):
    flags = ("--source", f"{videos}/yard/*.avi", "--jobs", 1, "--events", "a.db")
    assert "lines" not in run(tmp_path, *flags)[2] + run(tmp_path, *flags)[2]

    _, _, errors = run(tmp_path, *flags, "--jsonl", "a.jsonl")

    assert "archive: 2 of 2 files are done already; a.jsonl gets no lines of them now" in errors.splitlines()


def test_files_of_one_name_from_two_runs_keep_two_names(videos, tmp_path):
    for _ in range(2):
        for folder in ("hall", "yard"):
            run(tmp_path, "--source", f"{videos}/{folder}/c*.avi", "--jobs", 1, "--events", "a.db")

    other = os.path.realpath(videos / "yard" / "cam.avi")
    assert states(tmp_path / "a.db") == {"cam.avi": "done", other: "done"}
    assert {source for source, *_ in events(tmp_path / "a.db")} == {"cam.avi", other}
    assert query(tmp_path / "a.db", "SELECT count(*) FROM files") == [(2,)]


def test_another_form_of_the_clip_is_another_setting(videos, tmp_path):
    model = ("--model", DATA / "clip_open.tflite", "--labels", DATA / "clip.txt", "--clip-length", 8)
    flags = (*model, "--source", videos, "--jobs", 1, "--events", "a.db", "--clip-size")
    run(tmp_path, *flags, 12)

    again, other = run(tmp_path, *flags, 12), run(tmp_path, *flags, 11)

    assert "(3 of them before)" in again[2]
    assert "3 of 3 files done; now" in other[2], other[2]


@pytest.mark.parametrize("change", ["a file", "a setting"])
def test_what_has_changed_is_done_again_in_place_of_the_old(own_videos, tmp_path, change):
    flags = ["--source", f"{own_videos}/**/*.avi", "--jobs", 2, "--events", "a.db"]
    run(tmp_path, *flags)
    if change == "a file":
        write_video(own_videos / "yard/cam.avi", [(RED, 150)])
    else:
        flags += ["--event-min", 5]

    _, _, errors = run(tmp_path, *flags)
    run(tmp_path, *["fresh.db" if flag == "a.db" else flag for flag in flags])

    assert ("2 of them before" in errors) == (change == "a file")
    assert events(tmp_path / "a.db") == events(tmp_path / "fresh.db")
    assert query(tmp_path / "a.db", "SELECT count(*) FROM file_events") == query(
        tmp_path / "a.db", "SELECT count(*) FROM events"
    )


def test_other_events_in_the_database_stay(videos, tmp_path):
    command = [sys.executable, ROOT / "classify.py", *MODEL, "--source", videos / "yard/cam.avi", "--display", "none"]
    command += ["--no-control", "--events", "a.db"]
    subprocess.run([str(part) for part in command], cwd=tmp_path, check=True, capture_output=True, timeout=LIMIT)
    before = events(tmp_path / "a.db")
    assert before

    for minimum in (1, 2):
        run(tmp_path, "--source", videos, "--jobs", 2, "--events", "a.db", "--event-min", minimum)

    assert [event for event in events(tmp_path / "a.db") if event[0] == "cam.avi"] == before


# What doesn't go


@pytest.mark.parametrize(
    ("flags", "status", "word"),
    [
        (["--jobs", "2"], 2, "--events"),
        (["--jobs", "2", "--events", "a.db", "--events", "b.db"], 2, "b.db"),
        (["--jobs", "2", "--events", "a.db", "--record", "out.mp4"], 2, "--record"),
        (["--jobs", "2", "--events", "a.db", "--timeline", "out.png"], 2, "--timeline"),
        (["--jobs", "2", "--events", "a.db", "--display", "window"], 2, "--display"),
        (["--jobs", "2", "--cluster", "tcp://x:1", "--events", "a.db"], 2, "--cluster"),
        (["--cluster", "somewhere", "--events", "a.db"], 2, "tcp://"),
        (["--jobs", "2", "--events", "a.db", "--source", "usb:0"], 4, "usb:0"),
        (["--jobs", "2", "--events", "a.db", "--source", "nowhere/*.mp4"], 4, "nowhere"),
        (["--jobs", "2", "--events", "nowhere/a.db"], 5, "nowhere"),
        (["--jobs", "2", "--events", "a.db", "--deny", "rde"], 2, "red"),
    ],
)
def test_a_users_mistake_is_one_line_and_a_status(videos, signals, tmp_path, monkeypatch, flags, status, word):
    monkeypatch.chdir(tmp_path)
    sources = [] if "--source" in flags else ["--source", str(videos)]

    with pytest.raises(UserError, match=r"^[^\n]+$") as error:
        archive.run(parse_options([*map(str, MODEL), *sources, *flags]))

    assert error.value.status == status
    assert word in str(error.value)


def test_a_file_that_is_no_database_of_events_is_left_as_it_is(videos, tmp_path):
    (tmp_path / "a.db").write_text("a letter")

    code, _, errors = run(tmp_path, "--source", videos, "--jobs", 1, "--events", "a.db")

    assert code == 5
    assert (tmp_path / "a.db").read_text() == "a letter"


def test_a_pattern_of_several_files_or_a_flag_makes_it_an_archive(videos):
    def is_archive(*flags):
        return archive.is_archive(parse_options([str(flag) for flag in flags]))

    assert is_archive("--source", f"{videos}/yard/*.avi")
    assert is_archive("--source", videos / "yard/cam.avi", "--jobs", 1)
    assert is_archive("--source", videos, "--cluster", "tcp://host:8786")
    assert not is_archive("--source", f"{videos}/hall/*.avi")
    assert not is_archive("--source", videos)
    assert not is_archive("--source", "rtsp://camera/*[1]")
    assert not is_archive()


# How it ends


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_within_two_seconds_and_the_same_command_goes_on(videos, tmp_path, number, expected):
    for copy in range(20):
        (tmp_path / f"{copy:02}.avi").write_bytes((videos / "hall/cam.avi").read_bytes())
    flags = ("--source", "*.avi", "--jobs", 2, "--events", "a.db")
    with start(tmp_path, *flags) as program:
        while "at a time" not in program.stderr.readline():
            pass
        while not done(tmp_path / "a.db"):
            time.sleep(0.02)
        program.send_signal(number)
        begun = time.monotonic()
        errors = program.stderr.read()
        code = program.wait(LIMIT)

    assert code == expected
    assert time.monotonic() - begun < 2
    assert "stopped: " in errors and "goes on" in errors
    assert "Traceback" not in errors
    assert run(tmp_path, *flags)[0] == 0
    assert list(states(tmp_path / "a.db").values()) == ["done"] * 20


def test_a_file_that_the_database_refuses_leaves_no_lines(videos, tmp_path):
    """They would be there twice when the same command has done the file again."""
    database, log = tmp_path / "a.db", tmp_path / "a.jsonl"
    flags = ("--source", "*.avi", "--jobs", 1, "--events", "a.db", "--jsonl", "a.jsonl")
    for copy in range(6):
        (tmp_path / f"{copy}.avi").write_bytes((videos / "hall/cam.avi").read_bytes())
    with start(tmp_path, *flags) as program:
        while "at a time" not in program.stderr.readline():
            pass
        with contextlib.closing(sqlite3.connect(database, timeout=10, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            deadline = time.monotonic() + LIMIT
            while sources(log) <= states(database).keys():  # until there are lines of a file that can't be done
                assert program.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
            program.send_signal(signal.SIGTERM)
            _, errors = program.communicate(timeout=LIMIT)
    assert "database is locked" in errors.splitlines()[-1]
    assert sources(log) == states(database).keys()

    assert run(tmp_path, *flags)[0] == 0
    steps = [(line["source"], line["step"]) for line in lines(log.read_text())]
    assert len(steps) == len(set(steps)) and sources(log) == states(database).keys()
