"""What benchmark.py shows: the machine, the table, the JSON file, the plot."""

from __future__ import annotations

import json
import os
import platform
from itertools import groupby
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

import cv2
import numpy as np

from errors import OutputError
from measuring import COMPILED_FLOAT, COMPILED_INT8, PLAIN_LOOP, PUBLISHED
from plotting import import_figure
from tuning import available_cores, cpu_name
from utils import write_whole

Figures = dict  # as in speed.Row.figures, and "ratio"

_COLOURS = {PLAIN_LOOP: "#9a9a9a", PUBLISHED: "#d98032", COMPILED_FLOAT: "#2f6db3", COMPILED_INT8: "#3a9a5b"}
_HEAD = """\
                           step ms         invoke   step/   times    memory MB    load  first
  variant        threads   p50     p95     ms p50  invoke  faster  running peak     ms  label ms
"""


def machine() -> dict[str, Any]:
    """Returns what the figures were measured on."""
    return {
        "cpu": cpu_name(),
        "architecture": platform.machine(),
        "cores": available_cores(),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def describe(facts: dict[str, Any]) -> str:
    """Returns the machine as two lines of text."""
    return (
        f"{facts['cpu']} ({facts['architecture']}), {facts['cores']} cores, load {facts['load']:.1f} at the start\n"
        f"Python {facts['python']}, numpy {facts['numpy']}, OpenCV {facts['opencv']}, {facts['system']}"
    )


def compare(rows: Iterable[Figures]) -> Iterator[Figures]:
    """Yields the rows with "ratio": how many times faster a step is than in the first row of its model and runtime."""
    for _, group in groupby(rows, _group):
        block = list(group)
        first = block[0].get("step_p50_ms")
        for row in block:
            yield {**row, "ratio": first / row["step_p50_ms"]} if first and "problem" not in row else row


def table(rows: Sequence[Figures]) -> str:
    """Returns the rows as text, at most 100 columns, a block for each model and runtime."""
    text = ""
    for (model, runtime), group in groupby(rows, _group):
        text += f"\n{model} on {runtime}\n{_HEAD}"
        for row in group:
            text += f"  {row['variant']:16}{row['threads']:4}" + _cells(row) + "\n"
    return text


def write_json(path: Path, rows: Sequence[Figures], facts: dict[str, Any], settings: dict[str, Any]) -> None:
    """Writes everything that was measured.

    Raises:
        OutputError: The file can't be written.
    """
    write_whole(path, json.dumps({"machine": facts, "settings": settings, "rows": rows}, indent=1).encode())


def write_plot(path: Path, rows: Sequence[Figures], facts: dict[str, Any]) -> None:
    """Draws the median step of each variant, with one thread, as bars.

    Raises:
        PackageError: matplotlib isn't installed.
        OutputError: The file can't be written.
    """
    groups = {key: list(group) for key, group in groupby(sorted((r for r in rows if "ratio" in r), key=_group), _group)}
    figure = import_figure("--plot")(figsize=(8, 1.2 + 1.5 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), 1, squeeze=False, sharex=True)[:, 0] if groups else []
    for axis, ((model, runtime), group) in zip(axes, groups.items()):
        fewest = min(row["threads"] for row in group)
        bars = [row for row in group if row["threads"] == fewest][::-1]
        drawn = axis.barh(
            [row["variant"] for row in bars],
            [row["step_p50_ms"] for row in bars],
            color=[_COLOURS[row["variant"]] for row in bars],
        )
        labels = [f"{row['step_p50_ms']:.1f} ms, {row['ratio']:.1f} times" for row in bars]
        axis.bar_label(drawn, labels, padding=4, fontsize=9)
        axis.margins(x=0.25)
        axis.set_title(f"{model} on {runtime}", loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    if groups:
        axes[-1].set_xlabel(f"milliseconds a step, median, one thread; {facts['cpu']}", fontsize=9)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:  # ValueError: a format that it doesn't know
        raise OutputError(f"can't write the plot {path}: {error}") from None


def _group(row: Figures) -> tuple[str, str]:
    return row["model"], row["runtime"]


def _cells(row: Figures) -> str:
    if "problem" in row:
        problem = " ".join(row["problem"].split())
        return f"      {problem[:68]}{'...' if len(problem) > 68 else ''}"
    overhead = row["step_p50_ms"] / row["invoke_p50_ms"]
    ratio = f"{row['ratio']:.1f}" if "ratio" in row else "-"
    return (
        f"{row['step_p50_ms']:10.2f}{row['step_p95_ms']:8.2f}{row['invoke_p50_ms']:11.2f}{overhead:8.2f}{ratio:>8}"
        f"{row['memory_mb']:9.0f}{row['peak_memory_mb']:5.0f}{row['load_ms']:7.0f}{row['first_label_ms']:10.0f}"
    )
