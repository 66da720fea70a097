"""The score against the truth that the demo ends with."""

from __future__ import annotations

import numpy as np

from score import Score
from video_classifier import Category, Prediction


def prediction(label: str | None) -> Prediction:
    top = [] if label is None else [Category(label, 0.9, 0)]
    return Prediction(0.0, 0.001, 1, top, np.zeros(2, np.float32), np.zeros(2, np.float32))


def test_counts_steps_whose_first_label_is_the_true_one():
    score = Score()
    for label in ("waving", "waving", "clapping", None):
        score.count(prediction(label), "waving")
    assert (score.steps, score.right) == (4, 2)
    assert str(score) == "2 of 4 steps right (50.0%)"


def test_counts_apart_what_should_have_been_recognized_by_then():
    score = Score()
    for step in range(12):  # wrong until the 11th step of the action
        score.count(prediction("waving" if step >= 10 else "clapping"), "waving")
    for _ in range(10):  # a new action, right at once
        score.count(prediction("clapping"), "clapping")
    assert (score.steps, score.right) == (22, 12)
    assert (score.settled, score.settled_right) == (4, 3)
    assert str(score) == "12 of 22 steps right (54.5%), 75.0% from the 10th step of an action on"
