"""What is remembered of a run: compared with sums over all of its predictions, and weighed."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Event
from timeline.axis import of_clock, of_source, ticks
from timeline.history import History, Spans
from video_classifier import Category, Prediction

LABELS = ["sit", "stand", "run"]


def predict(timestamp, probabilities, labels=LABELS):
    probabilities = np.asarray(probabilities, np.float32)
    best = int(probabilities.argmax())
    top = [Category(labels[best], float(probabilities[best]), best)]
    return Prediction(timestamp, 0.01, 1, top, np.log(probabilities + 1e-9), probabilities)


def remember(times, probabilities, **options):
    history = History(**options)
    history.follow(LABELS, np.arange(3))
    for timestamp, row in zip(times, probabilities):
        history.add(predict(timestamp, row))
    return history


def event(number, label, start, duration, ongoing=False):
    return Event(str(number), label, "x", 0.0, start, duration, 0.9, 0.8, ongoing)


def test_a_short_run_is_kept_as_it_was():
    times = [7.0, 7.2, 7.41, 7.6, 7.83]
    rows = [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0]]
    history = remember(times, rows)
    for number, label in enumerate(LABELS):
        line = history.line(label)
        assert line.times == pytest.approx(times)
        assert line.means == pytest.approx([row[number] for row in rows])
        assert (line.peaks == line.means).all()
        assert history.latest(label) == pytest.approx(rows[-1][number])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_merged_bins_keep_means_and_peaks(bins, steps, seed):
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.uniform(0.05, 0.6, steps))
    rows = generator.dirichlet([0.3] * 3, steps).astype(np.float32)
    history = remember(times, rows, bins=bins)
    width = history.width
    place = np.floor((times - times[0]) / width).astype(int)
    members = [place == number for number in np.unique(place)]
    assert len(members) <= bins
    for number, label in enumerate(LABELS):
        line = history.line(label)
        whole = np.isfinite(line.means)
        assert line.times[whole] == pytest.approx([times[each].mean() for each in members])
        assert line.means[whole] == pytest.approx([rows[each, number].mean() for each in members], abs=1e-6)
        assert line.peaks[whole] == pytest.approx([rows[each, number].max() for each in members], abs=1e-6)


def test_a_month_takes_no_more_memory_than_an_hour():
    """A step in ten minutes, so that the test is short; bins know nothing of how many steps they hold."""
    labels = [f"label {number}" for number in range(600)]
    generator = np.random.default_rng(1)
    rows = [generator.dirichlet([0.02] * 600).astype(np.float32) for _ in range(97)]
    minutes = 30 * 24 * 60
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        history = History()
        history.follow(labels, np.arange(600))
        spans = Spans(history)
        used = []
        for minute in range(0, minutes, 10):
            history.add(predict(minute * 60.0, rows[minute % 97], labels))
            spans.add(event(minute, "sit", minute * 60.0, 60.0))
            if minute in (15_000, minutes - 10):
                used.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert used[-1] < 4e6 and used[-1] < used[0] + 1e6
    line = history.line(labels[0])
    assert len(line.times) <= 1200 and line.times[-1] > (minutes - 10) * 60 - history.width
    assert len(spans.all()) <= 2000
    assert spans.all()[0].start == 0 and spans.all()[-1].end >= (minutes - 10) * 60.0


def test_five_steps_a_second_for_an_hour():
    """One label is there for a minute in the middle; its peak, its mean and its time are still right at the end."""
    times = np.arange(0, 3600, 0.2)
    busy = (times >= 1800) & (times < 1860)
    rows = np.where(busy[:, None], [0.05, 0.9, 0.05], [0.98, 0.01, 0.01]).astype(np.float32)
    history = remember(times, rows, bins=100)
    line = history.line("stand")
    above = line.times[line.means > 0.45]
    assert above.min() >= 1800 - history.width and above.max() <= 1860 + history.width
    assert line.peaks.max() == pytest.approx(0.9) and len(line.times) <= 100
    assert history.leaders(2) == ["sit", "stand"]


def test_a_short_action_leads_more_than_noise():
    times = np.arange(0, 3600, 1.0)
    rows = np.where((times > 50)[:, None] & (times < 60)[:, None], [0.0, 0.95, 0.05], [0.9, 0.02, 0.08])
    assert remember(times, rows).leaders(2) == ["sit", "stand"]
    assert remember(times, rows).leaders(3) == ["sit", "stand", "run"]


def test_only_what_is_followed_is_remembered():
    history = History()
    history.follow(LABELS, np.array([0, 2]))
    history.add(predict(1.0, [0.2, 0.7, 0.1]))
    assert history.leaders(5) == ["sit", "run"] and not history.line("stand").means.any()


def test_without_labels_the_top_is_remembered():
    history = History()
    history.add(predict(1.0, [0.2, 0.7, 0.1]))
    assert history.leaders(5) == ["stand"]


def test_who_leads_now_is_shown_even_if_it_led_least():
    rows = [[0.9, 0.05, 0.05]] * 50 + [[0.05, 0.9, 0.05]] * 40 + [[0.1, 0.1, 0.8]]
    history = remember(np.arange(91) / 5, rows)
    assert history.leaders(2) == ["sit", "stand"] and history.shown(2) == ["sit", "run"]


def test_a_gap_breaks_the_line():
    history = remember([0.0, 0.2, 0.4, 20.0, 20.2], [[0.8, 0.1, 0.1]] * 5)
    line = history.line("sit")
    assert np.isnan(line.means).tolist() == [False, False, False, True, False, False]
    assert 0.4 < line.times[3] < 20.0


def test_a_file_that_starts_again_goes_on():
    history = remember([0.0, 1.0, 2.0, 0.0, 1.0], [[0.8, 0.1, 0.1]] * 5)
    assert history.now == 3.0 and (np.diff(history.line("sit").times) > 0).all()
    spans = Spans(history)
    spans.add(event(1, "sit", 0.0, 1.0))
    assert [(span.start, span.end) for span in spans.all()] == [(2.0, 3.0)]


def test_a_window_forgets():
    history = remember(np.arange(0, 100, 0.2), [[0.9, 0.1, 0.0]] * 250 + [[0.0, 0.3, 0.7]] * 250, span=20.0)
    assert 79.0 <= history.line("run").times[0] <= 80.2
    assert history.leaders(5) == ["run", "stand"] and history.width == 0.1


def test_an_event_that_lasts_reaches_to_now():
    history = remember(np.arange(0, 10, 0.2), [[0.9, 0.1, 0.0]] * 50)
    spans = Spans(history)
    spans.add(event(1, "sit", 4.0, 1.0, ongoing=True))
    assert [(span.start, span.end) for span in spans.all()] == [(4.0, pytest.approx(9.8))]
    spans.add(event(1, "sit", 4.0, 3.0))
    assert [(span.start, span.end) for span in spans.all()] == [(4.0, 7.0)]


def test_a_model_of_other_labels_goes_on():
    history = remember([0.0, 0.2], [[0.9, 0.1, 0.0]] * 2)
    history.follow(["fly", "sit"], np.arange(2))
    history.add(predict(0.4, [0.3, 0.7], ["fly", "sit"]))
    assert history.line("sit").means == pytest.approx([0.9, 0.9, 0.7])
    assert history.line("fly").means == pytest.approx([0, 0, 0.3])


def test_names_of_times(monkeypatch):
    assert [of_source(t) for t in (0, 59, 90, 3600, 5025, 200000)] == [
        "0:00", "0:59", "1:30", "1:00:00", "1:23:45", "55:33:20"
    ]  # fmt: skip
    assert of_source(2 * 86400 + 6 * 3600, 6 * 3600) == "2 d 6 h" and of_source(86400, 3600) == "1 d"
    monkeypatch.setenv("TZ", "Asia/Kolkata")  # five hours and a half
    time.tzset()
    try:
        noon = 1795242600  # 2026-11-21 12:00 there
        assert [of_clock(noon, step) for step in (1, 60, 86400)] == ["12:00:00", "12:00", "21 Nov"]
        assert [name for _, name in ticks(noon - 13 * 3600, noon + 60, 6, True)] == [
            "21 Nov", "03:00", "06:00", "09:00", "12:00"
        ]  # fmt: skip
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.floats(0, 1e6), st.floats(0.5, 4e7), st.integers(2, 12), st.booleans())
def test_ticks_lie_on_the_axis_and_have_room(start, length, most, clock):
    found = ticks(start, start + length, most, clock)
    assert len(found) <= most and all(-1e-6 <= moment - start <= length + 1e-6 for moment, _ in found)
    assert len(found) == len({moment for moment, _ in found})
    if length > 2:
        assert len(ticks(start, start + length, 11, clock)) >= 2
