#!/usr/bin/env python3
"""Shows what --idle saves and what it costs: the demo's film, in which time stands still now and then.

    python experiment_idle.py
    python experiment_idle.py --rounds 60 --hold 60

After each action the figure freezes, for `--hold` seconds, with nothing but the noise of a camera in the picture; then
the next action begins, and who slept must wake. The same frames are given, by the same model, to

    always        five times a second, as without --idle
    idle          as with --idle
    idle, reset   the same, with the model's state forgotten on waking: the other thing that one could do

The table tells what the model's steps and the watching for motion cost in a minute of stillness and in a minute of
action, how many steps after an action began it was first told right, and the share of actions told right at steps 1, 3,
5 and 10. The seconds of stillness until it falls asleep count as stillness.
"""

from __future__ import annotations

from environment import use_venv

if __name__ == "__main__":
    use_venv()

import contextlib
import itertools
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Iterator, Sequence

import cv2
import numpy as np

import models
from errors import UserError
from flags import Number, Parser
from pace import Pace
from sources import Frame
from sources.play import Play
from startup import DEMO_MODEL
from video_classifier import VideoClassifier

_FPS = 5.0  # frames a second that the model sees
_MEMORY = 12  # frames, as classify.py has it
_SIZE = (640, 480)
_NOISE = 4.0  # grey levels, standard deviation of a pixel
_LATER = (1, 3, 5, 10)  # steps of an action at which the label is looked at


@dataclass(frozen=True)
class Moment:
    """One frame of the film and what is known about it.

    Attributes:
        frame: As a camera would give it.
        action: The true label; "" while time stands still.
        number: Of the action: 0 for the first.
    """

    frame: Frame
    action: str
    number: int


def film(seed: int, rounds: int, hold: float, camera_fps: float) -> Iterator[Moment]:
    """Yields a film of `rounds` actions, each followed by `hold` seconds in which the figure is frozen."""
    play, camera = Play(seed), _Camera(seed, camera_fps)
    number = 0
    for played in itertools.count():
        moment = played / camera_fps
        if played and play.since(moment) < 1 / camera_fps:  # the next action begins
            still = play.draw(moment - 1 / camera_fps, *_SIZE)
            for _ in range(round(hold * camera_fps)):
                yield Moment(camera.take(still), "", number)
            number += 1
            if number == rounds:
                return
        yield Moment(camera.take(play.draw(moment, *_SIZE)), play.action(moment), number)


class _Camera:
    """Makes a frame of a picture, with noise."""

    def __init__(self, seed: int, fps: float) -> None:
        self._random = np.random.default_rng(seed)
        # Shifted by chance, the same noise is as good as new.
        self._noise = self._random.normal(0, _NOISE, (2 * _SIZE[1], _SIZE[0], 3)).round().astype(np.int16)
        self._fps = fps
        self._index = 0

    def take(self, picture: np.ndarray) -> Frame:
        """Returns the next frame, of uint8 [height, width, 3]."""
        first = self._random.integers(_SIZE[1])
        image = cv2.add(picture, self._noise[first : first + _SIZE[1]], dtype=cv2.CV_8U)
        self._index += 1
        return Frame(image, self._index / self._fps, self._index - 1)


@dataclass
class Cost:
    """What a watcher did in one kind of time.

    Attributes:
        frames: Of the camera.
        steps: Of the model.
        stepping: CPU seconds of the steps.
        watching: CPU seconds of choosing the frames.
    """

    frames: int = 0
    steps: int = 0
    stepping: float = 0.0
    watching: float = 0.0


class Watcher:
    """A model at one pace.

    Args:
        classifier: The model.
        idle: Whether it sleeps.
        reset: Whether it forgets on waking.

    Attributes:
        still: What it cost while time stood still.
        moving: What it cost otherwise.
        right: For each action but the first, by its number, whether each step told it right.
    """

    def __init__(self, classifier: VideoClassifier, idle: bool, reset: bool = False) -> None:
        self.still, self.moving = Cost(), Cost()
        self.right: dict[int, list[bool]] = {}
        self._classifier = classifier
        self._pace = Pace(_FPS, idle=idle)
        self._reset = reset

    def take(self, moment: Moment) -> None:
        """Takes the next frame of the film."""
        cost = self.moving if moment.action else self.still
        was_idle, start = self._pace.reason == "idle", time.process_time()
        due = self._pace.due(moment.frame)
        cost.watching += time.process_time() - start
        cost.frames += 1
        if not due:
            return
        if self._reset and was_idle and self._pace.reason != "idle":
            self._classifier.reset()
        start = time.process_time()
        prediction = self._classifier.step(moment.frame.image)
        cost.stepping += time.process_time() - start
        cost.steps += 1
        if moment.action and moment.number:  # no stillness came before the first one
            self.right.setdefault(moment.number, []).append(prediction.top[0].label == moment.action)

    def until_right(self) -> float:
        """Returns the median of the steps after which an action is told right."""
        return statistics.median(1 + (steps + [True]).index(True) for steps in self.right.values())

    def right_at(self, step: int) -> float:
        """Returns the share of actions that were told right at a step, 1 for the first."""
        return statistics.mean(steps[step - 1] for steps in self.right.values() if len(steps) >= step)


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status."""
    parser = Parser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default=DEMO_MODEL, help="one that knows the demo's actions (default: %(default)s)")
    rounds, hold = Number(int, 2, 10_000, "actions"), Number(float, 1, 3600, "seconds")
    fps, seed = Number(float, 5, 120, "frames a second"), Number(int, 0, 2**31 - 1, "(a seed)")
    parser.add_argument("--rounds", type=rounds, default=40, help="actions (default: %(default)s)")
    parser.add_argument("--hold", type=hold, default=30.0, help="seconds of stillness after each (default: 30)")
    parser.add_argument("--camera-fps", type=fps, default=30.0, help="frames a second of the film (default: 30)")
    parser.add_argument("--seed", type=seed, default=2_000_000_000, help="which film (default: %(default)s)")
    try:
        options = parser.parse_args(arguments)
        with contextlib.ExitStack() as stack:
            watchers = {}
            for name, idle, reset in (("always", False, False), ("idle", True, False), ("idle, reset", True, True)):
                watchers[name] = Watcher(stack.enter_context(_open(options.model)), idle, reset)
            for moment in film(options.seed, options.rounds, options.hold, options.camera_fps):
                for watcher in watchers.values():
                    watcher.take(moment)
    except UserError as error:
        print(f"experiment_idle.py: {error}", file=sys.stderr)
        return error.status
    _report(watchers, options.camera_fps)
    return 0


def _open(name: str) -> VideoClassifier:
    path = models.find_model(name)
    labels = models.find_labels(path, None)
    return VideoClassifier(path, labels, threads=1, precision="auto", memory=_MEMORY, channel_order="bgr")


def _report(watchers: dict[str, Watcher], camera_fps: float) -> None:
    print(f"{'':12}{'a minute of stillness':>36}{'a minute of action':>36}")
    columns = f"{'steps':>8}{'their CPU':>14}{'watching':>14}"
    print(f"{'':12}{columns}{columns}")
    for name, watcher in watchers.items():
        print(f"{name:12}{_costs(watcher.still, camera_fps)}{_costs(watcher.moving, camera_fps)}")
    print(f"\n{'':12}{'steps until right':>18}{'right at step':>16}" + "".join(f"{step:>8}" for step in _LATER))
    for name, watcher in watchers.items():
        shares = "".join(f"{watcher.right_at(step):>8.0%}" for step in _LATER)
        print(f"{name:12}{watcher.until_right():>18.1f}{'':16}{shares}")


def _costs(cost: Cost, camera_fps: float) -> str:
    minutes = cost.frames / camera_fps / 60
    return f"{cost.steps / minutes:>8.0f}{cost.stepping / minutes:>12.3f} s{cost.watching / minutes:>12.3f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
