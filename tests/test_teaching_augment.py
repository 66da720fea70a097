"""Augmented views show the same action, and depend on nothing but the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teaching.augment import make_views, may_mirror

seeds = st.binary(max_size=8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 12), st.booleans())
def test_views_are_the_same_for_the_same_seed_and_others_for_another(seed, number, mirror):
    views = make_views(number, mirror=mirror, seed=seed)
    assert views == make_views(number, mirror=mirror, seed=seed)
    assert not set(views[2:]) & set(make_views(number, mirror=mirror, seed=seed + b"x"))
    assert len(set(views)) == number + 2


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 6), st.integers(0, 6))
def test_more_views_leave_the_first_ones_as_they_are(seed, few, more):
    assert make_views(few + more, mirror=True, seed=seed)[: few + 2] == make_views(few, mirror=True, seed=seed)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_every_clip_is_seen_as_it_is_and_after_another_one(seed):
    views = make_views(4, mirror=True, seed=seed)
    assert [view.plain for view in views] == [True] + [False] * 5
    assert (
        views[0].picture(noise(30, 40)).tolist() == views[1].picture(noise(30, 40)).tolist() == noise(30, 40).tolist()
    )
    assert {(view.mirror, view.warm) for view in views[2:]} == {(a, b) for a in (True, False) for b in (True, False)}


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_nothing_is_mirrored_where_it_must_not_be(seed):
    assert not any(view.mirror for view in make_views(8, mirror=False, seed=seed))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 90), st.integers(1, 90))
def test_a_view_is_a_part_of_the_frame_of_nearly_its_size_and_brightness(seed, height, width):
    frame = noise(height, width)
    for view in make_views(4, mirror=True, seed=seed)[2:]:
        seen = view.picture(frame)
        for side, whole in zip(seen.shape, (height, width)):
            assert 0.85 * whole - 0.5 <= side <= whole
        assert 0 <= view.start <= 0.5 and 0.8 <= view.speed <= 1.25
        # The same part, found by trying all of them: brightness changes every value by its own share only.
        straight = seen[:, ::-1].astype(float) if view.mirror else seen.astype(float)
        parts = [
            frame[top : top + seen.shape[0], left : left + seen.shape[1]].astype(float)
            for top in range(height - seen.shape[0] + 1)
            for left in range(width - seen.shape[1] + 1)
        ]
        assert 0.85 <= view.brightness <= 1.18
        assert min(np.abs(np.minimum(part * view.brightness, 255) - straight).max() for part in parts) <= 0.51


def test_views_go_to_the_edges_and_both_ways_from_the_middle():
    """Over many seeds nothing stays in one corner, and slow is as frequent as fast, dark as bright."""
    views = [view for number in range(300) for view in make_views(1, mirror=True, seed=bytes(str(number), "ascii"))[2:]]
    for values, low, high, middle in (
        ([view.left for view in views], 0, 1, 0.5),
        ([view.top for view in views], 0, 1, 0.5),
        ([view.speed for view in views], 0.8, 1.25, 1),
        ([view.brightness for view in views], 0.85, 1.18, 1),
        ([view.scale for view in views], 0.85, 1, 0.925),
        ([view.start for view in views], 0, 0.5, 0.25),
    ):
        margin = (high - low) / 20
        assert low <= min(values) < low + margin and high - margin < max(values) <= high
        assert abs(np.median(values) - middle) < 3 * margin


@pytest.mark.parametrize(
    "label",
    ["walking left", "Turn RIGHT", "wave_left", "waveLeft", "left-hand", "nach links gehen", "rechter Arm", "à droite"]
    + ["a la izquierda", "mano destra", "para a direita", "arm circles clockwise", "leftwards"],
)
def test_a_label_that_speaks_of_a_side_forbids_the_mirror(label):
    assert not may_mirror(["waving", label, "background"])


@pytest.mark.parametrize(
    "label", ["waving", "bright light", "leftovers", "alright", "verlinkt", "Wright", "手を振る", ""]
)
def test_other_labels_allow_it(label):
    assert may_mirror([label, "background"])
