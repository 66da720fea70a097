"""The demo's film: its script, how the actions look, and what the model's square sees of them."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest

import sources.play
from sources.acting import ACTING, Style
from sources.figure import ANKLE
from sources.play import ACTIONS, TEACHING_ACTIONS, Play

EVERY_ACTION = ACTIONS + TEACHING_ACTIONS
PHASES = np.arange(0, 1, 0.01)


def one_action(seed: int, action: str, seconds=(6.0, 12.0)) -> Play:
    """A film of one action only; for the same seed it begins with the same person in the same room."""
    return Play(seed, actions=(action,), seconds=seconds)


def script(play: Play, shortest: float, count: int) -> list[tuple[float, str]]:
    """When each of the first actions begins and which it is, asked often enough that none is left out."""
    begun: list[tuple[float, str]] = []
    for t in itertools.count(0.0, shortest / 2):
        start = t - play.since(t)
        if not begun or start > begun[-1][0] + 1e-6:
            begun.append((start, play.action(t)))
        if len(begun) == count:
            return begun
    raise AssertionError


def outside(picture: np.ndarray) -> np.ndarray:
    """The pixels outside the centre square."""
    height, width = picture.shape[:2]
    side = min(height, width)
    mask = np.ones((height, width), bool)
    mask[(height - side) // 2 : (height + side) // 2, (width - side) // 2 : (width + side) // 2] = False
    return picture[mask]


def on_a_tripod(seed: int) -> bool:
    """Whether the first scene's camera stands still: then so do the picture's sides, while somebody stands there."""
    play = one_action(seed, "standing still")
    sides = [outside(play.draw(t, 96, 54)) for t in (1.0, 2.3, 4.1)]
    return all(np.array_equal(sides[0], side) for side in sides[1:])


def motion(play: Play, times: np.ndarray) -> float:
    """How much the picture changes from one time to the next, in levels, on average."""
    pictures = [play.draw(t, 96, 96).astype(int) for t in times]
    return float(np.mean([np.abs(one - other).mean() for one, other in zip(pictures, pictures[1:])]))


def scroll(play: Play, t: float, step: float = 0.04) -> float:
    """Pixels by which the background left and right of a 320x180 picture's centre square moves to the right."""
    one, other = (cv2.cvtColor(play.draw(u, 320, 180), cv2.COLOR_BGR2GRAY).astype(np.float32) for u in (t, t + step))
    window = cv2.createHanningWindow((70, 180), cv2.CV_32F)
    strips = [(np.ascontiguousarray(one[:, s]), np.ascontiguousarray(other[:, s])) for s in (np.s_[:70], np.s_[-70:])]
    return float(np.mean([cv2.phaseCorrelate(before, after, window)[0][0] for before, after in strips]))


def styles(side: int = 1):
    """Ways to do an action, at the corners of what there is."""
    for size, variant in itertools.product((0.75, 1.0, 1.25), (0.0, 0.4, 0.6, 1.0)):
        yield Style(tempo=1.0, size=size, side=side, variant=variant, phase=0.0, stride=0.5)


# The script


def test_the_same_seed_gives_the_same_film_in_any_order():
    times = np.random.default_rng(5).uniform(0, 300, 25)
    forwards, backwards = Play(11), Play(11)
    expected = {t: (forwards.action(t), forwards.since(t), forwards.draw(t, 96, 72)) for t in sorted(times)}
    for t in sorted(times, reverse=True):
        action, since, picture = expected[t]
        assert (backwards.action(t), backwards.since(t)) == (action, since)
        np.testing.assert_array_equal(backwards.draw(t, 96, 72), picture)


def test_other_seeds_give_other_films():
    pictures = [Play(seed).draw(1.0, 96, 72).astype(int) for seed in range(6)]
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one - other).mean() > 10
    assert len({tuple(script(Play(seed), 6.0, 5)) for seed in range(6)}) == 6


@pytest.mark.parametrize("seconds", [(6.0, 12.0), (1.0, 1.5)])
def test_actions_take_as_long_as_asked_and_none_comes_twice_running(seconds):
    acts = script(Play(2, seconds=seconds), seconds[0], 400)
    assert acts[0][0] == 0
    lengths = np.diff([start for start, _ in acts])
    assert seconds[0] - 1e-6 <= lengths.min() and lengths.max() <= seconds[1] + 1e-6
    assert np.ptp(lengths) > 0.8 * (seconds[1] - seconds[0])
    assert all(one != other for (_, one), (_, other) in zip(acts, acts[1:]))


def test_every_action_comes_about_equally_often():
    acts = [action for _, action in script(Play(3), 6.0, 2100)]
    assert set(acts) == set(ACTIONS) and len(ACTIONS) == 7
    for action in ACTIONS:
        assert 240 < acts.count(action) < 360, action  # 300 each, give or take


def test_rooms_and_people_change_during_a_film():
    play = Play(4)
    # The corners left and right of where anybody may be.
    corners = [outside(play.draw(t, 128, 72)).mean(axis=0) for t in np.arange(1, 200, 9)]
    colours = {tuple(np.round(corner / 8)) for corner in corners}
    assert len(colours) > 4


@pytest.mark.parametrize("t", [1e6, 90 * 86400.0])
def test_a_late_moment_is_found_and_the_beginning_is_still_the_same(t):
    play = Play(6)
    first = play.draw(3.0, 96, 72)
    late = play.draw(t, 96, 72)
    assert 0 <= play.since(t) <= 12 and play.action(t) in ACTIONS
    np.testing.assert_array_equal(late, Play(6).draw(t, 96, 72))
    np.testing.assert_array_equal(first, play.draw(3.0, 96, 72))


# The pictures


@pytest.mark.parametrize("size", [(172, 172), (64, 48), (320, 180), (180, 320), (57, 33), (1000, 90), (1, 1)])
def test_draws_pictures_of_any_size(size):
    play = Play(7)
    picture = play.draw(2.0, *size)
    assert picture.shape == (size[1], size[0], 3) and picture.dtype == np.uint8
    before = picture.copy()
    play.draw(2.5, *size)
    np.testing.assert_array_equal(picture, before)  # each picture has memory of its own
    if min(size) > 30:
        assert picture.std() > 15


def test_a_square_picture_is_the_centre_of_a_wide_one():
    for seed, t in ((0, 1.0), (1, 15.0), (2, 30.0)):
        play = Play(seed)
        square = play.draw(t, 172, 172).astype(int)
        wide, larger = play.draw(t, 306, 172)[:, 67:239], play.draw(t, 640, 480)[:, 80:560]
        assert np.abs(square - wide).mean() < 2
        # Drawn small, edges are a little wider than drawn large and made smaller.
        smaller = cv2.resize(larger, (172, 172), interpolation=cv2.INTER_AREA)
        assert np.abs(square - smaller).mean() < 4.5
        assert np.abs(square - play.draw(t + 60, 172, 172)).mean() > 10  # what two that differ would give


@pytest.mark.parametrize("action", EVERY_ACTION)
def test_the_figure_and_its_shadow_stay_in_the_centre_square(action, monkeypatch):
    times = np.arange(0.1, 6, 0.37)
    for seed, size in ((0, (240, 120)), (1, (240, 120)), (2, (240, 120)), (3, (120, 240))):
        play = one_action(seed, action)
        filmed = [play.draw(t, *size) for t in times]
        with monkeypatch.context() as patch:
            patch.setattr(sources.play.FigurePainter, "draw", lambda self: None)
            empty = [play.draw(t, *size) for t in times]
        for with_figure, without in zip(filmed, empty):
            changed = (with_figure != without).any(axis=2)
            assert changed.mean() > 0.02
            assert not outside(changed).any()


def test_standing_still_moves_little_and_every_other_action_clearly_more():
    seeds = [seed for seed in range(8) if on_a_tripod(seed)]
    assert len(seeds) >= 3
    times = np.arange(1.0, 5.0, 0.2)
    for seed in seeds:
        still = motion(one_action(seed, "standing still"), times)
        assert 0 < still < 0.5  # breathes and looks around
        for action in EVERY_ACTION:
            if action != "standing still":
                assert motion(one_action(seed, action), times) > 3 * still, action


def test_most_cameras_stand_still_and_some_are_held_by_hand():
    assert 20 <= sum(on_a_tripod(seed) for seed in range(40)) <= 36


@pytest.mark.parametrize("action, way", [("walking left", 1), ("walking right", -1)])
def test_the_camera_goes_along_with_a_walker(action, way):
    for seed in range(6):
        shifts = [scroll(one_action(seed, action), t) for t in np.arange(1, 5, 0.5)]
        speed = way * float(np.median(shifts)) / 0.04 / 180  # picture heights a second
        assert 0.15 < speed < 0.6


def test_the_film_itself_scrolls_only_during_a_walk():
    play = Play(8)
    seen = set()
    for start, action in script(play, 6.0, 30):
        shift = float(np.median([scroll(play, start + t) for t in (2.5, 3.5, 4.5)]))
        way = {"walking left": 1, "walking right": -1}.get(action, 0)
        assert way * shift > 1 if way else abs(shift) < 0.5, (action, shift)
        seen.add(action)
    assert seen == set(ACTIONS)


def test_nothing_jumps_where_one_action_becomes_the_next():
    play, quick = Play(9), 0.001
    joints, same_room = 0, 0
    for start, _ in script(play, 6.0, 30)[1:]:
        before, after = (play.draw(t, 96, 96).astype(int) for t in (start - quick, start + quick))
        joints += 1
        same_room += np.abs(before - after).mean() < 1.5
    # Two to four actions a scene: at least half of the changes happen within one.
    assert joints / 2 <= same_room < joints


# The poses


def test_the_hands_meet_and_part_when_clapping():
    for style in styles():
        poses = [ACTING["clapping"].pose(phase, style) for phase in PHASES]
        apart = [math.hypot(*(pose.hands[0] - pose.hands[1])) for pose in poses]
        assert min(apart) < 0.06 and max(apart) > 0.25


def test_both_feet_leave_the_floor_when_jumping_and_in_no_other_action_of_the_model():
    for action in ACTIONS:
        for style in styles():
            lifts = [float(ACTING[action].pose(phase, style).feet[:, 1].min()) - ANKLE for phase in PHASES]
            assert min(lifts) == pytest.approx(0, abs=1e-9)  # on the floor sometimes, never below
            # A walker's heel leaves the floor before the toes do.
            highest = 0.03 if action.startswith("walking") else 1e-9
            assert max(lifts) > 0.1 if action == "jumping" else max(lifts) <= highest, action


def test_the_hips_sink_when_squatting_while_the_feet_stay():
    for style in styles():
        poses = [ACTING["squatting"].pose(phase, style) for phase in PHASES]
        heights = [float(pose.hip[1]) for pose in poses]
        assert max(heights) - min(heights) > 0.4 * max(heights)
        assert all(np.array_equal(pose.feet, poses[0].feet) for pose in poses)


@pytest.mark.parametrize("side", [-1, 1])
def test_one_hand_waves_above_the_shoulder(side):
    for style in styles(side):
        poses = [ACTING["waving"].pose(phase, style) for phase in PHASES]
        waving, resting = (0, 1) if side < 0 else (1, 0)
        assert all(pose.hands[waving][1] > 0.05 and pose.hands[resting][1] < -0.2 for pose in poses)
        assert np.ptp([pose.hands[waving][0] for pose in poses]) > 0.1


@pytest.mark.parametrize("side", [-1, 1])
def test_a_walkers_foot_stays_where_it_stands(side):
    for style in styles(side):
        feet = np.array([ACTING["walking right"].pose(phase, style).feet for phase in PHASES])
        walked = PHASES * style.stride * side  # the person's way over the floor
        for leg in (0, 1):
            standing = np.flatnonzero(feet[:, leg, 1] < ANKLE + 1e-9)
            places = (feet[:, leg, 0] + walked)[standing]
            steps = np.split(places, np.flatnonzero(np.diff(standing) > 1) + 1)
            assert all(np.ptp(step) < 1e-9 for step in steps)
            assert len(standing) > 0.3 * len(PHASES)


def test_all_actions_look_different():
    pictures = {}
    for action in EVERY_ACTION:
        play = one_action(2, action)
        pictures[action] = np.mean([play.draw(t, 64, 64).astype(float) for t in np.arange(1, 5, 0.15)], axis=0)
    for one, other in itertools.combinations(EVERY_ACTION, 2):
        assert np.abs(pictures[one] - pictures[other]).mean() > 0.5, (one, other)


def test_teaching_actions_make_a_film_of_their_own():
    acts = [action for _, action in script(Play(0, actions=TEACHING_ACTIONS), 6.0, 60)]
    assert set(acts) == set(TEACHING_ACTIONS)
    assert not set(TEACHING_ACTIONS) & set(ACTIONS)
