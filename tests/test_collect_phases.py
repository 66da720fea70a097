"""What is recorded when: the state machine, driven by made-up frames of a made-up clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teaching.collect import Clip, Collector, Phase

RATE = 10  # frames a second


def collector(counts=None, **changes):
    values = {"clips": 2, "seconds": 2.0, "countdown": 3.0, "pause": 5.0, "review": 1.0, "gap": 1.0}
    return Collector({"a": 0, "b": 0} if counts is None else counts, **{**values, **changes})


class Camera:
    """Gives a collector frames, and notes what becomes of them."""

    def __init__(self, machine, now=0.0):
        self.machine, self.number = machine, round(now * RATE)
        self.clip, self.kept, self.dropped, self.discarded = [], [], [], []

    @property
    def now(self):
        return self.number / RATE

    def run(self, seconds, away=False):
        for _ in range(round(seconds * RATE)):
            label = self.machine.label
            self.note(self.machine.update(self.now), label)
            if not away:
                self.note(self.machine.see(self.now), label)
            self.number += 1
        return self

    def note(self, outcome, label):
        if outcome is Clip.ADD:
            self.clip.append(self.now)
        elif outcome is not None:
            ended = {Clip.KEEP: self.kept, Clip.DROP: self.dropped, Clip.DISCARD: self.discarded}[outcome]
            ended.append((label, self.clip))
            self.clip = []


def test_pause_countdown_recording_review_then_the_next_label():
    machine = collector()
    camera = Camera(machine)
    phases = []
    while machine.phase is not Phase.DONE:
        camera.run(0.1)
        phases.append((machine.phase.value, machine.label))

    assert list(dict.fromkeys(phases)) == [
        (phase, label) for label in "ab" for phase in ("review", "countdown", "recording")
    ] + [("done", "b")]
    assert [label for label, _ in camera.kept] == ["a", "a", "b", "b"]
    first = camera.kept[0][1]
    assert first[0] == pytest.approx(5 + 3)
    for _, times in camera.kept:
        assert len(times) == 2 * RATE
        assert np.diff(times) == pytest.approx(1 / RATE)
    # Between two clips of a label its review and countdown; before another label its pause as well.
    starts = [times[0] for _, times in camera.kept]
    assert np.diff(starts) == pytest.approx([2 + 1 + 3, 2 + 1 + 5 + 3, 2 + 1 + 3], abs=0.35)
    assert machine.counts == {"a": 2, "b": 2}


def test_labels_that_have_enough_are_left_out():
    camera = Camera(collector({"a": 2, "b": 1, "c": 7}))
    camera.run(60)

    assert [label for label, _ in camera.kept] == ["b"]
    assert camera.machine.phase is Phase.DONE


def test_frames_that_were_taken_before_the_countdown_ended_are_not_in_the_clip():
    machine = collector(pause=0.0, countdown=1.0)
    machine.update(0.0)
    for now in (0.5, 1.0):
        machine.update(now)
    assert machine.phase is Phase.RECORDING

    assert machine.see(0.95) is None  # had waited in a buffer
    assert machine.see(1.05) is Clip.ADD


def test_a_camera_that_goes_away_costs_the_clip_and_it_is_recorded_again_after_another_countdown():
    camera = Camera(collector(pause=0.0))
    camera.run(4)
    assert camera.machine.phase is Phase.RECORDING
    camera.run(30, away=True)

    assert camera.machine.away
    assert camera.machine.phase is Phase.REVIEW
    assert [label for label, _ in camera.dropped] == ["a"]
    assert camera.machine.counts == {"a": 0, "b": 0}

    back = camera.now
    camera.run(8)
    assert not camera.machine.away
    assert len(camera.kept[0][1]) == 2 * RATE
    assert camera.kept[0][1][0] >= back + 3


def test_a_camera_that_goes_away_in_the_countdown_begins_it_anew():
    camera = Camera(collector(pause=0.0))
    camera.run(2).run(2, away=True)
    back = camera.now
    camera.run(8)

    assert not camera.dropped
    assert camera.kept[0][1][0] >= back + 3


def test_space_records_at_once_and_pauses():
    camera = Camera(collector(pause=100.0))
    camera.run(1)
    camera.machine.go_on_or_pause(camera.now)
    assert camera.machine.phase is Phase.COUNTDOWN
    camera.run(1)
    camera.machine.go_on_or_pause(camera.now)
    camera.run(60)
    assert camera.machine.paused
    assert not camera.kept

    camera.machine.go_on_or_pause(camera.now)
    camera.run(4)
    camera.machine.go_on_or_pause(camera.now)  # while it records
    camera.run(60)
    assert len(camera.kept) == 1
    assert camera.machine.phase is Phase.REVIEW


def test_next_label_while_recording_waits_for_the_clip():
    camera = Camera(collector(pause=1.0))
    camera.run(5)
    assert camera.machine.phase is Phase.RECORDING
    camera.machine.turn_to_next(camera.now)
    camera.run(8)

    assert [label for label, _ in camera.kept] == ["a", "b"]


def test_next_label_goes_round_and_also_to_one_that_has_enough():
    machine = collector({"a": 0, "b": 9, "c": 0})
    seen = []
    for _ in range(4):
        machine.turn_to_next(0.0)
        seen.append(machine.label)
    assert seen == ["b", "c", "a", "b"]

    machine.go_on_or_pause(0.0)
    Camera(machine).run(6)
    assert machine.counts["b"] == 10


def test_what_is_discarded_is_recorded_again():
    camera = Camera(collector({"a": 0}, pause=0.0, review=2.0, linger=2.0, clips=1))
    camera.run(4)
    camera.note(camera.machine.abandon(camera.now), "a")
    assert len(camera.discarded[0][1]) == pytest.approx(RATE, abs=1)
    assert camera.machine.counts == {"a": 0}
    camera.run(8)
    assert camera.machine.counts == {"a": 1}
    assert camera.machine.phase is Phase.REVIEW
    camera.machine.take_back("a", camera.now)
    camera.run(20)

    assert len(camera.kept) == 2
    assert camera.machine.phase is Phase.DONE
    assert camera.machine.counts == {"a": 1}


@pytest.mark.parametrize("seconds, kept", [(0.7, False), (0.9, False), (1.0, True), (1.9, True)])
def test_the_end_keeps_a_clip_of_a_second(seconds, kept):
    camera = Camera(collector(pause=0.0))
    camera.run(3).run(seconds)
    camera.note(camera.machine.stop(), "a")

    assert len(camera.kept) == kept
    assert len(camera.dropped) == (not kept)
    assert camera.machine.counts["a"] == kept


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["frames", "away", "space", "pause", "next", "abandon"]), st.floats(0.1, 6)),
        max_size=25,
    )
)
def test_whatever_the_user_and_the_camera_do_clips_are_whole_and_counted(steps):
    machine = collector({"a": 0, "b": 1}, clips=3)
    camera = Camera(machine)
    for action, seconds in steps:
        if action == "abandon":
            camera.note(machine.abandon(camera.now), machine.label)
        elif action in ("space", "pause", "next"):
            {"space": machine.go_on_or_pause, "pause": machine.pause, "next": machine.turn_to_next}[action](camera.now)
        camera.run(seconds, away=action == "away")
    camera.note(machine.stop(), machine.label)

    assert sum(machine.counts.values()) == 1 + len(camera.kept)
    for _, times in camera.kept[:-1]:
        assert times[-1] - times[0] > 0.5
        assert np.diff(times).max() <= 1.0 + 2 / RATE
    assert all(times[-1] - times[0] <= 2.0 for _, times in camera.kept)
    assert not camera.clip
