"""The report as pictures: what was called what, and whether probabilities mean what they say."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Callable

import numpy as np

from evaluation.grid import columns_of
from plotting import as_written, import_figure
from teaching.calibrate import Bin, calibration_error
from teaching.report import Calibration, Report, percent
from utils import write_whole

# Of Okabe and Ito's colours, which the colour-blind can tell apart.
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_INK, _FAINT = "#333333", "#bbbbbb"
_NUMBERED = 30  # labels up to which the cells hold numbers
_LONGEST = 24  # columns of a label


def write_confusion(path: Path, report: Report) -> None:
    """Draws the confusion matrix as a .png: of each label, the share of its clips that were called what.

    Raises:
        PackageError: matplotlib isn't installed.
        OutputError: The file can't be written.
    """
    rows = len(report.labels)
    side = 2.2 + 0.42 * rows if rows <= _NUMBERED else 14.0
    _write(path, (max(5.5, side + 1.2), max(3.6, side)), lambda axes: _draw_confusion(axes, report))


def write_reliability(path: Path, calibration: Calibration) -> None:
    """Draws how often answers are right against how sure they are, as a .png.

    Raises:
        PackageError: matplotlib isn't installed.
        OutputError: The file can't be written.
    """
    _write(path, (5.6, 5.4), lambda axes: _draw_reliability(axes, calibration))


def _write(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> None:
    figure = import_figure("--report")(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(length=0, colors=_INK)
    draw(axes)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks
        figure.savefig(buffer, format="png", dpi=120)
    write_whole(path, buffer.getvalue())


def _draw_confusion(axes: Any, report: Report) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    rows = len(report.labels)
    counts = report.confusion if report.other is not None else report.confusion[:, :rows]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("", ["#ffffff", _BLUE]), vmin=0, vmax=1)
    names = [_shortened(label) for label in report.labels]
    size = 9 if rows <= _NUMBERED else 5
    columns = names + ([report.other] if report.other is not None else [])
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(rows), names, fontsize=size)
    axes.set_xlabel("called, at the clip's end", color=_INK)
    axes.set_ylabel("shown", color=_INK)
    axes.spines[:].set_color(_FAINT)
    if rows <= _NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour, weight = "white" if shares[row, column] > 0.55 else _INK, "bold" if row == column else "normal"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontweight=weight)
    accuracy = report.accuracy
    low, high = accuracy.interval
    axes.set_title(
        f"{accuracy.right} of {accuracy.of} clips right: {percent(accuracy.value)}, {100 * low:.0f} to {percent(high)}",
        fontsize=11,
        color=_INK,
    )


def _draw_reliability(axes: Any, calibration: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color=_FAINT, linestyle=":", zorder=1)
    axes.annotate(
        "sure as often as right", (0.05, 0.07), rotation=45, color="#888888", fontsize=9, rotation_mode="anchor"
    )
    if calibration.temperature > 1:
        _draw_bins(axes, calibration.before, _ORANGE, "--", "without the temperature")
        label = f"with the temperature, {calibration.temperature:.2g}"
    else:
        label = "held-out clips"
    _draw_bins(axes, calibration.after, _BLUE, "-", label)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_aspect("equal")
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.set_xlabel("how sure: probability of the answer", color=_INK)
    axes.set_ylabel("how often right", color=_INK)
    axes.set_title("Do the probabilities mean what they say?", fontsize=11, color=_INK, loc="left")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=9, labelcolor=_INK)


def _draw_bins(axes: Any, bins: list[Bin], colour: str, line: str, label: str) -> None:
    """Draws a dot a bin; its area is the share of the answers that are in it."""
    places = [each.confidence for each in bins], [each.right for each in bins]
    text = f"{label}: off by {percent(calibration_error(bins))} on average"
    axes.plot(*places, color=colour, linestyle=line, linewidth=1.5, zorder=2)
    axes.plot([], [], color=colour, linestyle=line, marker="o", label=text)
    sizes = [20 + 480 * each.share for each in bins]
    axes.scatter(*places, s=sizes, color=colour, alpha=0.75, linewidth=0, zorder=3, clip_on=False)


def _shortened(label: str) -> str:
    return as_written(label if columns_of(label) <= _LONGEST else label[: _LONGEST - 1] + "…")
