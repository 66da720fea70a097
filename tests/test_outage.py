"""What the whole program tells of a camera that is away, and that it starts afresh with one that is back."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from camera_process import HTTP_CAMERA, Server
from conftest import ROOT

from classify import CaptureLoop
from overlay import Status, draw_overlay
from pipeline.base import Update
from services import Services
from session import Session
from sources import Frame
from video_classifier import Category, Prediction
from view import View

LIMIT = 60  # seconds; against hanging only


@pytest.fixture
def camera():
    server = Server(HTTP_CAMERA)
    yield server
    server.kill()


@pytest.fixture
def start(camera, tiny_model, tiny_labels, tmp_path):
    """Starts the program on that camera, without a window."""
    started = []

    def run(*flags):
        command = [sys.executable, str(ROOT / "classify.py"), "--model", str(tiny_model), "--labels", str(tiny_labels)]
        command += ["--source", camera.url, "--display", "none", "--read-timeout", "1", *flags]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def program(start):
    """The program with its labels as JSON."""
    return start("--jsonl", "-")


def read_until(process, condition):
    """Returns the records up to the first that meets the condition."""
    records, deadline = [], time.monotonic() + LIMIT
    while not records or not condition(records[-1]):
        assert time.monotonic() < deadline
        records.append(json.loads(process.stdout.readline()))
    return records


def test_an_outage_is_told_once_a_second_and_ends_in_a_fresh_state(program, camera):
    before = read_until(program, lambda record: record.get("step") == 5)
    camera.kill()
    away = read_until(program, lambda record: record.get("no_signal", 0) > 4)
    camera.start()
    back = read_until(program, lambda record: record.get("step", 99) == 3)

    silent = [record for record in away if "no_signal" in record]
    assert all(set(record) == {"time", "source", "no_signal"} for record in silent)
    assert {record["source"] for record in silent} == {before[0]["source"]}
    seconds = [record["no_signal"] for record in silent]
    assert 3 <= len(seconds) <= 5
    assert all(later - earlier == pytest.approx(1, abs=0.5) for earlier, later in zip(seconds, seconds[1:]))
    # What came before the outage is forgotten: it is longer than the model's memory of 2.4 s.
    assert [record["step"] for record in back if "step" in record][-3:] == [1, 2, 3]


@pytest.mark.parametrize("state", ["killed", "stopped"])
def test_it_ends_within_two_seconds_while_its_camera_is_away(program, camera, state):
    read_until(program, lambda record: "step" in record)
    if state == "killed":
        camera.kill()
    else:
        camera.send(signal.SIGSTOP)
    read_until(program, lambda record: record.get("no_signal", 0) > 2)
    program.send_signal(signal.SIGTERM)
    begun = time.monotonic()

    assert program.wait(LIMIT) == 143
    assert time.monotonic() - begun < 2


def test_the_terminal_tells_it_in_the_order_of_time(start, camera):
    program = start()
    lines = [program.stdout.readline()]
    camera.kill()
    while lines[-1] and "no signal for 4 s" not in lines[-1]:
        lines.append(program.stdout.readline())
    program.send_signal(signal.SIGTERM)
    rest, _ = program.communicate(timeout=LIMIT)

    times = [float(line.split()[0]) for line in [*lines, *rest.splitlines()]]
    assert len(times) >= 4 and times == sorted(times)


class Away:
    """A pipeline whose camera gave one frame, of which the prediction came when the frame had been shown already."""

    note, camera_fps, sample_fps, turns = "", 0.0, 0.0, 1

    def __init__(self):
        predictions = [Prediction(100.0, 0.01, 1, [Category("yoga", 0.5, 0)], np.zeros(1), np.zeros(1))]
        self.updates = [Update(Frame(np.zeros((48, 64, 3), np.uint8), 100.0, 0), []), Update(None, predictions)]

    def next(self, timeout):
        return self.updates.pop(0) if self.updates else Update(None, [])

    def outage(self, now):
        return 0.0 if self.updates else 3.0


class Told:
    """A sink that keeps what it is told."""

    wants_pictures = False

    def __init__(self, stop):
        self.what, self._stop = [], stop

    def write(self, picture, timestamp, predictions):
        self.what += [f"step {prediction.step}" for prediction in predictions]

    def no_signal(self, seconds):
        self.what.append("no signal")
        self._stop.set()

    def close(self):
        pass


def test_what_was_seen_last_is_told_before_the_outage():
    stop, pipeline = threading.Event(), Away()
    sink = Told(stop)
    session = Session(None, Services())
    session.views = [View(pipeline, [sink], fit="crop", wanted_fps=5.0, outage=pipeline.outage)]
    CaptureLoop(session, stop, None, snapshots=".").run()

    assert sink.what == ["step 1", "no signal"]


def test_the_duration_is_over_also_while_the_camera_is_away(start, camera):
    program = start("--jsonl", "-", "--duration", "5")
    read_until(program, lambda record: "step" in record)
    camera.kill()
    _, errors = program.communicate(timeout=LIMIT)

    assert program.returncode == 0
    assert "ended: " in errors.splitlines()[-1]


def test_a_camera_that_is_given_up_ends_with_what_was_seen(start, camera):
    program = start("--jsonl", "-", "--retry", "1")
    read_until(program, lambda record: record.get("step") == 5)
    camera.kill()
    _, errors = program.communicate(timeout=LIMIT)

    ended, complaint = errors.splitlines()[-2:]
    assert program.returncode == 4
    assert re.match(r"ended: \d+ frames, \d+ steps", ended) and int(re.findall(r"\d+", ended)[1]) >= 5
    assert complaint.startswith("classify.py: http://")


@pytest.mark.parametrize("size", [(120, 160), (480, 640), (1080, 1920)])
def test_no_signal_stands_in_the_middle_of_the_picture(size):
    image = np.full((*size, 3), 120, np.uint8)
    status = Status(camera_fps=0, sample_fps=0, wanted_fps=5, warming_up=False)
    plain = draw_overlay(image, None, status, (0, 0, size[1], size[0]))
    status.no_signal = 7.0
    seven = draw_overlay(image, None, status, (0, 0, size[1], size[0]))
    status.no_signal = 8.0
    eight = draw_overlay(image, None, status, (0, 0, size[1], size[0]))

    rows, columns = np.nonzero((seven != plain).any(axis=2))
    assert columns.max() - columns.min() > size[1] / 5
    assert abs((columns.max() + columns.min()) / 2 - size[1] / 2) < size[1] / 20
    assert size[0] / 4 < rows.mean() < size[0] * 3 / 4
    assert (eight != seven).any()
