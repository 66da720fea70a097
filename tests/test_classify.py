"""The whole program, run as a user runs it: a command line in a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from http_camera import address, serving

from errors import SourceError
from sources import find_camera

RED, BLUE = (0, 0, 255), (255, 0, 0)
LIMIT = 60  # seconds; against hanging only


@pytest.fixture(scope="module")
def red_video(tmp_path_factory):
    """3 s of red at 30 fps, 64x48."""
    return write_video(tmp_path_factory.mktemp("videos") / "red.avi", [(RED, 90)])


@pytest.fixture(scope="module")
def red_then_blue_video(tmp_path_factory):
    """2 s of red, then 4 s of blue."""
    return write_video(tmp_path_factory.mktemp("videos") / "red then blue.avi", [(RED, 60), (BLUE, 120)])


def write_video(path, parts, fps=30, size=(64, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size)
    for color, frames in parts:
        for _ in range(frames):
            writer.write(np.full((size[1], size[0], 3), color, np.uint8))
    writer.release()
    return path


@pytest.fixture
def start(tiny_model, tiny_labels, tmp_path):
    """Starts the program on the tiny model in an empty folder; kills what a test leaves running."""
    started = []

    def run(*flags, model=tiny_model, labels=tiny_labels, env=None, **streams):
        command = [sys.executable, str(ROOT / "classify.py"), "--model", str(model)]
        command += ["--labels", str(labels)] if labels else []
        environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        process = subprocess.Popen(
            [*command, *map(str, flags)],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            text=True,
            stdin=subprocess.DEVNULL,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    """Runs the program to its end; returns exit status, standard output and standard error."""

    def finish(*flags, **kwargs):
        process = start(*flags, **kwargs)
        output, errors = process.communicate(timeout=LIMIT)
        return process.returncode, output, errors

    return finish


def predictions(text):
    return [json.loads(line) for line in text.splitlines()]


def is_one_complaint(errors, word):
    """True if the last line is the program's complaint with that word, and nothing looks like a traceback."""
    last = errors.rstrip().splitlines()[-1]
    return last.startswith("classify.py: ") and word in last and "Traceback" not in errors


# What it sees


def test_a_file_gives_five_predictions_a_second_and_the_right_label(run, red_video):
    status, output, errors = run("--source", red_video, "--display", "none", "--jsonl", "-")

    lines = predictions(output)
    assert status == 0
    assert [line["timestamp"] for line in lines] == pytest.approx([step / 5 for step in range(15)], abs=0.04)
    assert lines[-1]["top"][0]["label"] == "red"
    assert lines[-1]["top"][0]["probability"] > 0.9
    assert "tiny.tflite on " in errors  # one line says which runtime


def test_the_official_model_recognizes_a_real_clip(run, movinet_model, carving_ice_video, kinetics_labels):
    flags = ("--source", carving_ice_video, "--display", "none", "--jsonl", "-")

    status, output, _ = run(*flags, model=movinet_model, labels=kinetics_labels)

    lines = predictions(output)
    assert status == 0
    assert 22 <= len(lines) <= 24
    assert lines[-1]["top"][0]["label"] == "carving ice"
    assert lines[-1]["top"][0]["probability"] > 0.9


def test_state_is_carried_from_frame_to_frame(run, red_then_blue_video):
    _, output, _ = run("--source", red_then_blue_video, "--display", "none", "--jsonl", "-", "--top-k", 7)

    best = [line["top"][0]["label"] for line in predictions(output)]
    assert best[9] == "red"  # the last red frame
    assert best[10] != "blue"  # one blue frame among ten red ones
    assert best[-1] == "blue"  # twenty against ten


def test_a_loop_goes_on_with_rising_time_until_the_duration_ends_it(run, red_video):
    _, output, _ = run("--source", red_video, "--loop", "--duration", 10, "--display", "none", "--jsonl", "-")

    times = [line["timestamp"] for line in predictions(output)]
    assert len(times) == pytest.approx(50, abs=1)
    assert times == sorted(times)
    assert 9.5 < times[-1] <= 10


def test_max_frames_and_sample_fps(run, red_video):
    _, output, _ = run(
        *("--source", red_video, "--max-frames", 30, "--sample-fps", 10, "--display", "none", "--jsonl", "-")
    )

    assert len(predictions(output)) == 10


def test_top_k_threshold_allow_and_deny_choose_what_is_shown(run, red_video):
    def top(*flags):
        _, output, _ = run("--source", red_video, "--display", "none", "--jsonl", "-", *flags)
        return [category["label"] for category in predictions(output)[-1]["top"]]

    assert len(top("--top-k", 7)) == 7
    assert top("--threshold", 0.5) == ["red"]
    assert set(top("--allow", "green", "blue")) == {"green", "blue"}
    assert "red" not in top("--deny", "RED")


def test_a_camera_on_the_network_is_a_live_source(run):
    with serving() as server:
        status, output, _ = run(
            *("--source", address(server, "/cam"), "--duration", 2, "--display", "none", "--jsonl", "-", "--top-k", 1)
        )

    lines = predictions(output)
    assert status == 0
    assert 5 <= len(lines) <= 11
    assert lines[-1]["top"][0]["label"] == "moving"


# Where it goes


def test_headless_it_prints_a_line_a_second(run, red_video):
    status, output, errors = run("--source", red_video, "--display", "none")

    assert status == 0
    seconds = [float(line.split()[0]) for line in output.splitlines()]
    assert seconds == pytest.approx([1, 2, 3], abs=0.1)
    assert all("red" in line and "%" in line for line in output.splitlines())
    assert "ended: 90 frames, 15 steps" in errors


def test_without_a_display_it_says_so_and_goes_on(run, red_video):
    if any(Path("/tmp/.X11-unix").glob("X*")):
        pytest.skip("a desktop runs on this machine, and the program would find it")

    status, output, errors = run("--source", red_video)

    assert status == 0
    assert "display: none" in errors
    assert len(output.splitlines()) == 3


def test_a_window_that_was_asked_for_and_cannot_be_had_is_an_error(run, red_video):
    if any(Path("/tmp/.X11-unix").glob("X*")):
        pytest.skip("a desktop runs on this machine, and the program would find it")

    status, _, errors = run("--source", red_video, "--display", "window")

    assert status == 5
    assert is_one_complaint(errors, "--display none")


def test_records_what_it_shows_and_never_over_an_older_file(run, red_video, tmp_path):
    older = tmp_path / "out.mp4"
    older.write_bytes(b"an older recording")

    status, _, errors = run("--source", red_video, "--display", "none", "--record", "out.mp4")

    assert status == 0
    assert older.read_bytes() == b"an older recording"
    assert "out-1.mp4" in errors
    frames = read_video(tmp_path / "out-1.mp4")
    assert len(frames) == 90
    blue, green, red = frames[-1][24, 60].astype(int)  # beside the labels
    assert red > 150
    assert max(blue, green) < 100
    assert frames[-1].std() > 20  # the overlay is there: the source is plain red


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            return frames
        frames.append(frame)


def test_an_output_that_fails_is_dropped_with_a_line_and_the_others_go_on(run, red_video):
    status, output, errors = run("--source", red_video, "--display", "none", "--jsonl", "/dev/full")

    assert status == 0
    assert errors.count("/dev/full") == 1
    assert len(output.splitlines()) >= 3


def test_a_reader_that_has_had_enough_ends_the_program_quietly(start, red_video):
    program = start("--source", red_video, "--loop", "--display", "none", "--jsonl", "-")
    assert json.loads(program.stdout.readline())
    program.stdout.close()
    errors = program.stderr.read()

    assert program.wait(LIMIT) == 0
    assert "Error" not in errors
    assert "classify.py:" not in errors


def test_json_lines_are_appended(run, red_video, tmp_path):
    for _ in range(2):
        run("--source", red_video, "--display", "none", "--jsonl", "log.jsonl")

    assert len(predictions((tmp_path / "log.jsonl").read_text())) == 30


def test_flags_from_a_file(run, red_video, tmp_path):
    (tmp_path / "pi.toml").write_text(f'source = "{red_video}"\ntop-k = 2\njsonl = "-"\ndisplay = "none"\n')

    _, output, _ = run("--config", "pi.toml", "--top-k", 1)

    assert {len(line["top"]) for line in predictions(output)} == {1}


# How it ends


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_within_two_seconds_with_its_files_closed(start, red_video, tmp_path, number, expected):
    program = start(
        *("--source", red_video, "--loop", "--display", "none", "--record", "out.mp4", "--jsonl", "-"),
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # the tests themselves may run under nohup
    )
    output = "".join(program.stdout.readline() for _ in range(20))
    program.send_signal(number)
    begun = time.monotonic()
    output += program.stdout.read()
    errors = program.stderr.read()

    assert program.wait(LIMIT) == expected
    assert time.monotonic() - begun < 2
    assert output.endswith("\n")
    assert len(predictions(output)) >= 20
    assert "Traceback" not in errors
    assert len(read_video(tmp_path / "out.mp4")) > 100


def test_a_signal_is_heard_while_a_camera_does_not_answer(start):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = start("--source", f"rtsp://127.0.0.1:{silent.getsockname()[1]}/", "--display", "none")
        while "model:" not in program.stderr.readline():
            pass
        time.sleep(0.5)
        program.send_signal(signal.SIGTERM)
        begun = time.monotonic()

        assert program.wait(LIMIT) == 143
        assert time.monotonic() - begun < 2


def test_a_second_signal_ends_it_where_nobody_reads_its_output(start, red_video):
    program = start("--source", red_video, "--loop", "--display", "none", "--jsonl", "-")
    waiting = [0]
    while waiting[-1] < 60_000 or len(set(waiting[-20:])) > 1:  # of 65,536: it hangs in writing
        assert program.poll() is None
        time.sleep(0.1)
        waiting.append(unread(program.stdout))
    program.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(2.5)
    program.send_signal(signal.SIGTERM)

    assert program.wait(LIMIT) == 143


def unread(pipe):
    """Returns how many bytes wait in a pipe."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def test_a_camera_that_is_waited_for_is_named_once(start):
    try:
        camera = find_camera()
    except SourceError:
        pass
    else:
        pytest.skip(f"needs a machine without a camera; this one has {camera}")
    program = start("--display", "none", "--retry", 2)
    errors = program.communicate(timeout=LIMIT)[1].splitlines()

    assert program.returncode == 4
    assert [line.startswith("no camera found: ") and line.endswith(" trying again") for line in errors] == [True, False]
    assert errors[1].startswith("classify.py: no camera found: ")


def test_nohup_keeps_it_running_when_the_login_ends(start, red_video):
    program = start(
        "--source", red_video, "--loop", "--display", "none", "--jsonl", "-",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    program.stdout.readline()
    program.send_signal(signal.SIGHUP)
    for _ in range(200):
        assert program.stdout.readline()

    assert program.poll() is None


@pytest.mark.parametrize(
    ("flags", "status", "word"),
    [
        (["--top-k", "0"], 2, "--top-k"),
        (["--allow", "rde"], 2, "red"),
        (["--config", "nowhere.toml"], 2, "nowhere.toml"),
        (["--model", "nowhere.tflite"], 3, "nowhere.tflite"),
        (["--labels", "nowhere.txt"], 3, "nowhere.txt"),
        (["--labels", "kinetics600.txt"], 3, "600"),
        (["--source", "nowhere.mp4"], 4, "nowhere.mp4"),
        (["--source", "no\nwhere.mp4"], 4, "no where.mp4"),
        (["--source", "~no-such-user/a.mp4"], 4, "~no-such-user/a.mp4"),
        (["--source", "x" * 300], 4, "name too long"),
        (["--source", "file://[nowhere"], 4, "file:///"),
        (["--source", "nowhere.mp4", "--model", "nowhere.tflite"], 4, "nowhere.mp4"),  # before a model is fetched
        (["--source", "gopher://nowhere", "--model", "nowhere.tflite"], 4, "gopher://nowhere"),
        (["--source", "."], 4, "image"),
        (["--source", "rtsp://owner:secret@127.0.0.1:1/"], 4, "rtsp://127.0.0.1:1/"),
        (["--record", "nowhere/out.mp4"], 5, "nowhere"),
        (["--record", "out.txt"], 5, ".mp4"),
        (["--jsonl", "nowhere/log.jsonl"], 5, "nowhere"),
    ],
)
def test_a_users_mistake_is_one_line_and_a_status(run, red_video, flags, status, word):
    code, output, errors = run("--source", red_video, "--display", "none", *flags)

    assert code == status
    assert is_one_complaint(errors, word)
    assert output == ""
    assert "secret" not in errors


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(range(256)) * 40], ids=["empty", "short", "noise"])
def test_a_damaged_model_is_one_line(run, red_video, tmp_path, content):
    (tmp_path / "broken.tflite").write_bytes(content)

    code, _, errors = run("--source", red_video, "--display", "none", model="broken.tflite")

    assert code == 3
    assert is_one_complaint(errors, "broken.tflite")


def test_a_truncated_model_does_not_crash_it(run, red_video, tmp_path, tiny_model, runtime):
    (tmp_path / "cut.tflite").write_bytes(tiny_model.read_bytes()[:-1000])

    code, _, errors = run("--source", red_video, "--display", "none", "--runtime", runtime, model="cut.tflite")

    assert code == 3
    assert is_one_complaint(errors, "cut.tflite")


def test_list_models_shows_the_published_ones(run):
    code, output, _ = run("--list-models")

    assert code == 0
    assert "movinet_a0_int8" in output
    assert "movinet_a2_float16" in output
