"""The settings and statistics of a running program, as aligned lines for a terminal."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from utils import printable

_UNITS = {
    "memory": "s",
    "sample-fps": "fps",
    "max-cpu": "%",
    "event-min": "s",
    "event-gap": "s",
}
_NOTHING = {
    "labels": "those of the model",
    "sample-fps": "the model's own",
    "allow": "all",
    "deny": "none",
}


def settings_table(settings: Mapping[str, Any]) -> str:
    """Returns a line per flag, with its value as one would type it, and the unit."""
    return align([(name, setting_text(name, value)) for name, value in settings.items()])


def setting_text(name: str, value: Any) -> str:
    """Returns a setting's value as one would type it, with the unit, or what it means that there is none."""
    if value is None or value == []:
        return _NOTHING.get(name, "off")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {_UNITS[name]}" if name in _UNITS else text


def status_table(status: Mapping[str, Any]) -> str:
    """Returns the program's statistics, a line each, and below them a table of its sources."""
    threads = f"{status['threads']} thread{'s' * (status['threads'] != 1)}"
    temperature = status["temperature"]
    lines = [
        ("instance", f"{status['name']}, process {status['pid']}, up for {_duration(status['uptime'])}"),
        ("model", f"{status['model']} on {status['runtime']}, {threads}"),
        ("memory", f"{status['memory_mb']:.0f} MB"),
        *([] if temperature is None else [("temperature", f"{temperature:.0f} °C")]),
        ("recording", status["recording"] or "no"),
        ("events", str(status["events"])),
        *([("paused", "yes")] if status["paused"] else []),
    ]
    heads = ("source", "camera", "model", "step (p50)", "(p95)", "frames", "steps", "sees")
    return f"{align(lines)}\n\n{align([heads, *map(_source, status['sources'])], right=range(1, 7))}"


def align(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Returns the rows as lines of columns with two spaces in between.

    Args:
        rows: Texts by column.
        right: The columns whose texts end below each other.
    """
    rows = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


def _source(source: Mapping[str, Any]) -> tuple[str, ...]:
    times = source["step_ms"] or {}
    if source["no_signal"]:
        seen = f"no signal for {_duration(source['no_signal'])}"
    else:
        best = (source["prediction"] or {}).get("top", ())
        seen = ", ".join(f"{one['label']} {one['probability']:.0%}" for one in best)
        seen += f"  ({source['note']})" if source["note"] else ""
    return (
        source["name"],
        _rate(source["camera_fps"]),
        f"{_rate(source['sample_fps'], '')} of {_rate(source['wanted_fps'])}",
        _milliseconds(times.get("p50")),
        _milliseconds(times.get("p95")),
        str(source["frames"]),
        str(source["steps"]),
        seen,
    )


def _rate(value: float | None, unit: str = " fps") -> str:
    return "-" if value is None else f"{value:.1f}{unit}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _duration(seconds: float) -> str:
    """Returns "41 s", "12 min", "3 h 5 min" or "8 d 3 h"."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes == 0:
        return f"{seconds:.0f} s"
    if hours == 0:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days == 0 else f"{days} d {hours % 24} h"
