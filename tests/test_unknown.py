"""The answer "unknown": a taught model gives it where nothing is likely enough, in its predictions and its events."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import DATA

from errors import ModelError, PackageError
from utils import read_labels
from video_classifier import VideoClassifier

RED = np.full((48, 64, 3), (200, 20, 20), np.uint8)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Writes the tests' tiny model anew, with a rule for unknown."""
    from teaching.network import Backbone, write_model

    base, labels = DATA / "tiny.tflite", read_labels(DATA / "tiny.txt")
    try:
        weights, bias = Backbone(base, memory=None).classifier
    except PackageError as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("taught")

    def write(name, rule):
        description = {} if rule is None else {"unknown": rule}
        return write_model(base, weights, bias, labels, folder / f"{name}.tflite", description=description)

    return write


def answers(model, **options):
    with VideoClassifier(model, model.with_suffix(".txt"), **options) as classifier:
        return [classifier.step(RED) for _ in range(5)]


def test_what_is_likely_enough_is_named_and_what_is_not_is_unknown(taught):
    plain = answers(taught("plain", None))[-1]
    best = plain.top[0]
    below, above = best.probability - 0.01, best.probability + 0.01
    named = answers(taught("named", {"label": "dark", "threshold": below}))[-1]
    unknown = answers(taught("unsure", {"label": "dark", "threshold": above}))[-1]

    assert [one.label for one in named.top] == [one.label for one in plain.top]
    assert unknown.top[0].label == "unknown" and unknown.top[0].index == -1
    assert unknown.top[0].probability == pytest.approx(1 - best.probability, abs=1e-6)
    assert [one.label for one in unknown.top[1:]] == [one.label for one in plain.top[:2]]
    np.testing.assert_array_equal(unknown.probabilities, plain.probabilities)


def test_the_background_is_never_unknown(taught):
    best = answers(taught("before", None))[-1].top[0]
    model = taught("background", {"label": best.label, "threshold": 1.0})
    assert answers(model)[-1].top[0].label == best.label


def test_one_row_is_the_answer_alone(taught):
    model = taught("one", {"label": "dark", "threshold": 1.0})
    assert [one.label for one in answers(model, top_k=1)[-1].top] == ["unknown"]


def test_a_damaged_rule_is_one_line(taught):
    model = taught("damaged", {"label": "dark"})
    with pytest.raises(ModelError, match="teach it again"):
        answers(model)
