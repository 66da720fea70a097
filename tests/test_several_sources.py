"""Several cameras at once: each has its own state, all are served alike, every output names its source."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import cv2
import numpy as np
import pytest
from test_classify import BLUE, LIMIT, RED, predictions, run, start, write_video  # noqa: F401 (fixtures)
from test_pipeline import Camera, Model

from errors import SourceError
from grid import tile
from pace import Pace
from pipeline import open_pipeline
from pipeline.live import InferenceWorker
from sources import open_source
from sources.paced import Paced


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    red = write_video(folder / "red.avi", [(RED, 90)])
    return red, write_video(folder / "blue.avi", [(BLUE, 90)], size=(80, 48))


def test_each_source_has_its_own_labels_and_names_them(run, videos, tmp_path):  # noqa: F811
    flags = [part for video in videos for part in ("--source", video)]

    status, output, errors = run(*flags, "--display", "none", "--jsonl", "out.jsonl", "--record", "both.mp4")

    lines = predictions((tmp_path / "out.jsonl").read_text())
    assert status == 0
    assert "sources: red.avi, blue.avi" in errors
    for name, label in (("red.avi", "red"), ("blue.avi", "blue")):
        own = [line for line in lines if line["source"] == name]
        assert [line["step"] for line in own] == list(range(1, len(own) + 1))  # nobody else's steps among them
        assert 4 <= len(own) <= 16  # three seconds in real time; a busy machine makes fewer steps
        assert own[-1]["top"][0]["label"] == label
        assert f"{name}: " in output
    recorded = cv2.VideoCapture(str(tmp_path / "both.mp4"))
    delivered, grid = recorded.read()
    assert delivered and grid.shape == (720, 1280, 3)
    recorded.set(cv2.CAP_PROP_POS_FRAMES, 30)
    _, grid = recorded.read()
    left, right = grid[300, 60:580].mean(axis=0), grid[300, 700:1220].mean(axis=0)
    assert left[2] > 1.5 * left[0] and right[0] > 1.5 * right[2]  # BGR: red on the left, blue on the right


def test_a_source_that_ends_leaves_the_others_running(run, videos, tmp_path):  # noqa: F811
    short = write_video(tmp_path / "short.avi", [(RED, 20)])

    status, _, _ = run("--source", short, "--source", videos[1], "--display", "none", "--jsonl", "out.jsonl")

    lines = predictions((tmp_path / "out.jsonl").read_text())
    assert status == 0
    assert len([line for line in lines if line["source"] == "short.avi"]) < 6
    assert len([line for line in lines if line["source"] == "blue.avi"]) > 7


def test_one_worker_serves_a_fast_and_a_slow_camera_alike():
    """The steps take longer than there is time: both cameras get the same share of it."""
    models = [Model(lambda step: 0.15), Model(lambda step: 0.15)]
    cameras = [Camera(live=True), Camera(live=True)]
    with InferenceWorker() as worker, contextlib.ExitStack() as stack:
        pipelines = [
            stack.enter_context(open_pipeline(camera, model, Pace(5), worker=worker))
            for camera, model in zip(cameras, models)
        ]
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for pipeline in pipelines:
                pipeline.next(0.01)
    steps = [len(model.begun) for model in models]
    assert min(steps) >= 5
    assert abs(steps[0] - steps[1]) <= 1
    assert all(begun - taken < 0.4 for model in models for begun, taken in model.begun)  # never a backlog
    assert all(camera.closed for camera in cameras)
    assert "inference" not in {thread.name for thread in threading.enumerate()}


def test_a_camera_that_breaks_and_a_model_that_fails_end_their_own_stream_only():
    broken, failing = Camera(live=True, frames=5, error=SourceError("unplugged")), Model(error=RuntimeError("bad"))
    with InferenceWorker() as worker, contextlib.ExitStack() as stack:
        pipelines = [
            stack.enter_context(open_pipeline(camera, model, Pace(5), worker=worker))
            for camera, model in ((broken, Model()), (Camera(live=True), failing), (Camera(live=True), Model()))
        ]
        with pytest.raises(SourceError, match="unplugged"):
            drain(pipelines[0])
        with pytest.raises(RuntimeError, match="bad"):
            drain(pipelines[1])
        found = []
        end = time.monotonic() + 5
        while len(found) < 5 and time.monotonic() < end:
            found += pipelines[2].next(0.1).predictions
    assert len(found) >= 5


def drain(pipeline, seconds=5.0):
    end = time.monotonic() + seconds
    while pipeline.next(0.1) is not None:
        assert time.monotonic() < end


def test_many_slow_sources_are_stopped_at_the_same_time(start):  # noqa: F811
    """Their next pictures are ten seconds away."""
    flags = ["--source", "demo"] * 12
    program = start(*flags, "--camera-fps", 0.1, "--display", "none", "--jsonl", "-", "--threads", 1)
    assert predictions(program.stdout.readline())
    program.send_signal(signal.SIGTERM)
    begun = time.monotonic()

    assert program.wait(LIMIT) == 143
    assert time.monotonic() - begun < 6  # one after the other it would be 12


def test_a_file_beside_other_sources_need_not_be_waited_for(tmp_path):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((48, 64, 3), 100, np.uint8))
    source = Paced(open_source(str(tmp_path), fps=0.1))
    assert source.read() is not None
    begun = time.monotonic()
    threading.Timer(0.2, source.interrupt).start()

    assert source.read() is None
    assert time.monotonic() - begun < 5  # the next picture is ten seconds away
    source.close()
    assert source.read() is None


@pytest.mark.parametrize("count, columns, rows", [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (9, 3, 3)])
def test_the_grid_shows_every_picture_whole(count, columns, rows):
    pictures = [np.full((48, 64, 3), 20 * (place + 1), np.uint8) for place in range(count)]

    grid = tile(pictures, 640, 480)

    assert grid.shape == (480, 640, 3)
    for place in range(count):
        row, column = divmod(place, columns)
        middle = grid[int((row + 0.5) * 480 / rows), int((column + 0.5) * 640 / columns)]
        assert (middle == 20 * (place + 1)).all()
    # 4:3 stays 4:3, as large as the cell allows.
    width, height = 640 // columns, 480 // rows
    scale = min(width / 64, height / 48)
    assert np.count_nonzero((grid == 20).all(axis=2)) == pytest.approx(64 * 48 * scale**2, rel=0.05)


def test_a_source_without_a_frame_leaves_its_cell_black():
    grid = tile([None, np.full((10, 10, 3), 200, np.uint8)], 40, 20)
    assert not grid[:, :20].any() and (grid[:, 20:] == 200).all()
