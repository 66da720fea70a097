"""How many frames a second the model sees, and which."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pace import Pace
from sources import Frame
from sources.sampler import Sampler
from thermal import Cooling, Heat

CAMERA_FPS = 30
NOTHING = np.zeros((6, 8, 3), np.uint8)


class Room:
    """Frames of a noisy camera in a room, empty but for the seconds in `visits`."""

    def __init__(self, visits=(), seconds=60.0, start=0.0):
        self.visits, self.seconds, self.start = visits, seconds, start

    def __iter__(self):
        random = np.random.default_rng(5)
        room = random.integers(40, 180, (8, 12, 3)).repeat(15, 0).repeat(20, 1).astype(np.int16)
        for index in range(round(self.seconds * CAMERA_FPS)):
            seconds = index / CAMERA_FPS
            image = room + random.integers(-6, 7, room.shape, np.int16)
            if any(first <= seconds < last for first, last in self.visits):
                left = 30 + int(seconds * 60) % 160
                image[40:90, left : left + 20] = 200
            yield Frame(np.clip(image, 0, 255).astype(np.uint8), self.start + seconds, index)


def still(seconds, start=0.0):
    """Frames that show nothing, where the picture doesn't matter."""
    for index in range(round(seconds * CAMERA_FPS)):
        yield Frame(NOTHING, start + index / CAMERA_FPS, index)


def taken(pace, frames):
    return [frame.timestamp for frame in frames if pace.due(frame)]


def between(moments, first, last):
    return [moment for moment in moments if first <= moment < last]


@given(st.lists(st.floats(-1.0, 1.0), max_size=100), st.floats(0.5, 30.0))
def test_without_limits_it_takes_what_a_sampler_takes(intervals, fps):
    timestamps = list(itertools.accumulate(intervals))
    pace, sampler = Pace(fps), Sampler(fps)

    assert [pace.due(Frame(NOTHING, t, i)) for i, t in enumerate(timestamps)] == [sampler.due(t) for t in timestamps]
    assert (pace.fps, pace.reason, pace.note) == (fps, "", "")


def test_an_empty_room_is_looked_at_once_a_second():
    pace = Pace(5, idle=True)

    moments = taken(pace, Room())

    assert len(between(moments, 0, 5)) == 25
    assert len(between(moments, 10, 60)) == 50
    assert pace.note == "idle: 1 fps"


def test_without_idle_an_empty_room_is_looked_at_as_ever():
    assert len(taken(Pace(5), Room())) == 300


def test_it_is_back_on_the_very_frame_that_shows_motion():
    pace, visit = Pace(5, idle=True), (30.43, 40.0)  # between two looks

    moments = taken(pace, Room([visit]))

    first = next(frame.timestamp for frame in Room() if frame.timestamp >= visit[0])
    assert first in moments
    assert np.diff(between(moments, first, 40)).max() == pytest.approx(0.2, abs=0.001)
    assert len(between(moments, 52, 60)) == 8  # and asleep again
    assert np.diff(between(moments, 40, 45)).max() < 0.3  # but not at once


def test_who_moves_all_the_time_is_seen_all_the_time():
    assert len(taken(Pace(5, idle=True), Room([(0, 60)]))) == pytest.approx(300, abs=2)


def test_the_small_picture_is_watched_where_there_is_one():
    """It is in memory anyway, and nobody scales the large one then."""
    large = np.zeros((480, 640, 3), np.uint8)
    pace = Pace(5, idle=True)

    moments = taken(pace, (Frame(large, frame.timestamp, frame.index, frame.image) for frame in Room([(20, 60)])))

    assert len(between(moments, 12, 20)) == 8
    assert len(between(moments, 21, 60)) == 39 * 5


def test_a_film_that_starts_again_wakes_it():
    pace = Pace(5, idle=True)
    taken(pace, Room(seconds=20, start=1000))
    assert pace.reason == "idle"

    assert len(taken(pace, Room(seconds=5))) == 25


def test_a_model_slower_than_the_idle_rate_is_left_alone():
    pace = Pace(0.5, idle=True)

    assert len(taken(pace, Room())) == 30
    assert pace.note == ""


class Stove:
    """A Cooling whose board is as hot as a test says."""

    def __init__(self, temperature=85.0, flags=None):
        self.now = 0.0
        self.heat = Heat(temperature, flags)
        self.cooling = Cooling(lambda: self.heat, lambda: self.now)

    def pace(self, frames, pace):
        """Returns the moments of the frames that were taken, while the clock goes with them."""
        moments = []
        for frame in frames:
            self.now = frame.timestamp
            moments += [frame.timestamp] if pace.due(frame) else []
        return moments


def test_a_hot_board_gets_fewer_frames_and_says_so():
    stove = Stove()
    pace = Pace(5, cooling=stove.cooling)

    assert stove.pace(still(1), pace) == pytest.approx([0, 1 / 3, 2 / 3], abs=0.04)
    assert pace.note == "hot: 3 fps"
    stove.pace(still(60, start=1), pace)
    assert pace.note == "hot: 1 fps"
    stove.heat = Heat(60.0)
    assert len(between(stove.pace(still(300, start=61), pace), 300, 360)) == 300
    assert pace.note == ""


def test_stepping_down_takes_no_frame_early():
    stove = Stove(temperature=50.0)
    pace = Pace(5, cooling=stove.cooling)
    moments = stove.pace(still(10), pace)
    stove.heat = Heat(90.0)
    moments += stove.pace(still(60, start=10), pace)

    assert np.diff(moments).min() > 0.19
    assert np.diff(moments).max() < 1.05


def test_a_weak_power_supply_is_told_from_heat():
    stove = Stove(40.0, 0x50005)
    pace = Pace(5, cooling=stove.cooling)
    stove.pace(still(1), pace)

    assert pace.note == "weak power: 3 fps"


@pytest.mark.parametrize("cost, percent", [(0.1, 25), (0.05, 10), (0.5, 100), (2.0, 150), (0.03, 12)])
def test_the_processor_time_of_steps_keeps_within_its_bound(cost, percent):
    pace, spent = Pace(5, max_cpu=percent), 0.0
    for frame in still(120):
        if pace.due(frame):
            pace.spent(cost)
            spent += cost

    assert spent / 120 == pytest.approx(percent / 100, rel=0.05)
    assert pace.reason == "cpu"
    assert pace.note == f"cpu: {percent / 100 / cost:.2g} fps"


def test_a_bound_that_is_not_reached_changes_nothing():
    pace = Pace(5, max_cpu=60)
    moments = []
    for frame in still(20):
        if pace.due(frame):
            moments.append(frame.timestamp)
            pace.spent(0.1)

    assert len(moments) == 100
    assert pace.note == ""


def test_the_bound_follows_what_steps_cost():
    pace = Pace(5, max_cpu=20)

    def steps(cost, frames):
        moments = []
        for frame in frames:
            if pace.due(frame):
                moments.append(frame.timestamp)
                pace.spent(cost)
        return moments

    assert len(steps(0.2, still(60))) == pytest.approx(60, abs=4)
    assert len(steps(0.1, still(60, start=60))) == pytest.approx(120, abs=10)  # the processor is free again
    assert len(steps(0.02, still(60, start=120))) == pytest.approx(300, abs=30)


def test_the_tightest_limit_counts():
    stove = Stove()
    pace = Pace(5, idle=True, max_cpu=200, cooling=stove.cooling)
    pace.spent(1.0)
    stove.pace(still(1), pace)
    assert pace.note == "cpu: 2 fps"
    stove.pace(still(15, start=1), pace)
    assert pace.note == "idle: 1 fps"
    for _ in range(10):
        pace.spent(4.0)
    stove.pace(still(1, start=16), pace)
    assert pace.note == "cpu: 0.5 fps"


def burn(seconds):
    """Keeps one core busy for some CPU time, most of it outside Python's lock, as a runtime does."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2000)


def measured(threads, work):
    """Returns the CPU seconds that a Pace takes for those of `work`."""
    noted = []
    pace = Pace(5, max_cpu=100, threads=threads)
    pace.spent = noted.append
    with pace.measured():
        work()
    return noted[0]


def test_what_other_threads_do_meanwhile_is_not_the_steps():
    other = threading.Thread(target=burn, args=(0.4,))
    other.start()

    cost = measured(1, lambda: burn(0.1))

    other.join()
    assert 0.1 <= cost < 0.15


def test_the_runtimes_own_threads_are_the_steps():
    def step():
        helper = threading.Thread(target=burn, args=(0.1,))
        helper.start()
        burn(0.1)
        helper.join()

    assert 0.18 < measured(2, step) < 0.3


def test_threads_that_a_step_does_not_use_cost_nothing():
    assert 0.1 <= measured(4, lambda: burn(0.1)) < 0.3


def test_waiting_costs_nothing():
    assert measured(4, lambda: time.sleep(0.2)) < 0.05
