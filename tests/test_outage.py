"""What the whole program tells of a camera that is away, and that it starts afresh with one that is back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from camera_process import HTTP_CAMERA, Server
from conftest import ROOT

from overlay import Status, draw_overlay

LIMIT = 60  # seconds; against hanging only


@pytest.fixture
def camera():
    server = Server(HTTP_CAMERA)
    yield server
    server.kill()


@pytest.fixture
def program(camera, tiny_model, tiny_labels, tmp_path):
    """The program on that camera, without a window, its labels as JSON."""
    command = [sys.executable, str(ROOT / "classify.py"), "--model", str(tiny_model), "--labels", str(tiny_labels)]
    command += ["--source", camera.url, "--display", "none", "--jsonl", "-", "--read-timeout", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


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
