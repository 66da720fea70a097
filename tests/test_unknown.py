"""The answer "unknown": a taught model gives it where nothing is likely enough, in its predictions and its events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import DATA

from errors import ModelError, PackageError
from events.detector import EventDetector
from events.rules import Rules
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


@pytest.fixture(scope="module")
def with_class(tmp_path_factory):
    """Writes the tests' tiny model anew, its last class called unknown, with a rule for it."""
    from teaching.network import Backbone, write_model

    base, labels = DATA / "tiny.tflite", [*read_labels(DATA / "tiny.txt")[:-1], "unknown"]
    try:
        weights, bias = Backbone(base, memory=None).classifier
    except PackageError as reason:
        pytest.skip(str(reason))
    path = tmp_path_factory.mktemp("class") / "mine.tflite"
    rule = {"label": "dark", "threshold": 1.0}
    return write_model(base, weights, bias, labels, path, description={"unknown": rule})


def test_a_class_of_that_name_is_what_the_rule_answers(with_class):
    labels = read_labels(with_class.with_suffix(".txt"))
    answer = answers(with_class, top_k=len(labels))[-1]
    assert answer.top[0].label == "unknown" and answer.top[0].index == len(labels) - 1
    assert sorted(one.label for one in answer.top) == sorted(labels)  # each once
    assert answer.top[0].probability == pytest.approx(1 - answer.probabilities.max())
    filtered = answers(with_class, deny=["unknown"])[-1]
    assert "unknown" not in [one.label for one in filtered.top]
    assert filtered.top[0].probability == pytest.approx(answer.probabilities.max())


def test_the_class_of_that_name_may_be_the_answer_by_itself_and_begins_no_event(with_class):
    labels = read_labels(with_class.with_suffix(".txt"))
    with VideoClassifier(with_class, labels) as classifier:
        best = classifier.step(RED)
        assert classifier.unknown is not None
        certain = np.eye(len(labels))[-1] * 0.4 + 0.6 / len(labels)
        assert not classifier.unknown.applies(certain)  # it is named already
    detector = EventDetector(labels, Rules(on=0.5, off=0.3, minimum=0.0), "here")
    for second in range(5):
        seen = replace(best, timestamp=float(second), probabilities=np.eye(len(labels), dtype=np.float32)[-1])
        assert detector.step(seen) == []
