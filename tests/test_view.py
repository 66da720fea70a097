"""One source as the main thread sees it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base import Update
from sources import Frame
from video_classifier import Category, Prediction
from view import View

PIPELINE = SimpleNamespace(camera_fps=30.0, sample_fps=5.0, note="")


def frame() -> Frame:
    """Red on the left, blue on the right."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[:, :160], image[:, 160:] = (0, 0, 255), (255, 0, 0)
    return Frame(image, 1.0, 0)


LABELS = ["waving", "clapping"]


def prediction(label: str, step: int = 9) -> Prediction:
    probabilities = np.array([each == label for each in LABELS], np.float32)
    return Prediction(1.0, 0.002, step, [Category(label, 0.9, LABELS.index(label))], np.zeros(2), probabilities)


def test_other_labels_leave_out_what_the_old_model_said_and_nobody_was_told():
    view = View(PIPELINE, fit="crop", wanted_fps=5.0, labels=LABELS)
    view.take(Update(None, [prediction("waving")]))
    view.follow(list(LABELS), np.arange(2))
    assert [each.top[0].label for each in view.pending] == ["waving"] and view.prediction is not None
    view.follow(["jumping", "sitting", "walking"], np.arange(3))
    assert view.pending == [] and view.prediction is None


@pytest.mark.parametrize("mirror", [False, True])
def test_only_the_picture_is_mirrored_and_its_text_stays_legible(mirror):
    view, plain = (View(PIPELINE, fit="crop", wanted_fps=5.0, mirror=on) for on in (mirror, False))
    for one in (view, plain):
        one.take(Update(frame(), [prediction("waving")]))
    picture = view.picture()

    left, right = picture[120, 20], picture[120, 300]
    assert (left[2] > left[0]) is np.bool_(not mirror) and (right[2] > right[0]) is np.bool_(mirror)
    assert (view.frame.image == frame().image).all()
    # The status line and the labels read as ever: their brightest pixels are where they are without a mirror.
    bright = [(one.min(axis=2) > 180)[:24] for one in (picture, plain.picture())]
    assert bright[0].any() and (bright[0] == bright[1]).all()


def test_the_truth_is_drawn_and_counted():
    view = View(PIPELINE, fit="crop", wanted_fps=5.0, truth=lambda timestamp: "waving", labels=LABELS)
    untold = View(PIPELINE, fit="crop", wanted_fps=5.0)
    for one in (view, untold):
        black = Frame(np.zeros((480, 640, 3), np.uint8), 1.0, 0)
        one.take(Update(black, [prediction("waving"), prediction("clapping")]))

    changed = np.argwhere((view.picture() != untold.picture()).any(axis=2))
    assert changed.size and changed.min(axis=0)[0] > 400 and changed.min(axis=0)[1] > 400  # in the lower right corner
    assert (view.score.steps, view.score.right) == (2, 1)
    assert untold.score.steps == 0


def test_a_streaming_model_warms_up_for_a_second_a_clip_model_never():
    view = View(PIPELINE, fit="crop", wanted_fps=5.0)
    for shown, warming in [
        (prediction("waving", step=4), True),
        (prediction("waving", step=5), False),
        (dataclasses.replace(prediction("waving", step=1), whole=True), False),
    ]:
        view.take(Update(frame(), [shown]))
        view.picture()
        assert view.status.warming_up is warming


def test_an_outage_is_drawn_until_the_next_frame():
    view = View(PIPELINE, fit="crop", wanted_fps=5.0, outage=lambda now: now)
    view.take(Update(frame(), []))
    before = view.picture()

    assert view.update_outage(7.0)
    assert (view.picture() != before).any()
    view.take(Update(frame(), []))
    assert (view.picture() == before).all()
