"""The figures as text for a terminal: a column a model."""

from __future__ import annotations

from typing import Callable, Iterator, Sequence

from evaluation.clips import key_of
from evaluation.grid import grid
from evaluation.running import places_of
from evaluation.scores import Course, Delay, Scores
from evaluation.shares import Share
from models import known_model

MOST_LABELS = 20
"""Labels that are listed; of more, the hardest ones."""
MOST_ROWS = 12
"""Rows of a confusion matrix; of larger ones, the pairs that are confused most often, as many."""

_FRAMES = (5, 10)  # at which the share of right answers is shown
_BLOCK = 3  # models beside each other


def table(scores: Sequence[Scores]) -> str:
    """Returns all of it."""
    blocks = [scores[start : start + _BLOCK] for start in range(0, len(scores), _BLOCK)]
    parts = [part for block in blocks for part in (_summary(block), _labels(block))]
    return "\n".join([*parts, *(_confusion(each) for each in scores)])


def percent(share: Share | None) -> str:
    """Returns the share and its interval: " 92.0 % (81-97)"."""
    if share is None or not share.of:
        return "    -"
    low, high = share.interval
    return f"{share.value * 100:5.1f} % ({low * 100:.0f}-{high * 100:.0f})"


def most_confused(each: Scores, most: int) -> list[tuple[str, str, int, int]]:
    """Returns label, what it was taken for, on how many clips, of how many; most clips first."""
    labels = each.contestant.labels
    return [
        (labels[true], labels[answer], count, each.of_label(true).of) for true, answer, count in each.confused()[:most]
    ]


def _summary(block: Sequence[Scores]) -> str:
    def row(title: str, cell: Callable[[Scores], str]) -> list[str]:
        return [title, *map(cell, block)]

    rows = [row("", lambda each: each.contestant.name), row("clips", lambda each: f"{each.clips:5}")]
    rows += [["each clip from a fresh state"], *_course([each.fresh for each in block])]
    rows += [
        row("  top-1 by the mean over the clip", lambda each: percent(each.mean)),
        row("  top-5 at the clip's end", lambda each: percent(each.top5)),
    ]
    if any(each.unknown is not None for each in block):
        rows.append(row("  called unknown, but another label", lambda each: percent(each.unknown)))
    if any(map(_published, block)):
        rows.append(row("  published top-1, Kinetics-600", _published))
    if any(each.streamed is not None and each.streamed.at_end.of for each in block):
        rows += [["each clip after another one, never reset"], *_course([each.streamed for each in block])]
    return grid(rows)


def _course(courses: Sequence[Course | None]) -> Iterator[list[str]]:
    """Yields the rows of a state's section."""
    yield ["  top-1 at the clip's end", *(percent(course and course.at_end) for course in courses)]
    for frame in _FRAMES:
        shares = [each.by_frame[frame - 1] if each and len(each.by_frame) >= frame else None for each in courses]
        yield [f"  top-1 at frame {frame}", *map(percent, shares)]
    yield ["  first right at frame, median", *(_frames(course and course.first) for course in courses)]
    yield ["  right for good from frame, median", *(_frames(course and course.for_good) for course in courses)]


def _published(each: Scores) -> str:
    model = known_model(each.contestant.path)
    return f"{model.top1:3}   %" if model and model.top1 else ""


def _frames(delay: Delay | None) -> str:
    if delay is None or not delay.of:
        return "    -"
    return "never, on half of them" if delay.median is None else f"{delay.median:5g}"


def _labels(block: Sequence[Scores]) -> str:
    """Returns how often each label was told, and what it was taken for most often; of many labels the hardest."""
    rows = _by_label(block)
    shown = sorted(rows, key=lambda row: (_mean(row, block), row[0])) if len(rows) > MOST_LABELS else rows
    head = ["label, at the clip's end", "clips", *(each.contestant.name for each in block)]
    lines = [head + ["taken for"] * (len(block) == 1)]
    for title, places in shown[:MOST_LABELS]:
        clips = max(each.of_label(place).of for each, place in zip(block, places) if place is not None)
        lines.append([title, f"{clips:5}", *_cells(block, places)])
    left = len(rows) - MOST_LABELS
    rest = f"... and {left} labels that are told more often; --json FILE has them all\n"
    return grid(lines) + (rest if left > 0 else "")


def _by_label(block: Sequence[Scores]) -> list[tuple[str, list[int | None]]]:
    """Returns each label that the clips have, with its place in each model; None in a model that wasn't shown it."""
    contestants = [each.contestant for each in block]
    titles: dict[tuple[int | None, ...], str] = {}
    for folder in (folder for contestant in contestants for folder in contestant.truth):
        places = zip(block, places_of(folder, contestants))
        shown = tuple(place if place in each.confusion else None for each, place in places)
        title = next((each.labels[place] for each, place in zip(contestants, shown) if place is not None), None)
        if title is not None:
            titles.setdefault(shown, title)
    return [(title, list(shown)) for shown, title in sorted(titles.items(), key=lambda row: key_of(row[1]))]


def _mean(row: tuple[str, list[int | None]], block: Sequence[Scores]) -> float:
    shares = [each.of_label(place).value for each, place in zip(block, row[1]) if place is not None]
    return sum(shares) / len(shares)


def _cells(block: Sequence[Scores], places: Sequence[int | None]) -> list[str]:
    cells = [percent(None if place is None else each.of_label(place)) for each, place in zip(block, places)]
    if len(block) == 1:  # there is room
        wrong = [(answer, count) for true, answer, count in block[0].confused() if true == places[0]]
        cells += [f"{block[0].contestant.labels[answer]}: {count}" for answer, count in wrong[:1]]
    return cells


def _confusion(each: Scores) -> str:
    """Returns the matrix; for more than MOST_ROWS labels, the pairs that are confused most often."""
    labels = each.contestant.labels
    trues = sorted(each.confusion, key=lambda place: key_of(labels[place]))
    if len(trues) > MOST_ROWS:
        pairs = most_confused(each, MOST_ROWS)
        rows = [[f"  {true}", f"taken for {answer}", f"{count} of {clips}"] for true, answer, count, clips in pairs]
        return f"{each.contestant.name}: most often confused\n{grid(rows)}"
    letters = [chr(ord("a") + number) for number in range(len(trues))]
    outside = any(answer not in each.confusion for answers in each.confusion.values() for answer in answers)
    rows = [["", "", *letters, *["other"] * outside]]
    for letter, true in zip(letters, trues):
        answers = each.confusion[true]
        counts = [answers[answer] for answer in trues]
        counts += [sum(answers.values()) - sum(counts)] * outside
        rows.append([f"  {labels[true]}", letter, *(str(count) if count else "." for count in counts)])
    return f"{each.contestant.name}: answers at the clip's end; a row for each true label\n{grid(rows, right=True)}"
