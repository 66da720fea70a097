"""What a fit is worth: what was measured on clips that it did not see, as text and as JSON."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from evaluation.grid import grid
from evaluation.shares import Share
from teaching.calibrate import Bin, calibration_error
from teaching.clips import one_line
from teaching.unknown import MOST_CALLED

FEW = 5
"""Clips below which a label has too few."""

_ENOUGH = 10
_WIDTH = 80
_MATRIX = 20  # labels up to which the text holds the whole confusion matrix
_LISTED = 20  # clips, and pairs, that the text lists
_CONFUSED = 2  # clips at least that make a pair hard to tell apart


@dataclass(frozen=True)
class Wrong:
    """A clip that was taken for something else.

    Attributes:
        path: Of the clip.
        label: What it shows.
        said: What it was called at its last moment.
        probability: How sure that was, 0..1.
    """

    path: Path
    label: str
    said: str
    probability: float


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities mean what they say.

    Attributes:
        temperature: What the logits were divided by.
        before: The reliability without it.
        after: And with it.
    """

    temperature: float
    before: list[Bin]
    after: list[Bin]


@dataclass(frozen=True)
class Unknown:
    """When an action isn't named.

    Attributes:
        label: The background.
        threshold: Least probability of an action that is named.
        called: Share of the background's moments that are called an action nevertheless.
        missed: Share of the actions' moments that become unknown by it.
    """

    label: str
    threshold: float
    called: float
    missed: float


@dataclass(frozen=True)
class Untaught:
    """How well what is unlike all clips is told from the rest.

    Attributes:
        known: Clips called unknown at their last moment, of those that were tested.
        untaught: The same of clips whose label was held out altogether, one label after another but the background.
    """

    known: Share
    untaught: Share


@dataclass(frozen=True)
class Kept:
    """The old classes that stay beside the new ones.

    Attributes:
        count: How many.
        replaced: Old ones whose place a new label of the same name takes.
        taken: Clips that were called one of the old ones at their last moment.
        offset: What was added to the new classes' logits.
    """

    count: int
    replaced: list[str]
    taken: int
    offset: float


@dataclass(frozen=True, eq=False)
class Report:
    """All that was measured. A clip's answer is the one at its last moment.

    Attributes:
        labels: The new labels.
        clips: Clips of each.
        confusion: int [labels, labels + 1], clips that were tested: by what they show (row) and what they were called;
            the last column is "unknown", or "one of the old classes" where they are kept.
        wrong: The clips that were called something else, by label.
        strength: The C that was chosen.
        calibration: None if no clip could be tested.
        unknown: None if there is no background, or no clip of it could be tested.
        background: Name of the background, if there is one.
        kept: None if the old classes are not kept.
        untaught: None if there is no class "unknown".
    """

    labels: list[str]
    clips: list[int]
    confusion: np.ndarray
    wrong: list[Wrong]
    strength: float
    calibration: Calibration | None
    unknown: Unknown | None
    background: str | None
    kept: Kept | None
    untaught: Untaught | None = None

    @property
    def other(self) -> str | None:
        """What stands over the last column; None if no answer can be there."""
        if self.kept is not None:
            return "an old class"
        return None if self.untaught is None else "unknown"

    @property
    def accuracy(self) -> Share:
        """Clips that were right, of those that were tested."""
        return Share(int(np.trace(self.confusion)), int(self.confusion.sum()))

    def of_label(self, label: int) -> Share:
        """The same among the clips of one label."""
        return Share(int(self.confusion[label, label]), int(self.confusion[label].sum()))


def inseparable(report: Report) -> list[tuple[int, int]]:
    """Returns the pairs of labels that can't be told apart, as far as the clips show.

    Two rules; for both at least two clips of the pair were confused. One: of the clips of one label, more were called
    the other than guessing would give (the interval lies above 1 / labels). Two: of the clips of both that were called
    one of the two, it isn't sure that more than half were right (the interval reaches below 1 / 2).
    """
    counts = report.confusion
    guessing = 1 / len(report.labels)
    found = []
    for a in range(len(report.labels)):
        for b in range(a + 1, len(report.labels)):
            confused = int(counts[a, b] + counts[b, a])
            right = int(counts[a, a] + counts[b, b])
            one_way = any(
                Share(int(counts[x, y]), int(counts[x].sum())).interval[0] > guessing for x, y in ((a, b), (b, a))
            )
            if confused >= _CONFUSED and (one_way or Share(right, right + confused).interval[0] < 0.5):
                found.append((a, b))
    return found


def text(report: Report, data: str = "clips") -> str:
    """Returns the report as lines of at most about 80 columns.

    Args:
        report: It.
        data: The clips' folder, as the user wrote it, for commands.
    """
    parts = ["".join(_accuracy(report))]
    if report.accuracy.of:
        parts += [_per_label(report), _confusion(report), "".join(_wrong(report))]
        parts += ["".join(_probabilities(report))]
    parts += ["".join(_advice(report, data))]
    return "\n".join(part for part in parts if part)


def to_json(report: Report) -> dict[str, Any]:
    """Returns what JSON can hold of it."""
    calibration = report.calibration
    return {
        "accuracy": report.accuracy.to_json(),
        "labels": [
            {"label": label, "clips": clips, **report.of_label(place).to_json()}
            for place, (label, clips) in enumerate(zip(report.labels, report.clips))
        ],
        "confusion": report.confusion.tolist(),
        "wrong": [
            {"clip": str(each.path), "label": each.label, "said": each.said, "probability": round(each.probability, 4)}
            for each in report.wrong
        ],
        "inseparable": [[report.labels[a], report.labels[b]] for a, b in inseparable(report)],
        "strength": report.strength,
        "calibration": calibration and {
            "temperature": calibration.temperature,
            "error_before": calibration_error(calibration.before),
            "error_after": calibration_error(calibration.after),
            "bins": [vars(each) for each in calibration.after],
        },
        "unknown": report.unknown and dict(vars(report.unknown)),
        "untaught": report.untaught and {name: share.to_json() for name, share in vars(report.untaught).items()},
        "kept": report.kept and dict(vars(report.kept)),
    }  # fmt: skip


def percent(share: float) -> str:
    """Returns a share with as many digits as a few dozen clips deserve."""
    return f"{100 * share:.0f} %"


def _accuracy(report: Report) -> Iterator[str]:
    share = report.accuracy
    yield f"{_count(sum(report.clips), 'clip')} of {len(report.labels)} labels"
    if not share.of:
        yield "\nnothing could be tested: that takes two clips of a label, since one is held out\n"
        return
    low, high = share.interval
    yield f", {share.of} tested, each by what the others taught\n"
    yield f"\naccuracy {percent(share.value)}: {share.right} of {share.of} clips right at their end"
    yield f" (95 % interval {100 * low:.0f} to {percent(high)})\n"


def _per_label(report: Report) -> str:
    rows = [["label", "clips", "right", "", "95 % interval"]]
    for place, (label, clips) in enumerate(zip(report.labels, report.clips)):
        share = report.of_label(place)
        if share.of:
            low, high = share.interval
            rows.append([label, str(clips), str(share.right), percent(share.value)])
            rows[-1].append(f"{100 * low:.0f} to {100 * high:3.0f} %")
        else:
            rows.append([label, str(clips), "-", "-", "not tested"])
    return grid(rows, right=True)


def _confusion(report: Report) -> str:
    """The matrix, numbered; of many labels only what was confused most often."""
    size = len(report.labels)
    if size > _MATRIX:
        pairs = [
            (int(count), report.labels[row], _called(report, column))
            for (row, column), count in np.ndenumerate(report.confusion)
            if count and row != column
        ]
        lines = [f"  {label} called {said}: {count}" for count, label, said in sorted(pairs, key=lambda p: -p[0])]
        return "\n".join(["confused most often", *lines[:_LISTED]]) + "\n" if lines else ""
    columns = size + (report.other is not None)
    other = "unknown" if report.kept is None else "old"
    rows = [["shown, called:", *(str(place + 1) for place in range(size)), *[other] * (columns - size)]]
    for place, label in enumerate(report.labels):
        counts = report.confusion[place, :columns]
        rows.append([f"{place + 1:2d} {label}", *(str(count) if count else "." for count in counts)])
    return grid(rows, right=True)


def _called(report: Report, column: int) -> str:
    return report.labels[column] if column < len(report.labels) else str(report.other)


def _wrong(report: Report) -> Iterator[str]:
    if report.wrong:
        yield "wrong\n"
    for each in report.wrong[:_LISTED]:
        yield f"  {one_line(str(each.path))} called {each.said} ({percent(each.probability)})\n"
    if len(report.wrong) > _LISTED:
        yield f"  and {len(report.wrong) - _LISTED} more\n"


def _probabilities(report: Report) -> Iterator[str]:
    calibration, unknown, kept = report.calibration, report.unknown, report.kept
    if calibration is not None:
        before, after = calibration_error(calibration.before), calibration_error(calibration.after)
        softened = f" ({percent(before)} without the temperature, {calibration.temperature:.2g})"
        yield f"probabilities are off by {percent(after)} on average{softened if calibration.temperature > 1 else ''}"
        yield "\n" if report.untaught is None else ";\nthey leave room for actions that weren't taught\n"
    if report.untaught is not None:
        known, untaught = report.untaught.known, report.untaught.untaught
        yield f"what is unlike all clips is unknown: {known.right} of {known.of} held-out clips"
        if untaught.of:
            yield f";\nuntaught actions: each label held out in turn: {untaught.right} of {untaught.of} unknown"
        yield "\n"
    if unknown is not None:
        named = f"{percent(unknown.called)} of {unknown.label!r} is called an action"
        if unknown.threshold:
            unnamed = percent(unknown.missed)
            also = " too" if report.untaught is not None else ""
            yield f"unknown{also} is an action below {unknown.threshold:.3g}: {unnamed} of the actions; {named}\n"
        else:
            yield f"{named}, so that no threshold is needed\n"
    if kept is not None:
        yield f"kept: {_count(kept.count, 'old class', 'old classes')}; {_count(kept.taken, 'clip')} called one of them"
        yield f"; replaced by yours: {', '.join(kept.replaced)}\n" if kept.replaced else "\n"


def _advice(report: Report, data: str) -> Iterator[str]:
    for label, clips in zip(report.labels, report.clips):
        if clips < 2:
            yield _line(f"{label!r} has 1 clip: it was learnt but could not be tested; collect {_ENOUGH}")
    few = [f"{label!r} ({clips})" for label, clips in zip(report.labels, report.clips) if 2 <= clips < FEW]
    if few:
        yield _line(f"too few clips to be sure of: {', '.join(few)}; collect {_ENOUGH} of each")
    for a, b in inseparable(report):
        yield _line(
            f"{report.labels[a]!r} and {report.labels[b]!r} can't be told apart: make them one label, or collect more "
            "clips that show the difference"
        )
    if report.background is None:
        yield _line(
            "no background: everything seen is called one of your actions"
            f"{'' if report.untaught is None else ', or unknown'}; collect clips of nobody and of nothing happening:"
        )
        yield f"  python train.py collect --label background --data {shlex.quote(data)}\n"
    elif report.unknown is None:
        yield _line(
            f"{report.background!r} could not be tested, so no action is too unlikely to be named; collect {_ENOUGH}"
        )
    elif report.unknown.called > MOST_CALLED:
        yield _line(f"no threshold keeps {report.background!r} from being called an action; collect more clips of it")


def _line(advice: str) -> str:
    return textwrap.fill(advice, _WIDTH, initial_indent="! ", subsequent_indent="  ", break_on_hyphens=False) + "\n"


def _count(number: int, what: str, several: str = "") -> str:
    return f"{number} {what if number == 1 else several or what + 's'}"
