"""The demo as a live source: its pace, its timestamps and the truth it tells."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest

from sources import open_source
from sources.play import Play

WALK = 1  # a seed whose film begins with a walk: no two moments look alike


@pytest.fixture
def open_demo():
    """Opens demos of small pictures, and closes them in the end."""
    opened = []

    def open_one(**options):
        opened.append(open_source("demo", **{"width": 96, "height": 72, **options}))
        return opened[-1]

    yield open_one
    for source in opened:
        source.close()


def moment_of(image: np.ndarray, seed: int, fps: float, last: float) -> tuple[float, float]:
    """Returns the moment of a film, 0 to `last` seconds in, that looks most like an image, and how far off it is."""
    play, (height, width) = Play(seed), image.shape[:2]
    times = np.arange(round(last * fps) + 1) / fps
    differences = [np.abs(play.draw(t, width, height).astype(int) - image).mean() for t in times]
    best = int(np.argmin(differences))
    return float(times[best]), float(differences[best])


def test_is_a_live_source_like_a_camera():
    before = time.monotonic()
    source = open_source("demo")
    assert (source.name, source.live, source.fps) == ("demo", True, 30)
    frame = source.read()
    after = time.monotonic()
    source.close()
    assert frame.image.shape == (480, 640, 3) and frame.image.dtype == np.uint8
    assert frame.index == 0
    assert before <= frame.timestamp <= after


@pytest.mark.parametrize("asked, size", [({"width": 200, "height": 80}, (200, 80)), ({"height": 90}, (120, 90))])
def test_size_rate_and_seed_are_as_asked(asked, size):
    source = open_source("demo", fps=50, demo_seed=5, **asked)
    assert source.fps == 50 and "5" in source.name
    assert source.read().image.shape == (size[1], size[0], 3)
    source.close()


def test_a_folder_of_that_name_can_still_be_played(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    cv2.imwrite(str(tmp_path / "demo" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    assert open_source("demo").live and not open_source("./demo").live


def test_frames_come_at_the_cameras_pace(open_demo):
    source, before = open_demo(fps=40), time.monotonic()
    frames, taken = [], []
    for _ in range(12):
        frames.append(source.read())
        taken.append(time.monotonic())
    assert [frame.index for frame in frames] == list(range(12))
    times = [frame.timestamp for frame in frames]
    periods = np.diff(times) * 40
    assert periods == pytest.approx(np.round(periods), abs=1e-3) and periods.min() > 0.5  # a camera's clock, no jitter
    assert all(stamp <= now for stamp, now in zip(times, taken))  # no frame comes before its time
    assert taken[-1] - before >= 11 / 40


@pytest.mark.parametrize("fps", [20, 1000])
def test_a_slow_reader_gets_the_newest_moment(open_demo, fps):
    source = open_demo(fps=fps, demo_seed=WALK)
    first = source.read()
    for index in (1, 2, 3):
        time.sleep(0.3)
        asked = time.monotonic()
        frame = source.read()
        assert frame.index == index
        assert asked - 1e-6 <= frame.timestamp  # nothing from the time in which nobody read
    late = frame.timestamp - first.timestamp
    began = moment_of(first.image, WALK, fps=100, last=2.0)[0]
    shown, off = moment_of(frame.image, WALK, fps=100, last=began + late + 0.5)
    assert shown - began == pytest.approx(late, abs=0.03) and off < 6


def test_the_truth_is_that_of_the_picture(open_demo):
    for seed in (WALK, 6):  # both begin with a walk
        fps = 20
        source = open_demo(fps=fps, demo_seed=seed)
        frame = source.read()
        t, off = moment_of(frame.image, seed, fps, last=3.0)
        assert off < 0.2
        play = Play(seed)
        assert source.truth(frame.timestamp) == play.action(t)
        ahead = t + np.arange(0.0, 120.0, 0.35)
        changes = [moment for moment in ahead if play.since(moment) < 0.01 or play.since(moment + 0.01) < 0.01]
        told = [source.truth(frame.timestamp + moment - t) for moment in ahead if moment not in changes]
        assert told == [play.action(moment) for moment in ahead if moment not in changes]
        assert len(set(told)) >= 4 and set(told) <= set(source.actions)


def test_the_seed_chooses_the_film(open_demo):
    for seed in (0, WALK):
        frame = open_demo(fps=20, demo_seed=seed).read()
        assert moment_of(frame.image, seed, 20, last=3.0)[1] < 0.2
        assert moment_of(frame.image, 7, 20, last=3.0)[1] > 10


def test_close_ends_it_at_once_and_for_good(open_demo):
    source = open_demo(fps=0.1)  # the next frame is seconds away
    closing = threading.Timer(0.2, source.close)
    start = time.monotonic()
    closing.start()
    assert source.read() is None
    assert time.monotonic() - start < 3
    closing.join()
    source.close()
    assert source.read() is None
