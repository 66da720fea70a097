"""Events: laws that hold for any series of probabilities, and a slow second opinion on where they begin and end."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from errors import UserError
from events.detector import EventDetector
from events.finder import EventFinder
from events.rules import TABLE, Rules, read_overrides
from video_classifier import Prediction

EPOCH = 1_795_249_597.25  # a moment in November 2026
LABELS = ["walking", "Tai Chi", "yoga"]


class Wall:
    """This machine's clock, set by hand."""

    def __init__(self):
        self.now = EPOCH

    def __call__(self):
        return self.now


def prediction(timestamp, probabilities):
    values = np.array(probabilities, np.float32)
    return Prediction(timestamp, 0.01, 1, [], values, values)


def play(series, rules=None, labels=LABELS, offset=EPOCH, detector=None, **options):
    """Shows a detector a series of (timestamp, probabilities) and lets it finish; returns all events."""
    wall = Wall()
    detector = detector or EventDetector(labels, rules or Rules(), "camera", clock=wall, **options)
    events = []
    for timestamp, probabilities in series:
        wall.now = offset + timestamp
        events += detector.step(prediction(timestamp, probabilities))
    return events + detector.finish()


def one(values, fps=5.0, start=0.0):
    """A series of one label's probabilities."""
    return [(start + i / fps, [value]) for i, value in enumerate(values)]


def ended(events):
    return [event for event in events if not event.ongoing]


# Examples that can be followed with a finger


def test_an_action_from_begin_to_end():
    values = [0.1, 0.35, 0.4, 0.6, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2] + [0.1] * 20
    began, end = play(one(values), labels=["yoga"])
    assert began.ongoing and not end.ongoing and began.id == end.id
    assert (began.label, began.source, began.clip) == ("yoga", "camera", None)
    assert began.position == end.position == pytest.approx(0.2)  # the first of the steps that led to 0.5
    assert began.duration == pytest.approx(1.0)  # announced when it had lasted so long
    assert end.duration == pytest.approx(1.4)  # 0.4 at 1.6 s is the last one above the lower threshold
    assert began.start == end.start == pytest.approx(EPOCH + 0.2)
    assert end.end == pytest.approx(EPOCH + 1.6)
    assert end.peak == pytest.approx(0.9) and end.mean == pytest.approx(np.mean(values[1:9]))
    assert began.mean == pytest.approx(np.mean(values[1:7]))


def test_weak_or_short_actions_are_never_heard_of():
    assert play(one([0.49] * 50), labels=["yoga"]) == []  # never reaches 0.5
    assert play(one([0.9] * 5 + [0.1] * 30), labels=["yoga"]) == []  # lasts 0.8 s
    assert len(play(one([0.9] * 6 + [0.1] * 30), labels=["yoga"])) == 2  # lasts 1.0 s


def test_short_gaps_are_bridged_and_long_ones_are_not():
    action, gap = [0.8] * 10, [0.1] * 8  # 1.8 s between the steps at 0.8
    (end,) = ended(play(one(action + gap + action), labels=["yoga"]))
    assert end.duration == pytest.approx(27 / 5)
    assert end.mean == pytest.approx((20 * 0.8 + 8 * 0.1) / 28)
    first, second = ended(play(one(action + gap + [0.1] * 2 + action), labels=["yoga"]))
    assert [first.duration, second.duration] == pytest.approx([1.8, 1.8])
    assert first.mean == pytest.approx(0.8)
    assert second.position - first.position == pytest.approx(4.0)


def test_the_end_is_announced_as_soon_as_it_is_certain():
    detector = EventDetector(["yoga"], Rules(gap=1.0), "camera")
    heard = {}
    for timestamp, values in one([0.9] * 11 + [0.0] * 10):
        for event in detector.step(prediction(timestamp, values)):
            heard["began" if event.ongoing else "ended"] = timestamp
    assert heard == {"began": pytest.approx(1.0), "ended": pytest.approx(3.2)}


def test_a_camera_that_was_away_ends_what_lasted():
    away = one([0.9] * 10) + one([0.9] * 10, start=60.0)
    assert [(e.position, round(e.duration, 3)) for e in ended(play(away, labels=["yoga"]))] == [(0, 1.8), (60, 1.8)]


def test_a_file_that_starts_again_ends_what_lasted():
    loop = one([0.9] * 10) * 3
    events = play(loop, labels=["yoga"])
    assert [event.ongoing for event in events] == [True, False] * 3
    assert all(event.duration == pytest.approx(1.8) for event in ended(events))


def test_being_told_of_a_gap():
    detector = EventDetector(["yoga"], Rules(), "camera")
    (began,) = [event for step in one([0.9] * 8) for event in detector.step(prediction(*step))]
    (end,) = detector.interrupt()
    assert end.id == began.id and end.duration == pytest.approx(1.4) and not end.ongoing
    assert detector.interrupt() == [] == detector.finish()


def test_a_camera_that_is_away_ends_each_event_after_the_gap_of_its_own_label():
    told = []
    finder = EventFinder("camera", told.append)
    finder.follow(["yoga", "waving"], np.arange(2), Rules(overrides={"yoga": {"gap": 60.0}}))
    picture = np.zeros((4, 4, 3), np.uint8)

    def see(start):
        for step in range(10):
            finder.write(picture, start + step / 5, [prediction(start + step / 5, [0.9, 0.9])])

    see(0.0)
    for seconds in (1.0, 2.0, 3.0):
        finder.no_signal(seconds)
    away = [(event.label, event.ongoing) for event in told]
    see(4.8)
    finder.close()

    assert away == [("yoga", True), ("waving", True), ("waving", False)]
    assert {(event.label, round(event.duration, 1)) for event in ended(told)} == {
        ("waving", 1.8),  # twice: before the outage and after
        ("yoga", 6.6),
    }
    assert len(ended(told)) == 3


@pytest.mark.parametrize("fps", [1.0, 0.1])
def test_a_model_that_is_given_few_frames_has_no_gaps(fps):
    """An empty room is looked at once a second, and --sample-fps may be lower: a gap of 0.5 s isn't meant by that."""
    (end,) = ended(play(one([0.9] * 10 + [0.1] * 5, fps=fps), Rules(gap=0.5), labels=["yoga"]))
    assert end.duration == pytest.approx(9 / fps)


def test_falling_asleep_is_no_gap():
    series = one([0.9] * 10) + one([0.9] * 10, fps=1.0, start=2.8)
    assert len(ended(play(series, Rules(gap=0.5), labels=["yoga"]))) == 1


def test_only_candidates_become_events():
    series = [(i / 5, [0.4, 0.6, 0.9]) for i in range(20)]
    assert {event.label for event in play(series, Rules(off=0.2, on=0.3))} == set(LABELS)
    assert {event.label for event in play(series, Rules(off=0.2, on=0.3), candidates=[0, 2])} == {"walking", "yoga"}


def test_rules_change_while_it_runs():
    detector = EventDetector(["yoga"], Rules(on=0.9), "camera")
    steps = iter(one([0.6] * 100))
    assert [e for step in itertools.islice(steps, 20) for e in detector.step(prediction(*step))] == []
    detector.set_rules(Rules(on=0.6 - 1e-6))
    (began,) = detector.step(prediction(*next(steps)))
    assert began.ongoing
    detector.set_rules(Rules(on=0.9, off=0.7, gap=0.3))
    (end,) = [e for step in itertools.islice(steps, 3) for e in detector.step(prediction(*step))]
    assert end.id == began.id


def test_a_prediction_without_timestamp_counts_by_the_clock():
    wall = Wall()
    detector, events = EventDetector(["yoga"], Rules(), "camera", clock=wall), []
    for _ in range(10):
        events += detector.step(prediction(None, [0.9]))
        wall.now += 0.2
    (end,) = detector.finish()
    assert end.duration == pytest.approx(1.8) and end.start == pytest.approx(EPOCH, abs=1e-3)


def test_a_wall_clock_that_is_set_right_later():
    """A Pi without battery begins in the past, until the network tells it the time."""
    wall = Wall()
    detector = EventDetector(["yoga"], Rules(), "camera", clock=wall)
    events = []
    for timestamp, values in one([0.9] * 10 + [0.0] * 20 + [0.9] * 10 + [0.0] * 20):
        wall.now = timestamp + (EPOCH if timestamp > 4 else 0)
        events += detector.step(prediction(timestamp, values))
    first, second = ended(events)
    assert first.start == pytest.approx(0) and second.start == pytest.approx(EPOCH + 6.0)
    assert [first.duration, second.duration] == pytest.approx([1.8, 1.8])


def test_ids_are_short_safe_unique_and_sort_by_time():
    starts = np.cumsum(np.full(300, 5.0))
    series = [step for start in starts for step in one([0.9] * 8, start=start)]
    ids = [event.id for event in ended(play(series, labels=["yoga"]))]
    again = [event.id for event in ended(play(series, labels=["yoga"]))]  # another run at the same time
    assert len(ids) == 300 and len(set(ids + again)) == 600
    assert ids == sorted(ids) and ids == sorted(ids, key=str.lower)
    assert all(re.fullmatch(r"[0-9A-Z]{1,26}", id) for id in ids)


def test_ids_are_ulids():
    (event,) = ended(play(one([0.9] * 8), labels=["yoga"]))
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's; the first ten hold milliseconds since 1970
    assert len(event.id) == 26 and set(event.id) <= set(digits)
    assert sum(digits.index(digit) << 5 * place for place, digit in enumerate(event.id[9::-1])) == EPOCH * 1000


def test_steps_of_one_time_are_no_leap_back():
    twice = [step for step in one([0.9] * 8) for _ in range(2)]
    assert len(ended(play(twice, labels=["yoga"]))) == 1


@pytest.mark.parametrize("value", [0.6, 0.7, 0.9, 0.99])
def test_a_steady_probability_has_that_mean(value):
    """However the sums are rounded, a mean isn't above its peak."""
    for count in range(6, 80):
        (end,) = ended(play(one([value] * count), labels=["yoga"]))
        assert end.mean <= end.peak and end.mean == pytest.approx(value)


# Laws


def on_grid(most):
    """Probabilities in coarse steps, so that thresholds are often met exactly; as float32 has them, too."""
    return st.lists(st.integers(0, 16).map(lambda n: n / 16), min_size=0, max_size=most)


@st.composite
def some_rules(draw):
    on = draw(st.integers(1, 16))
    off = draw(st.integers(1, on))
    seconds = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 3.0])
    return Rules(on / 16, off / 16, draw(seconds), draw(seconds))


@st.composite
def some_series(draw, classes=3):
    """Steps mostly 0.25 s apart, with holes and with leaps back."""
    columns = [draw(on_grid(60)) for _ in range(classes)]
    length = min(map(len, columns))
    usual = st.sampled_from([0.25] * 12 + [0.5, 1.0, 1.25, 2.25, 7.0, -3.0])
    elapsed = draw(st.lists(usual, min_size=length, max_size=length))
    timestamps = list(itertools.accumulate(elapsed, initial=100.0))
    return [(timestamps[i], [column[i] for column in columns]) for i in range(length)]


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(some_series(), some_rules())
@example([(i * 0.25, [0.5, 0.0, 1.0]) for i in range(9)], Rules(0.5, 0.5, 2.0, 0.0))
def test_laws(series, rules):
    events = play(series, rules)
    began = {event.id: event for event in events if event.ongoing}
    assert len(events) == 2 * len(began)  # each begin has exactly one end,
    for i, event in enumerate(events):
        if not event.ongoing:
            first = began[event.id]
            assert events.index(first) < i  # later,
            constant = ("label", "source", "start", "position")  # of the same event
            assert all(getattr(first, name) == getattr(event, name) for name in constant)
            assert event.duration >= first.duration >= rules.minimum
            assert event.peak >= first.peak >= rules.on
            assert 0 < event.mean <= event.peak <= 1
            assert first.mean <= first.peak
    leaps = any(b[0] < a[0] for a, b in zip(series, series[1:]))
    for label in LABELS:
        own = [event for event in ended(events) if event.label == label]
        for one_event, next_event in zip(own, own[1:]):
            if not leaps:
                assert next_event.position - (one_event.position + one_event.duration) > rules.gap


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(some_series(), some_rules(), st.sampled_from([2.0, 4.0, 0.5]))
def test_probabilities_and_thresholds_scale_together(series, rules, factor):
    """Twice as low probabilities with twice as low thresholds are the same events."""
    low = min(1.0, 1 / factor)  # stays within 0..1
    scaled = [(timestamp, [value * low for value in values]) for timestamp, values in series]
    quieter = dataclasses.replace(rules, on=rules.on * low, off=rules.off * low)
    assert facts(play(scaled, quieter), 1 / low) == facts(play(series, rules))


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(some_series(), some_rules(), st.sampled_from([-64.0, 1024.0]))
def test_it_doesnt_matter_when_it_happens(series, rules, later):
    moved = [(timestamp + later, values) for timestamp, values in series]
    shifted = [
        (label, ongoing, position - later, duration, peak, mean)
        for label, ongoing, position, duration, peak, mean in facts(play(moved, rules))
    ]
    assert shifted == facts(play(series, rules))


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(some_series(), some_rules())
def test_labels_dont_disturb_each_other(series, rules):
    together = facts(ended(play(series, rules)))
    alone = [fact for index in range(len(LABELS)) for fact in facts(ended(play(series, rules, candidates=[index])))]
    assert sorted(together) == sorted(alone)


def facts(events, scale=1.0):
    return [
        (e.label, e.ongoing, e.position, e.duration, round(e.peak * scale, 9), round(e.mean * scale, 9)) for e in events
    ]


# A second opinion


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(some_series(), some_rules())
def test_compare_with_a_slow_reference(series, rules):
    expected = []
    for index, label in enumerate(LABELS):
        for start, end, values in reference([(t, values[index]) for t, values in series], rules):
            expected.append((label, start, end - start, max(values), math.fsum(values) / len(values)))
    found = [(e.label, e.position, e.duration, e.peak, e.mean) for e in ended(play(series, rules))]
    assert [event[:4] for event in sorted(found)] == [event[:4] for event in sorted(expected)]
    assert [event[4] for event in sorted(found)] == pytest.approx([event[4] for event in sorted(expected)])


def reference(series, rules):
    """Finds the events of one label, knowing the whole series: yields start, end and the probabilities between."""
    for part in continuous(series, rules.gap):
        # Stretches of steps at or above the lower threshold, as (first, last) indices; a hole parts them, too.
        stretches = []
        for i, (_, value, after_hole) in enumerate(part):
            if value >= rules.off:
                if i and part[i - 1][1] >= rules.off and not after_hole:
                    stretches[-1] = (stretches[-1][0], i)
                else:
                    stretches.append((i, i))
        while stretches:
            first, last = stretches.pop(0)
            if max(value for _, value, _ in part[first : last + 1]) < rules.on:
                continue
            while stretches and part[stretches[0][0]][0] - part[last][0] <= rules.gap:
                last = stretches.pop(0)[1]
            if part[last][0] - part[first][0] >= rules.minimum:
                yield part[first][0], part[last][0], [value for _, value, _ in part[first : last + 1]]


def continuous(series, gap):
    """Parts a series where its timestamps go backwards; says of each step whether it comes after a hole.

    A hole is longer than the gap, 1.5 s, and three times what was usual before.
    """
    parts, intervals = [[]], []
    for i, (timestamp, value) in enumerate(series):
        elapsed = timestamp - series[i - 1][0] if i else 0.0
        if elapsed < 0:
            parts.append([])
        parts[-1].append((timestamp, value, bool(intervals) and elapsed > max(gap, 1.5, 3 * intervals[-1])))
        intervals += [elapsed] if elapsed > 0 else []
    return parts


# Rules


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"on": 1.5}, "--event-on is 1.5"),
        ({"on": 0}, "--event-on is 0"),
        ({"off": 0.0}, "--event-off is 0.0"),
        ({"off": float("nan")}, "--event-off is nan"),
        ({"minimum": -1}, "--event-min is -1"),
        ({"minimum": True}, "--event-min is True"),
        ({"gap": 1e9}, "--event-gap is 1000000000.0"),
        ({"gap": "2"}, "--event-gap is '2'"),
        ({"off": 0.6}, "--event-off is 0.6 and --event-on 0.5"),
        ({"overrides": {"yoga": {"on": 0.2}}}, '[event."yoga"] off is 0.3 and [event."yoga"] on 0.2'),
        ({"overrides": {"yoga": {"off": 0.7}}}, '[event."yoga"] off is 0.7 and [event."yoga"] on 0.5'),
        ({"overrides": {"yoga": {"gap": -2.0}}}, '[event."yoga"] gap is -2.0'),
    ],
)
def test_rules_out_of_range(values, says):
    with pytest.raises(UserError) as caught:
        Rules(**values)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_label_of_its_own_rules():
    overrides = read_overrides({" TAI chi ": {"on": 1, "off": 0.9, "min": 3}}, LABELS)
    rules = Rules(overrides=overrides)
    assert rules.of("Tai Chi") == Rules(1.0, 0.9, 3.0, 2.0)
    assert rules.of("yoga").on == 0.5
    assert dataclasses.replace(rules, gap=1.0).of("Tai Chi") == Rules(1.0, 0.9, 3.0, 1.0)  # the flag still counts
    calm = [(i / 5, [0.8, 0.8, 0.0]) for i in range(30)]
    assert {event.label for event in play(calm, rules)} == {"walking"}
    wild = [(i / 5, [0.0, 1.0, 1.0]) for i in range(30)]
    assert [event.label for event in play(wild, rules) if event.ongoing] == ["yoga", "Tai Chi"]  # after 1 s, after 3 s


def test_gaps_of_different_lengths():
    rules = Rules(gap=1.0, overrides=read_overrides({"yoga": {"gap": 30}}, LABELS))
    hole = [(t, [0.9, 0.0, 0.9]) for t, _ in one([0] * 10) + one([0] * 10, start=20.0)]
    lengths = {label: [e.duration for e in ended(play(hole, rules)) if e.label == label] for label in LABELS}
    assert lengths == {"walking": pytest.approx([1.8, 1.8]), "Tai Chi": [], "yoga": pytest.approx([21.8])}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"jogga": {"on": 0.5}}, """[event."jogga"]: unknown class 'jogga'; did you mean 'yoga'?"""),
        ({"tai chee": {}}, "did you mean 'Tai Chi'?"),
        ({"drinking shots": {}}, "unknown class 'drinking shots'; --model-info FILE lists the names"),
        ({"yoga": {"of": 0.5}}, """[event."yoga"]: unknown key 'of'; did you mean 'off'?"""),
        ({"yoga": {"minimum": 2}}, "did you mean 'min'?"),
        ({"yoga": {"on": "0.5"}}, """[event."yoga"] on is '0.5'; it must be a number"""),
        ({"yoga": {"on": True}}, "it must be a number"),
        ({"yoga": 0.5}, """[event."yoga"] is 0.5; it must be a table"""),
        ("yoga", "event is 'yoga'"),
    ],
)
def test_overrides_that_are_wrong(table, says):
    with pytest.raises(UserError) as caught:
        read_overrides(table, LABELS)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_the_table_can_stand_beside_the_flags():
    """TOML has each key once: the rules of labels and the flag --events need different ones."""
    tomllib = pytest.importorskip("tomllib", reason="Python's own TOML reader came with 3.11")
    config = tomllib.loads(f'events = "a.db"\nevent-on = 0.6\n[{TABLE}."yoga"]\non = 0.7\n')
    assert read_overrides(config[TABLE], LABELS) == {"yoga": {"on": 0.7}}
