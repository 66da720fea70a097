"""Which frames the model sees."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.sampler import Sampler


def sampled(timestamps, fps=5.0):
    sampler = Sampler(fps)
    return [timestamp for timestamp in timestamps if sampler.due(timestamp)]


@pytest.mark.parametrize("camera_fps", [5, 10, 15, 25, 29.6, 30, 60, 120])
def test_takes_the_models_rate_from_any_steady_camera(camera_fps):
    minute = sampled(index / camera_fps for index in range(round(60 * camera_fps)))

    assert len(minute) == pytest.approx(300, abs=2)


def test_a_camera_slower_than_the_model_loses_no_frame():
    timestamps = [index / 3 for index in range(30)]

    assert sampled(timestamps) == timestamps


def test_timestamps_rounded_to_milliseconds_are_taken_on_time():
    timestamps = [round(index / 30, 3) for index in range(31)]  # 0.2 s is frame 6, rounded from 0.2000

    assert sampled(timestamps) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_a_stall_is_not_made_up_for_in_a_burst():
    before, after = [index / 30 for index in range(30)], [4 + index / 30 for index in range(30)]

    late = [timestamp for timestamp in sampled(before + after) if timestamp >= 4]

    assert late == pytest.approx([4.0, 4.2, 4.4, 4.6, 4.8])


def test_a_clock_that_goes_back_starts_anew():
    assert sampled([100.0, 100.1, 100.2, 0.0, 0.1, 0.2]) == [100.0, 100.2, 0.0, 0.2]


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=200), st.floats(1.0, 30.0))
def test_two_samples_are_never_closer_than_half_a_period(intervals, fps):
    taken = sampled(itertools.accumulate(intervals), fps)

    assert all(later - earlier >= 0.5 / fps - 0.0015 for earlier, later in zip(taken, taken[1:]))


@given(st.lists(st.floats(0.01, 0.06), min_size=300, max_size=300))
def test_jitter_does_not_lower_the_mean_rate(intervals):
    timestamps = list(itertools.accumulate(intervals))

    assert len(sampled(timestamps)) >= (timestamps[-1] - timestamps[0]) * 5 - 1
