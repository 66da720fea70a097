"""The statistics in the text format of Prometheus."""

from __future__ import annotations

import math
from typing import Any, Iterable, Mapping, Tuple

_PREFIX = "movinet_"
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}
_Sample = Tuple[Mapping[str, str], Any]


def exposition(status: Mapping[str, Any], events: Mapping[str, int], viewers: Mapping[str, int]) -> str:
    """Returns the metrics, version 0.0.4 of the text format.

    Args:
        status: As `Instance.status` gives it; what is missing or None there is left out.
        events: How many have ended, by label.
        viewers: How many look, by what they look at.
    """
    sources = status.get("sources", [])

    def of_sources(key: str) -> list[_Sample]:
        return [({"source": source["name"]}, source.get(key)) for source in sources]

    steps: list[_Sample] = [
        ({"source": source["name"], "quantile": quantile}, _seconds((source.get("step_ms") or {}).get(key)))
        for source in sources
        for quantile, key in (("0.5", "p50"), ("0.95", "p95"))
    ]
    memory = status.get("memory_mb")

    def alone(value: Any) -> list[_Sample]:
        return [({}, value)]

    families: list[tuple[str, str, str, list[_Sample]]] = [
        ("frames_total", "counter", "Frames taken from the source.", of_sources("frames")),
        ("steps_total", "counter", "Steps of the model.", of_sources("steps")),
        ("camera_fps", "gauge", "Frames a second that the source delivers.", of_sources("camera_fps")),
        ("sample_fps", "gauge", "Frames a second that the model sees.", of_sources("sample_fps")),
        ("wanted_fps", "gauge", "Frames a second that the model should see.", of_sources("wanted_fps")),
        ("step_seconds", "gauge", "Quantiles of the time of a step.", steps),
        ("no_signal_seconds", "gauge", "For how long there has been no picture.", of_sources("no_signal")),
        ("events_total", "counter", "Events that have ended.", [({"label": k}, n) for k, n in events.items()]),
        ("viewers", "gauge", "Who watches over the network.", [({"of": k}, n) for k, n in viewers.items()]),
        ("resident_memory_bytes", "gauge", "Memory of the program.", alone(memory and round(memory * 1e6))),
        ("temperature_celsius", "gauge", "Of the processor.", alone(status.get("temperature"))),
        ("paused", "gauge", "1 while the program is paused.", alone(status.get("paused"))),
        ("uptime_seconds", "gauge", "Since the program started.", alone(status.get("uptime"))),
    ]
    return "".join(line for family in families for line in _lines(*family))


def _lines(name: str, kind: str, help: str, samples: Iterable[_Sample]) -> Iterable[str]:
    given = [(labels, value) for labels, value in samples if value is not None]
    if given:
        yield f"# HELP {_PREFIX}{name} {help}\n# TYPE {_PREFIX}{name} {kind}\n"
    for labels, value in given:
        inner = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
        yield f"{_PREFIX}{name}{{{inner}}} {_spell(value)}\n" if inner else f"{_PREFIX}{name} {_spell(value)}\n"


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _spell(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else "NaN"
