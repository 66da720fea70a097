"""The metrics of the web server, read by the parser of Prometheus' own client."""

from __future__ import annotations

import math

import pytest

from web.metrics import exposition

parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client: requirements-dev.txt")

ODD = 'rtsp://camera/"a\\b"\nc'
STATUS = {
    "uptime": 12.5,
    "memory_mb": 100.0,
    "temperature": 48.5,
    "paused": False,
    "sources": [
        {
            "name": "demo", "frames": 300, "steps": 50, "camera_fps": 29.9, "sample_fps": 5.0, "wanted_fps": 5.0,
            "no_signal": 0.0, "step_ms": {"p50": 12.0, "p95": 16.0},
        },
        {
            "name": ODD, "frames": 0, "steps": 0, "camera_fps": 0.0, "sample_fps": 0.0, "wanted_fps": 5.0,
            "no_signal": 7.5, "step_ms": None,
        },
    ],
}  # fmt: skip


def samples(text: str) -> dict[tuple, float]:
    """Returns the values by name and labels."""
    families = list(parser.text_string_to_metric_families(text))
    assert all(family.documentation and family.type in ("counter", "gauge") for family in families)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_values_and_labels() -> None:
    found = samples(exposition(STATUS, {"yoga": 3, 'a "b" \\ c\nd': 1}, {"picture": 2, "updates": 0}))
    assert found == {
        ("movinet_frames_total", ("source", "demo")): 300,
        ("movinet_frames_total", ("source", ODD)): 0,
        ("movinet_steps_total", ("source", "demo")): 50,
        ("movinet_steps_total", ("source", ODD)): 0,
        ("movinet_camera_fps", ("source", "demo")): 29.9,
        ("movinet_camera_fps", ("source", ODD)): 0,
        ("movinet_sample_fps", ("source", "demo")): 5,
        ("movinet_sample_fps", ("source", ODD)): 0,
        ("movinet_wanted_fps", ("source", "demo")): 5,
        ("movinet_wanted_fps", ("source", ODD)): 5,
        ("movinet_step_seconds", ("quantile", "0.5"), ("source", "demo")): 0.012,
        ("movinet_step_seconds", ("quantile", "0.95"), ("source", "demo")): 0.016,
        ("movinet_no_signal_seconds", ("source", "demo")): 0,
        ("movinet_no_signal_seconds", ("source", ODD)): 7.5,
        ("movinet_events_total", ("label", "yoga")): 3,
        ("movinet_events_total", ("label", 'a "b" \\ c\nd')): 1,
        ("movinet_viewers", ("of", "picture")): 2,
        ("movinet_viewers", ("of", "updates")): 0,
        ("movinet_resident_memory_bytes",): 100_000_000,
        ("movinet_temperature_celsius",): 48.5,
        ("movinet_paused",): 0,
        ("movinet_uptime_seconds",): 12.5,
    }


def test_what_is_unknown_is_left_out() -> None:
    assert samples(exposition({}, {}, {})) == {}
    found = samples(exposition({"temperature": None, "uptime": math.nan, "memory_mb": None}, {}, {}))
    assert list(found) == [("movinet_uptime_seconds",)]


def test_labels_are_bounded() -> None:
    pytest.importorskip("numpy")
    from web_program import make_event

    from timeline.colours import Looks
    from web.history import EventList

    events = EventList(Looks())
    for number in range(1000):
        events.add(make_event(number, f"label {number}"))
    ended = events.ended()
    assert len(ended) <= 101 and sum(ended.values()) == 1000 and ended["other"] == 900
