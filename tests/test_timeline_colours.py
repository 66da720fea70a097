"""The colours of labels: the same everywhere, and apart for every kind of colour blindness."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from timeline.colours import GROUND, PALETTE, Looks, bgr, own_colour
from video_classifier import Category, Prediction

DEMO = (ROOT / "labels" / "movinet_a0_demo.txt").read_text().split("\n")[:7]
# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
BLIND = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def led_by(label, probability=0.9):
    return Prediction(0.0, 0.01, 1, [Category(label, probability, 0)], np.zeros(1), np.ones(1))


def linear(colour):
    share = np.array(bgr(colour)[::-1]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    x, y, z = np.cbrt(np.maximum(TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1), 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", BLIND)
def test_no_two_colours_look_alike(sight):
    seen = [lab(np.array(BLIND[sight]) @ linear(colour)) for colour in PALETTE]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 10  # 2.3 is just noticeable


def test_every_colour_shows_on_the_ground():
    """WCAG 2.1 asks for 3:1 of lines in a chart."""
    luminance = {colour: float(linear(colour) @ TO_XYZ[1]) for colour in (*PALETTE, GROUND)}
    assert all((luminance[colour] + 0.05) / (luminance[GROUND] + 0.05) >= 3 for colour in PALETTE)


def test_a_colour_in_bgr():
    assert bgr("#0172b2") == (0xB2, 0x72, 0x01)


def test_the_demos_labels_have_seven_colours_in_any_order():
    assert {own_colour(label) for label in DEMO} == set(PALETTE)
    for order in (DEMO, DEMO[::-1]):
        looks = Looks()
        for label in order:
            looks.notice(led_by(label))
        assert [looks.colour(label) for label in DEMO] == [own_colour(label) for label in DEMO]
        assert all(look.pattern == () for look in looks.together(DEMO))


def test_two_labels_of_one_colour_get_two():
    labels = [f"label {number}" for number in range(40)]
    first, second = next(pair for pair in combinations(labels, 2) if own_colour(pair[0]) == own_colour(pair[1]))
    looks = Looks()
    looks.notice(led_by(second))
    looks.notice(led_by(first))
    assert looks.colour(second) == own_colour(second)
    assert looks.colour(first) in set(PALETTE) - {own_colour(first)}


def test_noise_takes_no_colour():
    labels = [f"label {number}" for number in range(40)]
    first, second = next(pair for pair in combinations(labels, 2) if own_colour(pair[0]) == own_colour(pair[1]))
    looks = Looks()
    looks.notice(led_by(first, 0.1))
    looks.notice(led_by(second, 0.8))
    assert looks.colour(second) == own_colour(second)


@given(st.lists(st.text(max_size=20), unique=True, max_size=40), st.data())
def test_a_label_keeps_its_colour_whatever_else_comes(labels, data):
    looks, seen = Looks(), {}
    for label in labels:
        looks.notice(led_by(label))
        seen[label] = looks.colour(label)
        assert all(looks.colour(old) == colour for old, colour in seen.items())
    assert len(set(seen.values())) >= min(7, len(labels))
    shown = data.draw(st.lists(st.sampled_from(labels), unique=True, max_size=28)) if labels else []
    together = looks.together(shown)
    assert [look.colour for look in together] == [seen[label] for label in shown]
    assert {label: look for label, look in zip(shown[::-1], looks.together(shown[::-1]))} == dict(zip(shown, together))
    if max(np.unique([look.colour for look in together], return_counts=True)[1], default=0) <= 4:
        assert len(set(together)) == len(shown)
