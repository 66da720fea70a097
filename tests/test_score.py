"""The score against the truth that the demo ends with."""

from __future__ import annotations

import numpy as np

from score import Score
from video_classifier import Category, Prediction

LABELS = ["clapping", "waving"]


def prediction(label: str, *shown: str) -> Prediction:
    """Returns one whose most probable label is `label`, and that shows others."""
    probabilities = np.array([0.9 if each == label else 0.1 for each in LABELS], np.float32)
    top = [Category(each, 0.1, LABELS.index(each)) for each in shown]
    return Prediction(0.0, 0.001, 1, top, np.zeros(2, np.float32), probabilities)


def test_counts_steps_whose_most_probable_label_is_the_true_one():
    score = Score()
    for label in ("waving", "waving", "clapping", "clapping"):
        score.count(prediction(label, label), "waving", LABELS)
    assert (score.steps, score.right) == (4, 2)
    assert str(score) == "2 of 4 steps right (50.0%)"


def test_which_labels_are_shown_does_not_change_it():
    """Neither --threshold, which may leave none, nor --allow and --deny."""
    score = Score()
    score.count(prediction("waving"), "waving", LABELS)
    score.count(prediction("waving", "clapping"), "waving", LABELS)
    score.count(prediction("clapping", "waving"), "waving", LABELS)
    assert (score.steps, score.right) == (3, 2)


def test_counts_apart_what_should_have_been_recognized_by_then():
    score = Score()
    for step in range(12):  # wrong until the 11th step of the action
        score.count(prediction("waving" if step >= 10 else "clapping"), "waving", LABELS)
    for _ in range(10):  # a new action, right at once
        score.count(prediction("clapping"), "clapping", LABELS)
    assert (score.steps, score.right) == (22, 12)
    assert (score.settled, score.settled_right) == (4, 3)
    assert str(score) == "12 of 22 steps right (54.5%), 75.0% from the 10th step of an action on"
