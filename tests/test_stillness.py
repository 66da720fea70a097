"""A frozen camera is told from a still scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.stillness import FROZEN_AFTER, MOST_PATIENCE, Stillness

NOISE = np.random.default_rng(0).integers(0, 256, (100, 48, 64, 3), np.uint8)


def reopenings(pictures, fps=10):
    """The seconds at which a run of pictures has lasted too long."""
    stillness = Stillness()
    return [1000 + n / fps for n, picture in enumerate(pictures) if stillness.lasts_too_long(picture, 1000 + n / fps)]


def test_noise_is_life():
    assert reopenings(NOISE[n % 100] for n in range(2000)) == []


def test_one_changed_pixel_is_life():
    picture = NOISE[0]
    other = picture.copy()
    other[47, 63, 2] ^= 1
    assert reopenings((picture if n % 100 < 50 else other) for n in range(2000)) == []


def test_a_codec_that_repeats_a_scene_from_key_frame_to_key_frame_is_alive():
    assert reopenings(NOISE[n // 100 % 100] for n in range(5000)) == []  # key frames every 10 s


def test_a_picture_that_never_changes_is_given_twice_the_time_at_each_turn():
    times = reopenings(NOISE[0] for _ in range(40_000))
    waited = [later - earlier for earlier, later in zip([1000, *times], times)]
    assert waited[:6] == pytest.approx([20, 40, 80, 160, 320, 600], abs=0.2)
    assert FROZEN_AFTER == 20 and MOST_PATIENCE == 600


def test_after_motion_the_time_is_short_again():
    film = [NOISE[0]] * 700 + list(NOISE) * 3 + [NOISE[1]] * 300  # still for 70 s, moving for 30 s, still
    times = reopenings(film)
    assert times == pytest.approx([1020, 1060, 1120], abs=0.2)


def test_the_flicker_of_opening_a_camera_is_not_motion():
    film = [NOISE[0]] * 210 + list(NOISE[:20]) + [NOISE[0]] * 500  # still for 21 s, its exposure settling for 2 s
    assert reopenings(film) == pytest.approx([1020, 1063], abs=0.2)


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_change_of_size_is_a_change(height, width):
    stillness = Stillness(0)
    assert not stillness.lasts_too_long(np.zeros((50, 50, 3), np.uint8), 0)
    assert not stillness.lasts_too_long(np.zeros((height, width, 3), np.uint8), 1)
