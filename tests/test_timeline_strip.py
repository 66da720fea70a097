"""The strip chart on the picture, judged by its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeline.colours import PALETTE, Looks, bgr, own_colour
from timeline.strip import draw_strip, recent_history, spread, strip_height
from video_classifier import Category, Prediction

LONGEST = "a label that never seems to come to its end, and goes on and on"
SIZES = [(320, 240), (640, 480), (1280, 720), (1920, 1080), (480, 640)]


def recent(rows, labels):
    """Returns a history of rows of probabilities, five a second."""
    history, looks = recent_history(), Looks()
    history.follow(labels, np.arange(len(labels)))
    for number, row in enumerate(rows):
        probabilities = np.asarray(row, np.float32)
        best = int(probabilities.argmax())
        top = [Category(labels[best], float(probabilities[best]), best)]
        prediction = Prediction(number / 5, 0.01, number, top, np.zeros(len(labels)), probabilities)
        history.add(prediction)
        looks.notice(prediction)
    return history, looks


def two_halves():
    """One label for the older 30 s, then the other."""
    return recent([[0.9, 0.1]] * 150 + [[0.2, 0.8]] * 150, ["jumping", "squatting"])


def where(picture, colour):
    """Returns rows and columns of the pixels of about this colour."""
    return np.nonzero((np.abs(picture.astype(int) - bgr(colour)).max(axis=2) <= 70))


def test_lines_stand_where_the_probabilities_were():
    history, looks = two_halves()
    picture = np.full((480, 640, 3), 120, np.uint8)
    draw_strip(picture, history, looks, (0, 100, 640, 100))
    for label, old, new in (("jumping", 0.9, 0.2), ("squatting", 0.1, 0.8)):
        rows, columns = where(picture, own_colour(label))
        chart = columns < 480  # the names stand at the right
        left, right = rows[chart & (columns < 200)], rows[chart & (columns > 350)]
        # The grid's lines are 0 and 100 %.
        grid = np.nonzero((picture[:, 30] == 95).all(axis=1))[0]
        top, bottom = grid.min(), grid.max()
        assert (bottom - np.median(left)) / (bottom - top) == pytest.approx(old, abs=0.04)
        assert (bottom - np.median(right)) / (bottom - top) == pytest.approx(new, abs=0.04)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_is_drawn_outside_its_box(size):
    width, height = size
    labels = [LONGEST, "waving", "x", "żółć", "clapping", "jumping"]
    rows = np.random.default_rng(0).dirichlet([0.4] * 6, 300)
    history, looks = recent(rows, labels)
    picture = np.full((height, width, 3), 120, np.uint8)
    left, top, across, down = box = 4, 40, width - 8, strip_height(height)
    draw_strip(picture, history, looks, box)
    inside = np.zeros((height, width), bool)
    inside[top : top + down, left : left + across] = True
    assert (picture[~inside] == 120).all() and (picture[inside] != 120).any(axis=1).all()
    edge = picture[top : top + down, left + across - 1]
    assert (edge == edge[0]).all(), "letters are cut off"
    # Several labels are named, in letters: light, and near the right edge.
    light = (picture[top : top + down, width // 2 :].min(axis=2) > 150).any(axis=1)
    assert np.count_nonzero(light[1:] & ~light[:-1]) + light[0] >= 2
    assert down < height / 3


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 400), st.integers(1, 300), st.integers(-50, 350), st.integers(-50, 250), st.integers(-5, 500),
    st.integers(-5, 300), st.integers(0, 30),
)  # fmt: skip
def test_any_box_of_any_picture_is_safe(width, height, left, top, across, down, steps):
    history, looks = recent([[0.7, 0.3]] * steps, [LONGEST, "squatting"])
    picture = np.full((height, width, 3), 120, np.uint8)
    draw_strip(picture, history, looks, (left, top, across, down))
    changed = np.nonzero((picture != 120).any(axis=2))
    if changed[0].size:
        assert top <= changed[0].min() and changed[0].max() < top + down
        assert left <= changed[1].min() and changed[1].max() < left + across


def test_lines_of_one_colour_differ_by_their_pattern():
    """Eight labels have seven colours; the eighth shares one, dashed."""
    labels = [f"label {number}" for number in range(400)]
    pair = [label for label in labels if own_colour(label) == PALETTE[0]][:2]
    history, looks = recent([[0.6, 0.4]] * 300, pair)  # only the first ever leads
    picture = np.full((480, 640, 3), 0, np.uint8)
    draw_strip(picture, history, looks, (0, 0, 640, 200))
    rows, columns = where(picture, PALETTE[0])
    covered = [len(np.unique(columns[(rows == row) & (columns < 400)])) for row in np.unique(rows)]
    long, dashed = sorted(covered)[-1], [count for count in covered if 100 < count < 350]
    assert long > 360 and dashed


@given(st.lists(st.floats(0, 100), max_size=6))
def test_names_keep_apart_and_in_order(rows):
    placed = spread(rows, 12, 0, 100)
    ordered = [placed[place] for place in sorted(range(len(rows)), key=lambda place: rows[place])]
    assert all(6 - 1e-9 <= place <= 94 + 1e-9 for place in placed)
    assert all(after - before >= 12 - 1e-9 for before, after in zip(ordered, ordered[1:]))


def test_a_name_stands_beside_its_lines_end():
    assert spread([20, 80], 12, 0, 100) == [20, 80]
