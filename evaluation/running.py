"""Runs models on clips: each from a fresh state, and all of a stream one after another without a reset.

A clip is decoded once for all models. Several streams run at a time, in threads: decoding and arithmetic let go of
Python's lock, and a thread takes the memory of its models only, where a process would load every package again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Callable, Mapping, Sequence

import numpy as np

from errors import SourceError
from evaluation.clips import Clip
from sources import Frame
from sources.sampler import Sampler
from teaching.clips import one_line, read_clip
from video_classifier import Prediction, VideoClassifier

TOP = 5
"""Labels that are kept of an answer."""


@dataclass(frozen=True, eq=False)
class Contestant:
    """A model to be measured.

    Attributes:
        name: What the user calls it; no two alike.
        path: The file.
        fps: Frames a second that it sees.
        labels: The names that its answers may have: its classes, and "unknown" if it was taught to say that.
        truth: For each folder of clips that it has a label for, the label's place.
        load: Loads it anew, set up as classify.py would do it.
        runtime: What runs it, in words.
        compiled: Whether its compiled form runs, and not the file as it is.
        memory: About how many seconds it remembers; None for all.
        fit: How frames become square.
    """

    name: str
    path: Path
    fps: float
    labels: Sequence[str]
    truth: Mapping[str, int]
    load: Callable[[], VideoClassifier]
    runtime: str
    compiled: bool = False
    memory: float | None = None
    fit: str = "crop"


def places_of(folder: str, contestants: Sequence[Contestant]) -> tuple[int | None, ...]:
    """Returns the place that a folder's label has in each model; None in one without it."""
    return tuple(contestant.truth.get(folder) for contestant in contestants)


@dataclass(frozen=True)
class Answers:
    """What a model said of a clip; classes are places among its labels.

    Attributes:
        fresh: The most probable class at each frame, from a fresh state on.
        top: The most probable classes after the last of these frames with their probabilities, best first.
        mean: The most probable class by the mean of the probabilities of all these frames.
        streamed: The most probable class at each frame, the state being what the stream's earlier clips left; None
            if that wasn't run.
    """

    fresh: list[int]
    top: list[tuple[int, float]]
    mean: int
    streamed: list[int] | None


@dataclass(frozen=True)
class Outcome:
    """What became of a clip.

    Attributes:
        clip: The clip.
        problem: Why it couldn't be read; None if it could.
        answers: Of each contestant; None from one that has no such label, and where there was a problem.
    """

    clip: Clip
    problem: str | None
    answers: Sequence[Answers | None]


class Runner:
    """Models that one thread runs.

    Args:
        contestants: The models.
        streaming: Whether to run them on streams, too, which takes as long and as much memory again.
    """

    def __init__(self, contestants: Sequence[Contestant], streaming: bool) -> None:
        self._contestants = contestants
        self._fresh = [contestant.load() for contestant in contestants]
        self._streamed = [contestant.load() if streaming else None for contestant in contestants]

    def run(self, stream: Sequence[Clip], stop: threading.Event, tell: Callable[[Outcome], None]) -> list[Outcome]:
        """Returns what became of each clip of a stream.

        Args:
            stream: The clips in their order.
            stop: Ends the run early when it is set.
            tell: Given each outcome at once.

        Raises:
            ModelError: A model gives no numbers.
        """
        for classifier in self._streamed:
            if classifier is not None:
                classifier.reset()
        outcomes = []
        for clip in stream:
            if stop.is_set():
                break
            outcomes.append(self._run_clip(clip, stop))
            tell(outcomes[-1])
        return outcomes

    def _run_clip(self, clip: Clip, stop: threading.Event) -> Outcome:
        takes = [
            _Take(contestant.fps, fresh, streamed) if clip.folder in contestant.truth else None
            for contestant, fresh, streamed in zip(self._contestants, self._fresh, self._streamed)
        ]
        try:
            with contextlib.closing(read_clip(clip.path)) as frames:
                for frame in frames:
                    for take in takes:
                        if take is not None:
                            take.see(frame)
                    if stop.is_set():
                        break
        except (SourceError, OSError) as error:
            problem = str(error).removeprefix(os.path.abspath(clip.path)).lstrip(": ")  # its name will stand before it
            return Outcome(clip, one_line(problem), [None] * len(takes))
        return Outcome(clip, None, [None if take is None else take.answers() for take in takes])


class _Take:
    """One model on one clip."""

    def __init__(self, fps: float, fresh: VideoClassifier, streamed: VideoClassifier | None) -> None:
        fresh.reset()
        self._sampler = Sampler(fps)
        self._classifier = fresh
        self._streamer = streamed
        self._fresh: list[int] = []
        self._streamed: list[int] = []
        self._sum = np.zeros(len(fresh.labels))
        self._last: Prediction | None = None

    def see(self, frame: Frame) -> None:
        """Gives the model a frame, if it is due."""
        if not self._sampler.due(frame.timestamp):
            return
        self._last = self._classifier.step(frame.image)
        self._fresh.append(self._answer(self._last.probabilities, self._last.logits))
        self._sum += self._last.probabilities
        if self._streamer is not None:
            streamed = self._streamer.step(frame.image)
            self._streamed.append(self._answer(streamed.probabilities, streamed.logits))

    def answers(self) -> Answers | None:
        """Returns what it said; None if the run was stopped before the first frame."""
        if self._last is None:
            return None
        unknown = len(self._classifier.labels)  # the place of an answer that is no class
        top = [(each.index if each.index >= 0 else unknown, each.probability) for each in self._last.top]
        streamed = self._streamed if self._streamer is not None else None
        return Answers(self._fresh, top, self._answer(self._sum / len(self._fresh), self._sum), streamed)

    def _answer(self, probabilities: np.ndarray, scores: np.ndarray) -> int:
        """Returns the place of the answer that the program would show: the highest score's, or that of "unknown"."""
        rule = self._classifier.unknown
        if rule is None or not rule.applies(probabilities):
            return int(scores.argmax())
        return len(self._classifier.labels) if rule.place is None else rule.place


def run_all(
    runners: Sequence[Runner], streams: Sequence[Sequence[Clip]], tell: Callable[[Outcome], None]
) -> list[list[Outcome]]:
    """Runs all streams, as many at a time as there are runners; returns the outcomes of each.

    Args:
        runners: Ready to run.
        streams: Clips in their order.
        tell: Given each outcome at once, by several threads.

    Raises:
        ModelError: A model gives no numbers.
    """
    free: SimpleQueue[Runner] = SimpleQueue()
    for runner in runners:
        free.put(runner)
    stop = threading.Event()

    def run(stream: Sequence[Clip]) -> list[Outcome]:
        runner = free.get()
        try:
            return runner.run(stream, stop, tell)
        finally:
            free.put(runner)

    with ThreadPoolExecutor(len(runners)) as executor:
        try:
            return list(executor.map(run, streams))
        except BaseException:  # Ctrl-C, too: the threads end with the frame at hand
            stop.set()
            raise
