"""Counts what was right: at the end of a clip, along it, for each label, and after each cut of a stream."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Sequence

from evaluation.running import TOP, Answers, Contestant, Outcome
from evaluation.shares import Share
from teaching.answer import is_unknown


@dataclass(frozen=True)
class Delay:
    """How many frames it took until an answer was right, over several clips.

    Attributes:
        median: Frames, counted from 1; None if it never was on half of the clips.
        reached: Clips on which it ever was.
        of: All clips.
    """

    median: float | None
    reached: int
    of: int

    def to_json(self) -> dict[str, Any]:
        """Returns what JSON can hold of it."""
        return {"median": self.median, "reached": self.reached, "of": self.of}


@dataclass(frozen=True)
class Course:
    """Answers along clips.

    Attributes:
        at_end: Right at the last frame.
        by_frame: Right at the 1st, 2nd, ... frame, of the clips that are so long.
        first: Until the answer is right for the first time.
        for_good: Until it is right and stays so to the clip's end.
    """

    at_end: Share
    by_frame: list[Share]
    first: Delay
    for_good: Delay


@dataclass(frozen=True)
class Scores:
    """What one model achieved.

    Attributes:
        contestant: The model.
        fresh: Each clip from a fresh state.
        top5: The label among the five most probable at a clip's end; None for a model of five labels or fewer.
        mean: The label most probable by the mean over a clip's frames.
        confusion: Answers at the clips' ends, by true class: how often each class was answered.
        streamed: Clips that follow one of another label in a stream that is never reset; None if that wasn't run.
        streams: Number of streams.
    """

    contestant: Contestant
    fresh: Course
    top5: Share | None
    mean: Share
    confusion: dict[int, Counter[int]]
    streamed: Course | None
    streams: int

    @property
    def clips(self) -> int:
        """Number of clips."""
        return self.fresh.at_end.of

    @property
    def unknown(self) -> Share | None:
        """Clips of other labels called unknown at their ends; None if the model can't say that."""
        place = next((place for place, label in enumerate(self.contestant.labels) if is_unknown(label)), None)
        if place is None:
            return None
        others = [answers for true, answers in self.confusion.items() if true != place]
        return Share(sum(answers[place] for answers in others), sum(sum(answers.values()) for answers in others))

    def of_label(self, place: int) -> Share:
        """Returns how often a label was told at the clips' ends."""
        answers = self.confusion.get(place, Counter())
        return Share(answers[place], sum(answers.values()))

    def columns(self) -> list[int]:
        """Returns the classes of the clips, ascending, then those that were only answered."""
        rows = sorted(self.confusion)
        return rows + sorted({answer for answers in self.confusion.values() for answer in answers}.difference(rows))

    def confused(self) -> list[tuple[int, int, int]]:
        """Returns true class, answered class and number of clips, most of them first; right answers are left out."""
        pairs = [
            (true, answer, count)
            for true, answers in self.confusion.items()
            for answer, count in answers.items()
            if answer != true
        ]
        return sorted(pairs, key=lambda pair: (-pair[2], pair[:2]))


def score(number: int, contestant: Contestant, streams: Sequence[Sequence[Outcome]]) -> Scores:
    """Counts a contestant's right answers.

    Args:
        number: Its place among the answers of each outcome.
        contestant: The same.
        streams: From running.run_all; at least one clip has an answer of this contestant.
    """
    known = [pair for stream in streams for pair in _answered(number, contestant, stream)]
    confusion: dict[int, Counter[int]] = {}
    for true, answers in known:
        confusion.setdefault(true, Counter())[answers.fresh[-1]] += 1
    top5 = Share.count(true in [place for place, _ in answers.top] for true, answers in known)
    cuts = [
        (true, answers.streamed)
        for stream in streams
        for true, answers in _after_cuts(list(_answered(number, contestant, stream)))
        if answers.streamed is not None
    ]
    ran = any(answers.streamed is not None for _, answers in known)
    return Scores(
        contestant=contestant,
        fresh=follow([(true, answers.fresh) for true, answers in known]),
        top5=top5 if len(contestant.labels) > TOP else None,
        mean=Share.count(answers.mean == true for true, answers in known),
        confusion=confusion,
        streamed=follow(cuts) if ran else None,
        streams=len(streams),
    )


def follow(runs: Sequence[tuple[int, Sequence[int]]]) -> Course:
    """Counts along clips, each given as its true class and the answers at its frames, at least one."""
    longest = max((len(answers) for _, answers in runs), default=0)
    delays = [frames_until(true, answers) for true, answers in runs]
    return Course(
        at_end=Share.count(answers[-1] == true for true, answers in runs),
        by_frame=[
            Share.count(answers[frame] == true for true, answers in runs if len(answers) > frame)
            for frame in range(longest)
        ],
        first=_delay(first for first, _ in delays),
        for_good=_delay(for_good for _, for_good in delays),
    )


def frames_until(true: int, answers: Sequence[int]) -> tuple[int | None, int | None]:
    """Returns the number of the first frame with the right answer, and of the first from which on all are right.

    Frames are counted from 1; None stands for never.
    """
    right = [answer == true for answer in answers]
    first = right.index(True) + 1 if True in right else None
    wrong_at_end = right[::-1].index(False) if False in right else len(right)
    return first, len(right) - wrong_at_end + 1 if wrong_at_end else None


def _delay(frames: Iterable[int | None]) -> Delay:
    delays = [math.inf if each is None else each for each in frames]
    median = statistics.median(delays) if delays else math.inf
    return Delay(median if math.isfinite(median) else None, sum(map(math.isfinite, delays)), len(delays))


def _answered(number: int, contestant: Contestant, stream: Sequence[Outcome]) -> Iterator[tuple[int, Answers]]:
    """Yields the true class and the answers to each clip that the contestant was shown."""
    for outcome in stream:
        answers = outcome.answers[number]
        if answers is not None:
            yield contestant.truth[outcome.clip.folder], answers


def _after_cuts(shown: Sequence[tuple[int, Answers]]) -> Iterator[tuple[int, Answers]]:
    """Yields the clips that follow one of another class."""
    for (before, _), (true, answers) in zip(shown, shown[1:]):
        if before != true:
            yield true, answers
