"""Capture, inference and the main thread run independently of each other."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from errors import SourceError
from pace import Pace
from pipeline import open_pipeline
from sources import Frame
from video_classifier import Category, Prediction

PERIOD = 1 / 30


class Camera:
    """A source that delivers 30 frames a second, or all at once if it isn't live."""

    name, fps = "test camera", 30.0

    def __init__(self, live, frames=None, error=None):
        self.live, self.closed = live, False
        self._frames, self._error, self._index = frames, error, 0
        self._zero = time.monotonic()

    def read(self):
        if self._index == self._frames:
            if self._error is not None:
                raise self._error
            return None
        timestamp = self._index * PERIOD
        if self.live:
            timestamp += self._zero
            time.sleep(max(0.0, timestamp - time.monotonic()))
            timestamp = time.monotonic()
        self._index += 1
        return Frame(np.full((4, 4, 3), self._index % 256, np.uint8), timestamp, self._index - 1)

    def close(self):
        self.closed = True


class Model:
    """Stands for a classifier whose steps last as long as a test wants; notes when each began and on what."""

    def __init__(self, seconds=lambda step: 0.0, error=None):
        self.seconds, self.error, self.begun, self.resets = seconds, error, [], 0

    def step(self, frame, timestamp):
        if self.error is not None:
            raise self.error
        self.begun.append((time.monotonic(), timestamp))
        time.sleep(self.seconds(len(self.begun)))
        probability = np.ones(1, np.float32)
        return Prediction(timestamp, 0.0, len(self.begun), [Category("a", 1.0, 0)], probability, probability)

    def reset(self):
        self.resets += 1


def drain(pipeline, seconds=30.0):
    """Takes updates to the end of the stream; returns the frames and the predictions."""
    frames, predictions, deadline = [], [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        update = pipeline.next(0.1)
        if update is None:
            return frames, predictions
        frames += [update.frame] if update.frame is not None else []
        predictions += update.predictions
    raise AssertionError("the stream did not end")


def test_a_file_gives_every_frame_and_five_predictions_a_second():
    with open_pipeline(Camera(live=False, frames=90), Model(), Pace(5)) as pipeline:
        frames, predictions = drain(pipeline)

    assert [frame.index for frame in frames] == list(range(90))
    assert [prediction.timestamp for prediction in predictions] == pytest.approx([step / 5 for step in range(15)])


def test_a_files_prediction_comes_with_the_frame_that_it_was_made_from():
    with open_pipeline(Camera(live=False, frames=30), Model(lambda step: 0.01), Pace(5)) as pipeline:
        while (update := pipeline.next(1)) is not None:
            for prediction in update.predictions:
                assert prediction.timestamp == update.frame.timestamp


def test_a_slow_model_does_not_hold_up_a_cameras_picture():
    with open_pipeline(Camera(live=True), Model(lambda step: 0.3), Pace(5), duration=1.5) as pipeline:
        frames, predictions = drain(pipeline)

    assert len(frames) > 30  # of 45, although each of the 5 steps takes as long as 9 frames
    assert 4 <= len(predictions) <= 6


def test_after_a_stall_the_model_sees_a_frame_younger_than_a_camera_period():
    model = Model(lambda step: 1.0 if step == 2 else 0.0)
    with open_pipeline(Camera(live=True), model, Pace(5), duration=2.0) as pipeline:
        drain(pipeline)

    begun, taken = model.begun[2]
    assert begun - model.begun[1][0] >= 1.0
    # A scheduling delay on a busy machine is not staleness: without the slot the frame would be a second old.
    assert begun - taken < PERIOD + 0.05
    assert model.begun[3][0] - begun > 0.1  # no burst to catch up


def test_the_last_prediction_of_a_live_source_is_not_lost():
    with open_pipeline(Camera(live=True, frames=1), Model(lambda step: 0.3), Pace(5)) as pipeline:
        _, predictions = drain(pipeline)

    assert len(predictions) == 1


@pytest.mark.parametrize("live", [True, False])
def test_max_frames_and_duration_bound_a_run(live):
    with open_pipeline(Camera(live), Model(), Pace(5), max_frames=7) as pipeline:
        frames, _ = drain(pipeline)
    assert frames[-1].index == 6
    with open_pipeline(Camera(live), Model(), Pace(5), duration=0.5) as pipeline:
        frames, _ = drain(pipeline)
    assert frames[-1].timestamp - frames[0].timestamp < 0.5


@pytest.mark.parametrize("live", [True, False])
def test_a_source_that_breaks_is_reported_after_what_it_delivered(live):
    camera = Camera(live, frames=10, error=SourceError("the camera is gone"))
    with open_pipeline(camera, Model(), Pace(5)) as pipeline:
        seen = []
        with pytest.raises(SourceError, match="the camera is gone"):
            while True:
                seen.append(pipeline.next(0.1))

    assert max(update.frame.index for update in seen if update.frame is not None) == 9
    assert camera.closed


@pytest.mark.parametrize("live", [True, False])
def test_an_error_in_the_model_reaches_the_main_thread(live):
    with open_pipeline(Camera(live), Model(error=RuntimeError("broken model")), Pace(5)) as pipeline:
        with pytest.raises(RuntimeError, match="broken model"):
            drain(pipeline)


@pytest.mark.parametrize("live", [True, False])
def test_a_pause_stops_the_model_and_reset_waits_for_its_next_step(live):
    model = Model()
    with open_pipeline(Camera(live), model, Pace(5)) as pipeline:
        while not model.begun:
            pipeline.next(0.1)
        pipeline.pause(True)
        pipeline.reset()
        time.sleep(0.3)
        steps = len(model.begun)
        time.sleep(0.5)
        assert len(model.begun) == steps
        pipeline.pause(False)
        deadline = time.monotonic() + 5
        while len(model.begun) < steps + 2 and time.monotonic() < deadline:
            pipeline.next(0.1)

    assert len(model.begun) >= steps + 2
    assert model.resets == 1


@pytest.mark.parametrize("live", [True, False])
def test_leaving_stops_the_threads_and_closes_the_source(live):
    camera = Camera(live)
    start = time.monotonic()
    with open_pipeline(camera, Model(lambda step: 0.1), Pace(5)) as pipeline:
        pipeline.next(0.5)
        pipeline.pause(True)

    assert time.monotonic() - start < 3
    assert camera.closed
    assert not {"capture", "inference"} & {thread.name for thread in threading.enumerate()}


def test_the_duration_of_a_camera_that_gives_no_more_frames_ends_all_the_same():
    class Away(Camera):
        interrupted = threading.Event()

        def read(self):
            if self._index < 10:
                return super().read()
            self.interrupted.wait(60)
            return None

        def interrupt(self):
            self.interrupted.set()

    model = Model(lambda step: 0.1)
    with open_pipeline(Away(live=True), model, Pace(5), duration=1.0) as pipeline:
        frames, predictions = drain(pipeline)

    assert frames[-1].index == 9
    assert len(predictions) == len(model.begun) >= 1  # the last one is not lost


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("labels, kept", [(["a"], True), (["a", "b"], False)])
def test_a_prediction_in_the_making_is_left_out_where_a_model_with_other_labels_takes_over(live, labels, kept):
    class Held(Model):
        labels = ["a"]
        closed = False

        def step(self, frame, timestamp):
            prediction = super().step(frame, timestamp)
            release.wait(60)
            return prediction

        def close(self):
            self.closed = True

    class Next(Model):
        def resume(self, other):
            pass

    release, old, new = threading.Event(), Held(), Next()
    new.labels = labels
    with open_pipeline(Camera(live, frames=40), old, Pace(5)) as pipeline:
        assert wait_until(lambda: old.begun)
        pipeline.replace(new)
        release.set()
        frames, predictions = drain(pipeline)

    times = [timestamp for model in ([old, new] if kept else [new]) for _, timestamp in model.begun]
    assert [prediction.timestamp for prediction in predictions] == times
    assert len(old.begun) == 1 and new.begun and old.closed
    assert frames[-1].index == 39


@pytest.mark.parametrize("live", [True, False])
def test_of_models_that_take_over_while_there_is_no_step_only_the_last_is_kept(live):
    """As while a camera is away: each takes tens of megabytes."""

    class Kept(Model):
        labels = ["a"]
        closed = False
        before = None

        def step(self, frame, timestamp):
            prediction = super().step(frame, timestamp)
            release.wait(60)
            return prediction

        def resume(self, other):
            self.before = other

        def close(self):
            self.closed = True

    release, models = threading.Event(), [Kept() for _ in range(3)]
    first, second, third = models
    with open_pipeline(Camera(live, frames=40), first, Pace(5)) as pipeline:
        assert wait_until(lambda: first.begun)
        pipeline.replace(second)
        pipeline.replace(third)
        assert [model.closed for model in models] == [False, True, False]
        release.set()
        drain(pipeline)

    assert [len(model.begun) > 0 for model in models] == [True, False, True]
    assert [model.closed for model in models] == [True, True, False]
    assert third.before is first


def test_turns_go_on_without_frames_and_without_steps_but_not_while_a_step_hangs():
    release = threading.Event()
    camera, model = Camera(live=True), Model()
    model.step, step = lambda *frame: step(*frame) if not model.begun else release.wait(60), model.step
    with open_pipeline(camera, model, Pace(0.1)) as pipeline:
        assert wait_until(lambda: len(model.begun) == 1 and pipeline.turns > 5)  # no step for the next 10 s
        pipeline.pause(True)  # no frames for the model
        before = pipeline.turns
        assert wait_until(lambda: pipeline.turns > before + 5)
        pipeline.pause(False)
        pipeline.pace = Pace(5)  # a step again, which hangs
        assert wait_until(lambda: stands_still(lambda: pipeline.turns))
        release.set()


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def stands_still(number):
    before = number()
    time.sleep(1)
    return number() == before


def test_a_driver_that_never_returns_does_not_hold_up_the_end():
    camera, release = Camera(live=True), threading.Event()
    camera.read = release.wait
    start = time.monotonic()
    with open_pipeline(camera, Model(), Pace(5)):
        pass

    assert time.monotonic() - start < 2
    assert not camera.closed  # closing under a driver's feet can crash the process
    release.set()


def test_rates_are_measured_by_timestamps():
    with open_pipeline(Camera(live=False, frames=90), Model(), Pace(5)) as pipeline:
        drain(pipeline)

        assert pipeline.camera_fps == pytest.approx(30, rel=0.01)
        assert pipeline.sample_fps == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize("live", [True, False])
def test_the_model_is_given_the_small_picture_where_the_camera_made_one(live):
    class TwoStreams(Camera):
        def read(self):
            frame = super().read()
            return None if frame is None else replace(frame, lores=np.ones((2, 2, 3), np.uint8))

    seen = []
    model = Model()
    model.step, step = lambda image, timestamp: seen.append(image.shape) or step(image, timestamp), model.step
    with open_pipeline(TwoStreams(live, frames=20), model, Pace(5)) as pipeline:
        frames, _ = drain(pipeline)

    assert set(seen) == {(2, 2, 3)}
    assert frames[0].image.shape == (4, 4, 3)


@pytest.mark.parametrize("live, resets", [(True, 1), (False, 0)])
def test_a_camera_that_was_away_for_longer_than_the_memory_is_a_new_stream(live, resets):
    class Gap(Camera):
        def read(self):
            frame = super().read()
            if frame is None or frame.index < 10:
                return frame
            return replace(frame, timestamp=frame.timestamp + 5)

    model = Model()
    with open_pipeline(Gap(live, frames=20), model, Pace(5), forget_after=2.4 if live else None) as pipeline:
        drain(pipeline)

    assert model.resets == resets
