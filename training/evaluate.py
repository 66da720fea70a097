"""Measures the demo model as the program runs it: the .tflite file, frame by frame, with the default memory.

Everything is drawn from seeds that training never uses.
"""

from __future__ import annotations

import sys

from training.starting import check_packages

if __name__ == "__main__":
    check_packages(
        "python -m training.evaluate", ("numpy", "cv2"), "run ./setup.sh, then .venv/bin/python -m training.evaluate"
    )

import json
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Sequence

import cv2
import numpy as np

from errors import UserError
from flags import Formatter, Parser
from progress import track
from signals import Signals
from sources.play import ACTIONS, Play
from training.clips import FPS, HELD_OUT, MEMORY, ages_of
from utils import say, write_whole
from video_classifier import VideoClassifier

NAME = "movinet_a0_demo"
"""The model's file, without its suffix."""
CLIPS = 700
"""Fresh clips: one action each, in a room of its own."""
STREAMS = 300
"""Streams of changing actions, each of _STREAM_TIME seconds."""
LONG_STREAMS = 4
"""Streams of _LONG frames."""

_COMMAND = "python -m training.evaluate"
_CLIP_FRAMES = 10
_STREAM_TIME = 30.0  # seconds
_LONG = 6000  # frames; compared are the first and the last thousand
_PART = 1000
_WIDTH, _HEIGHT = 640, 480  # pixels, as --source demo shows them


@dataclass(frozen=True)
class Scores:
    """Shares of frames on which the most probable class is the true one.

    Attributes:
        clips: Number of fresh clips.
        fresh: At frame 1, 2, ... 10 of a clip, from a fresh state.
        fresh_by_action: At frame 10, for each action.
        streams: Number of streams that never reset.
        changes: Number of changes of the action in them.
        after_change: At the 1st, 2nd, ... 20th frame of a new action.
        after_change_by_action: At the 10th, for each (new) action.
        whole: Over all frames of the streams, also those right after a change.
        confusion: Frames by true action (row) and answer (column), from the 10th frame of an action on.
        long: Over the first thousand frames, and over the last thousand, of streams of 6,000 frames.
    """

    clips: int
    fresh: list[float]
    fresh_by_action: dict[str, float]
    streams: int
    changes: int
    after_change: list[float]
    after_change_by_action: dict[str, float]
    whole: float
    confusion: list[list[int]]
    long: list[float]

    def reached(self) -> list[tuple[str, float, float]]:
        """Returns what was aimed at: words, the least share wanted, the share measured."""
        worst = min([*self.fresh_by_action.values(), *self.after_change_by_action.values()])
        first, last = self.long
        return [
            ("right at frame 10 from a fresh state", 0.94, self.fresh[9]),
            ("right 5 frames after a change", 0.85, self.after_change[4]),
            ("right 10 frames after a change", 0.90, self.after_change[9]),
            ("the worst action, at frame 10", 0.80, worst),
            (
                f"as often right after 5,000 frames as in the first thousand ({last:.1%}, {first:.1%})",
                0.98,
                last / first if first else 0.0,
            ),
        ]

    def save(self, path: Path) -> None:
        """Writes the scores as JSON."""
        write_whole(path, (json.dumps(asdict(self), indent=1) + "\n").encode())


@dataclass(frozen=True)
class Run:
    """One stream through the model: int64 [T] each, indices into ACTIONS."""

    labels: np.ndarray
    answers: np.ndarray


def evaluate(model: Path, labels: Path, signals: Signals, share: float = 1.0) -> Scores:
    """Runs the model on all of it, in as many processes as there are cores.

    Args:
        model: The .tflite file.
        labels: Its label file.
        signals: Those that end the program.
        share: Part of the clips and streams to run, 0..1.
    """
    _open(model, labels).close()  # What is wrong with the files is better said once than by every process.
    with ProcessPoolExecutor(os.cpu_count() or 1, initializer=_begin, initargs=(model, labels)) as executor:
        run = partial(_run_all, executor, signals)
        try:
            fresh = run(_fresh_clip, round(CLIPS * share), "fresh clips")
            streams = run(partial(_stream, round(_STREAM_TIME * FPS)), round(STREAMS * share), "streams")
            endless = run(partial(_stream, _LONG), round(LONG_STREAMS * share), "long streams")
        except BaseException:
            for process in multiprocessing.active_children():  # They would first do what has been given to them.
                process.kill()
            raise
    return score(fresh, streams, endless)


def score(fresh: Sequence[Run], streams: Sequence[Run], endless: Sequence[Run]) -> Scores:
    """Counts what was right in runs of the three kinds."""
    fresh_right = np.stack([run.answers == run.labels for run in fresh])
    actions = np.array([run.labels[-1] for run in fresh])
    changed = {age: _after_change(streams, age) for age in range(20)}
    tenth_labels, tenth_right = changed[9]
    confusion = np.zeros((len(ACTIONS), len(ACTIONS)), int)
    for run in streams:
        settled = ages_of(run.labels) >= 9
        np.add.at(confusion, (run.labels[settled], run.answers[settled]), 1)
    return Scores(
        clips=len(fresh),
        fresh=_means(fresh_right.T),
        fresh_by_action=_by_action(actions, fresh_right[:, -1]),
        streams=len(streams),
        changes=len(changed[0][1]),
        after_change=_means([right for _, right in changed.values()]),
        after_change_by_action=_by_action(tenth_labels, tenth_right),
        whole=_means([np.concatenate([run.answers == run.labels for run in streams])])[0],
        confusion=confusion.tolist(),
        long=[
            _means([np.concatenate([(run.answers == run.labels)[part] for run in endless])])[0]
            for part in (slice(_PART), slice(-_PART, None))
        ],
    )


def _after_change(streams: Sequence[Run], age: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels and whether they were told, of frames so many frames after a change; int64 [N], bool [N]."""
    labels, right = [], []
    for run in streams:
        ages = ages_of(run.labels)
        chosen = np.flatnonzero(ages == age)
        chosen = chosen[chosen > age]  # The first action came with a fresh state, not after a change.
        labels.append(run.labels[chosen])
        right.append(run.answers[chosen] == run.labels[chosen])
    return np.concatenate(labels), np.concatenate(right)


def _means(rights: Sequence[np.ndarray]) -> list[float]:
    return [round(float(np.mean(right)), 4) for right in rights]


def _by_action(labels: np.ndarray, right: np.ndarray) -> dict[str, float]:
    return {action: round(float(right[labels == k].mean()), 4) for k, action in enumerate(ACTIONS)}


_classifier: VideoClassifier


def _begin(model: Path, labels: Path) -> None:
    """Gives a worker process its model."""
    global _classifier
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # who began it ends it
    cv2.setNumThreads(1)
    _classifier = _open(model, labels)


def _open(model: Path, labels: Path) -> VideoClassifier:
    """Opens a model as classify.py does by default.

    Raises:
        UserError: Something is wrong with the model or its labels.
    """
    return VideoClassifier(model, labels, memory=MEMORY, precision="auto", threads=1, channel_order="bgr")


def _run_all(
    executor: ProcessPoolExecutor, signals: Signals, work: Callable[[int], Run], count: int, words: str
) -> list[Run]:
    signals.deferred = True  # A process that is just being begun would be left behind.
    futures = [executor.submit(work, number) for number in range(count)]
    signals.deferred = False
    if signals.stop.is_set():
        raise SystemExit(signals.status)
    return [future.result() for future in track(futures, words, words.split()[-1])]


def _fresh_clip(number: int) -> Run:
    """Runs a clip of one action from a fresh state, begun at any moment of it."""
    play = Play(HELD_OUT + number)
    start = np.random.default_rng(number).uniform(0, 3.0)
    return _classify(play, start + np.arange(_CLIP_FRAMES) / FPS)


def _stream(frames: int, number: int) -> Run:
    return _classify(Play(HELD_OUT * 2 + number), np.arange(frames) / FPS)


def _classify(play: Play, times: np.ndarray) -> Run:
    _classifier.reset()
    answers = [int(_classifier.step(play.draw(t, _WIDTH, _HEIGHT)).logits.argmax()) for t in times]
    return Run(np.array([ACTIONS.index(play.action(t)) for t in times]), np.array(answers))


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status; what a user can cause ends in one line on stderr."""
    parser = Parser(
        prog=_COMMAND,
        description="Measures the demo model in models/ and prints the figures as JSON.\nTakes ten minutes or more.",
        epilog="exit status: 0 measured, 2 wrong flag, 3 model or labels, 6 missing package,\n130 Ctrl-C",
        formatter_class=Formatter,
    )
    root = Path(__file__).resolve().parent.parent
    try:
        parser.parse_args(arguments)
        result = evaluate(root / "models" / f"{NAME}.tflite", root / "labels" / f"{NAME}.txt", Signals())
        print(json.dumps(asdict(result), indent=1))
    except UserError as error:
        say(f"{_COMMAND}: {error}")
        return error.status
    except SystemExit as end:  # --help, or a signal
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
