"""A whole run as a picture, drawn with matplotlib."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from languages import shorten
from plotting import import_figure
from timeline.axis import of_clock, of_source, ticks
from timeline.chart import Chart, Course
from timeline.colours import GRID, GROUND, QUIET, TEXT

WHAT = "a timeline as .png or .svg"
"""What this draws, for messages."""

_WIDTH, _HEIGHT = 13.0, 4.4  # inches, without events
_LANE = 0.24  # inches of a label's events
_DPI = 100
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.62, 2.55, 0.55, 0.45  # inches around the chart; the names stand at the right
_TICKS = 11
_LONGEST = 26  # columns of a name
_GROUND = 0.02  # probability below which a line is as good as at 0
_SPREAD = 0.05  # difference of peak and mean from which on both are drawn
# The first has nearly all letters but those of East Asia; matplotlib takes each letter from the first that has it.
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans KR")


def draw_picture(chart: Chart, kind: str) -> bytes:
    """Returns the picture of a run.

    Args:
        chart: What to draw.
        kind: "png" or "svg".
    """
    figure_class = import_figure(WHAT)
    import matplotlib

    with warnings.catch_warnings(), matplotlib.rc_context(_settings(chart.font)):
        warnings.filterwarnings("ignore", "Glyph")  # a script that no font here has is drawn as boxes
        lanes = [course for course in chart.courses if course.spans]
        height = _HEIGHT + _LANE * len(lanes) + (0.12 if lanes else 0.0)
        figure = figure_class(figsize=(_WIDTH, height), facecolor=GROUND)
        below = _LANE * len(lanes) + 0.12
        axes = _add_axes(figure, _BOTTOM + (below if lanes else 0.0), height - _TOP, chart)
        _draw_courses(axes, chart)
        _draw_title(figure, chart)
        if lanes:
            axes.tick_params(labelbottom=False)
            _draw_lanes(_add_axes(figure, _BOTTOM, _BOTTOM + _LANE * len(lanes), chart), lanes)
        file = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(file, format=kind, dpi=_DPI, facecolor=GROUND, metadata=metadata)
    return file.getvalue()


def _settings(font: Path | None) -> dict[str, Any]:
    from matplotlib.font_manager import fontManager

    files = {Path(each.fname) for each in fontManager.ttflist}
    if font is not None and font not in files:  # the list that matplotlib keeps may be older than the font
        fontManager.addfont(font)
    names = [each.name for each in fontManager.ttflist if font is not None and Path(each.fname) == font]
    here = {each.name for each in fontManager.ttflist}
    return {
        "font.family": list(dict.fromkeys([name for name in _FONTS if name in here] + names)) or ["sans-serif"],
        "font.size": 10,
        "svg.fonttype": "none",  # text stays text: searchable, and a tenth of the size
        "svg.hashsalt": "timeline",
    }


def _add_axes(figure: Any, bottom: float, top: float, chart: Chart) -> Any:
    """Adds axes over the whole time; bottom and top in inches."""
    width, height = figure.get_size_inches()
    place = (_LEFT / width, bottom / height, 1 - (_LEFT + _RIGHT) / width, (top - bottom) / height)
    axes = figure.add_axes(place, facecolor="none")
    named = ticks(chart.start, chart.end, _TICKS, chart.clock)
    axes.set_xticks([moment for moment, _ in named], [name for _, name in named])
    axes.set_xlim(chart.start, chart.end)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=QUIET, length=0, pad=6)
    return axes


def _draw_courses(axes: Any, chart: Chart) -> None:
    from matplotlib.lines import Line2D

    for place, course in reversed(list(enumerate(chart.courses))):
        line, look = course.line, course.look
        if np.nanmax(line.peaks - line.means) >= _SPREAD:
            axes.fill_between(line.times, line.means, line.peaks, color=look.colour, alpha=0.22, linewidth=0)
        visible = _visible(line.means)
        axes.plot(line.times, visible, color=look.colour, **_dashes(course), linewidth=1.8, zorder=20 - place)
        lone = _lone(visible)
        if lone.any():
            axes.plot(line.times[lone], visible[lone], "o", color=look.colour, markersize=3.5, zorder=20 - place)
    axes.set_ylim(0, 1.0)
    axes.margins(0)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    for drawn in axes.lines:
        drawn.set_clip_on(False)  # half of a line at 0 or 100 % would be cut away
    handles = [
        Line2D([], [], color=course.look.colour, **_dashes(course), linewidth=3, label="name")
        for course in chart.courses
    ]
    if handles:
        legend = axes.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            borderaxespad=0,
            borderpad=0,
            handlelength=2.2,
            labelspacing=0.75,
            labelcolor=TEXT,
            frameon=False,
        )
        legend.set_in_layout(False)
        for text, course in zip(legend.get_texts(), chart.courses):
            # Only now: matplotlib before 3.10 leaves out lines whose label begins with "_".
            text.set_text(_shortened(course.name))


def _lone(values: np.ndarray) -> np.ndarray:
    """Returns which values, bool [n], have no neighbour, so that no line shows them."""
    there = np.concatenate([[False], np.isfinite(values), [False]])
    return there[1:-1] & ~there[:-2] & ~there[2:]


def _visible(means: np.ndarray) -> np.ndarray:
    """Leaves out what lies on the ground line: of many labels there, one would hide the others."""
    low = np.concatenate([[True], means < _GROUND, [True]])
    return np.where(low[:-2] & low[1:-1] & low[2:], np.nan, means)


def _dashes(course: Course) -> dict[str, Any]:
    pattern = course.look.pattern
    return {"linestyle": (0, pattern), "dash_capstyle": "butt"} if pattern else {"solid_joinstyle": "round"}


def _draw_lanes(axes: Any, lanes: list[Course]) -> None:
    """Draws the events, a row a label."""
    start, end = axes.get_xlim()
    least = (end - start) / 600  # a short event of a long run is still to be seen
    for row, course in enumerate(lanes):
        bars = [(span.start, max(span.end - span.start, least)) for span in course.spans]
        axes.broken_barh(bars, (row - 0.32, 0.64), facecolor=course.look.colour, linewidth=0)
        axes.annotate(
            _shortened(course.name),
            (1, row),
            (14, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            color=QUIET,
            fontsize=8.5,
        )
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_yticks([(len(lanes) - 1) / 2], ["events"])


def _draw_title(figure: Any, chart: Chart) -> None:
    width, height = figure.get_size_inches()
    across, up = _LEFT / width, 1 - 0.2 / height
    figure.text(across, up, _plain(chart.title), color=TEXT, fontsize=12, weight="bold", va="top")
    if chart.clock:
        step = 1 if chart.end - chart.start < 600 else 60
        days = [of_clock(moment, 86400) for moment in (chart.start, chart.end)]
        first, last = (of_clock(moment, step) for moment in (chart.start, chart.end))
        span = f"{days[0]}, {first} to {last}" if days[0] == days[1] else f"{days[0]}, {first} to {days[1]}, {last}"
    else:
        span = of_source(chart.end - chart.start)
    figure.text(1 - _RIGHT / width, up, span, color=QUIET, fontsize=10, va="top", ha="right")


def _shortened(label: str) -> str:
    return _plain(shorten(label, _LONGEST))


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib takes two of them for a formula
