"""The figures as a picture: how often right, how soon, and what is taken for what."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from errors import OutputError
from evaluation.grid import columns_of
from evaluation.scores import Course, Scores
from evaluation.shares import Share
from evaluation.table import most_confused
from plotting import as_written, import_figure
from utils import write_whole

# Okabe and Ito's colours, which the colour-blind can tell apart; yellow last, since it is faint on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":")
_INK, _FAINT = "#333333", "#999999"
_NUMBERED = 16  # labels up to which the cells of a confusion matrix hold numbers
_NAMED = 60  # labels up to which rows and columns are named
_LISTED = 14  # pairs, and labels, that are listed beside a matrix without names
_LARGE = 6.8  # inches that such a matrix is high
_LONGEST = 28  # columns of a label
_LEAST = 0.5  # share of the clips that must be so long for a frame to be drawn


def write_plot(path: Path, scores: Sequence[Scores], conditions: str) -> None:
    """Draws the scores of all models.

    Args:
        path: Where to; its suffix is the format, such as .png.
        scores: At least one.
        conditions: What was measured and how, for the title.

    Raises:
        PackageError: matplotlib isn't installed.
        OutputError: The file can't be written, or its format isn't known.
    """
    matrices = [each for each in scores if each.confusion]
    across = min(len(matrices), 2 if max(len(each.confusion) for each in matrices) <= _NAMED else 1)
    sides = [_side(each) for each in matrices]
    rows = [max(sides[start : start + across]) for start in range(0, len(sides), across)]
    figure = import_figure("--plot")(figsize=(14, 5 + sum(rows) + 0.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    upper, *lower = figure.subfigures(1 + len(rows), 1, height_ratios=[5, *rows])
    figure.suptitle(as_written(conditions), x=0.01, ha="left", fontsize=11, color=_INK)
    _draw_curves(upper, scores)
    _draw_legend(upper, scores)
    for start, part in zip(range(0, len(matrices), across), lower):
        all_axes = part.subplots(1, 2 if across == 2 or sides[start] == _LARGE else 1, squeeze=False)[0]
        for axes in all_axes:
            axes.set_axis_off()
        for axes, each in zip(all_axes, matrices[start : start + across]):
            _draw_matrix(axes, each, _colour(scores.index(each)))
        if sides[start] == _LARGE:
            _list_worst(all_axes[1], matrices[start])
    picture = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a script that the font lacks is drawn as boxes
            figure.savefig(picture, format=path.suffix[1:] or "png", dpi=120)
    except ValueError as error:
        raise OutputError(f"can't draw {path}: {error}") from None
    write_whole(path, picture.getvalue())


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _line(number: int) -> Any:
    return _LINES[number % len(_LINES)]


def _draw_curves(part: Any, scores: Sequence[Scores]) -> None:
    streamed = [each for each in scores if each.streamed is not None and each.streamed.at_end.of]
    panels = part.subplots(1, 3 if streamed else 2, width_ratios=[1, 1.25, 1.25][: 3 if streamed else 2])
    _draw_totals(panels[0], scores)
    _draw_courses(panels[1], [each.fresh for each in scores], "Each clip from a fresh state")
    panels[1].set_xlabel("frame of the clip", color=_INK)
    if streamed:
        courses = [each.streamed for each in scores]
        _draw_courses(panels[2], courses, "After a cut to another action, never reset")
        panels[2].set_xlabel("frame after the cut", color=_INK)


def _draw_legend(part: Any, scores: Sequence[Scores]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=_colour(number), linestyle=_line(number), linewidth=2, label=as_written(each.contestant.name)
        )
        for number, each in enumerate(scores)
    ]
    dot = Line2D([], [], color=_FAINT, marker="o", linestyle="", label="median of the first right answer")
    part.legend(handles=[*handles, dot], loc="outside upper left", ncols=4, frameon=False, fontsize=10)


def _draw_totals(axes: Any, scores: Sequence[Scores]) -> None:
    """Draws the accuracies over all clips as points with their intervals."""
    kinds: list[tuple[str, list[Share | None]]] = [
        ("top-1 at\nthe clip's end", [each.fresh.at_end for each in scores]),
        ("top-1 by\nthe mean", [each.mean for each in scores]),
        ("top-5 at\nthe clip's end", [each.top5 for each in scores]),
        ("top-1 at the end,\nnever reset", [each.streamed.at_end if each.streamed else None for each in scores]),
    ]
    kinds = [(name, shares) for name, shares in kinds if any(share and share.of for share in shares)]
    for row, (_, shares) in enumerate(kinds):
        for number, share in enumerate(shares):
            if share is None or not share.of:
                continue
            place = row + (number - (len(scores) - 1) / 2) * 0.62 / len(scores)
            low, high = share.interval
            axes.plot([low * 100, high * 100], [place, place], color=_colour(number), linewidth=2.5, alpha=0.45)
            axes.plot(share.value * 100, place, "o", color=_colour(number), markersize=7)
            beside = (10, 0) if share.value < 0.5 else (-10, 0)
            end = high if share.value < 0.5 else low
            axes.annotate(
                f"{share.value * 100:.1f}",
                (end * 100, place),
                beside,
                textcoords="offset points",
                fontsize=9,
                va="center",
                ha="left" if share.value < 0.5 else "right",
                color=_INK,
            )
    axes.set_yticks(range(len(kinds)), [name for name, _ in kinds], fontsize=9)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("% of the clips, with 95 % intervals", color=_INK)
    axes.set_title("How often right", loc="left", fontsize=11, color=_INK)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    _tidy(axes)


def _draw_courses(axes: Any, courses: Sequence[Course | None], title: str) -> None:
    longest, faint = 2, 0.15 if len(courses) <= 3 else 0.06
    for number, course in enumerate(courses):
        shares = [] if course is None else [s for s in course.by_frame if s.of >= _LEAST * course.at_end.of and s.of]
        if not shares:
            continue
        frames = np.arange(1, len(shares) + 1)
        low, high = np.array([share.interval for share in shares]).T * 100
        axes.fill_between(frames, low, high, color=_colour(number), alpha=faint, linewidth=0)
        axes.plot(
            frames,
            [share.value * 100 for share in shares],
            color=_colour(number),
            linewidth=2,
            linestyle=_line(number),
        )
        median = course.first.median if course is not None else None
        if median is not None and median <= len(shares):
            height = np.interp(median, frames, [share.value * 100 for share in shares])
            axes.plot(median, height, "o", color=_colour(number), markersize=7, zorder=3)
        longest = max(longest, len(shares))
    axes.set_xlim(1, longest)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(-2, 102)
    axes.set_ylabel("right, % of the clips", color=_INK)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.grid(color="#dddddd", linewidth=0.7)
    _tidy(axes)


def _side(each: Scores) -> float:
    """Returns the height in inches that a confusion matrix needs."""
    rows = len(each.confusion)
    return 2.6 + 0.44 * rows if rows <= _NUMBERED else 2.0 + 0.17 * rows if rows <= _NAMED else _LARGE


def _draw_matrix(axes: Any, each: Scores, colour: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    axes.set_axis_on()
    labels = each.contestant.labels
    rows = sorted(each.confusion)
    outside = each.columns()[len(rows) :]
    counts = np.array(
        [
            [*(each.confusion[row][column] for column in rows), sum(each.confusion[row][other] for other in outside)]
            for row in rows
        ]
    )
    counts = counts if outside else counts[:, :-1]
    shares = counts / counts.sum(axis=1, keepdims=True)
    colours = LinearSegmentedColormap.from_list("", ["#ffffff", colour])
    norm = PowerNorm(1 if len(rows) <= _NAMED else 0.4, 0, 1)  # of many, single clips off the diagonal would be lost
    axes.imshow(shares, cmap=colours, norm=norm, interpolation="nearest", aspect="equal")
    axes.set_title(
        f"{as_written(each.contestant.name)}: answers at the clip's end", loc="left", fontsize=11, color=_INK
    )
    if len(rows) <= _NAMED:
        size = 9 if len(rows) <= _NUMBERED else _LARGE
        names = [_shortened(labels[row]) for row in rows]
        axes.set_xticks(
            range(counts.shape[1]),
            names + ["another label"] * bool(outside),
            fontsize=size,
            rotation=45,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks(range(len(rows)), names, fontsize=size)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    axes.set_xlabel("answer", color=_INK)
    axes.set_ylabel("true label", color=_INK)
    if len(rows) <= _NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                white = shares[row, column] > 0.55
                axes.text(
                    column,
                    row,
                    str(count),
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if white else _INK,
                    fontweight="bold" if row == column else "normal",
                )
    axes.tick_params(length=0, colors=_INK)
    axes.spines[:].set_color("#cccccc")


def _list_worst(axes: Any, each: Scores) -> None:
    """Lists what a matrix without names can't tell: the pairs that are confused most often, and the hardest labels."""
    pairs = most_confused(each, _LISTED)
    hardest = sorted(each.confusion, key=lambda place: each.of_label(place).value)[:_LISTED]
    names = [f"{_shortened(true)} → {_shortened(answer)}" for true, answer, _, _ in pairs]
    counts = [f"{count} of {clips}" for _, _, count, clips in pairs]
    labels = [_shortened(each.contestant.labels[place]) for place in hardest]
    shares = [f"{each.of_label(place).right} of {each.of_label(place).of}" for place in hardest]
    left = ["most often confused: true label → answer, clips", *names, "", "hardest: label, clips told", *labels]
    right = ["", *counts, "", "", *shares]
    for across, lines in ((0, left), (0.72, right)):
        axes.text(across, 1, "\n".join(lines), fontsize=9, va="top", color=_INK, linespacing=1.6)


def _shortened(label: str) -> str:
    return as_written(label if columns_of(label) <= _LONGEST else label[: _LONGEST - 1] + "…")


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#cccccc")
    axes.tick_params(colors=_INK, length=3)
    axes.set_axisbelow(True)
