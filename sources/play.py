"""The demo's film: somebody does one action after another, in rooms that change; a function of a seed and the time."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from sources.acting import ACTING, Style, blend
from sources.canvas import Canvas
from sources.figure import FigurePainter, Person, Pose
from sources.room import Room

ACTIONS = ("standing still", "waving", "clapping", "jumping", "squatting", "walking left", "walking right")
# The demo's model never saw these: they are what it can be taught.
TEACHING_ACTIONS = ("hands up", "bow", "kick", "arm circles")

# Seconds in which one action's pose becomes the next one's, and in which the camera comes to rest.
GLIDE = 0.25
EASE = 2.0
# Scenes drawn up at a time.
SCENES = 64
# What the numbers of a seed are for.
_SCRIPT, _SCENE, _ROOM, _PERSON, _STYLE = range(5)


@dataclass(frozen=True)
class _Page:
    """Part of the script: when each action begins, which it is, and the scene it belongs to."""

    starts: np.ndarray
    actions: np.ndarray
    scenes: np.ndarray
    end: float


@dataclass(frozen=True)
class _Act:
    """One action of a scene: when, how, how fast the figure moves on, and its place in the picture (heights)."""

    start: float
    action: str
    style: Style
    speed: float
    place: float


class Play:
    """The film, endless, the same for the same seed in whatever order it is asked for.

    Args:
        seed: A whole number, at least 0.
        actions: Which actions may come, of ACTIONS and TEACHING_ACTIONS.
        seconds: How long each takes, at least and at most.
        acts: How many of them one person does in one room, at least and at most.
    """

    def __init__(
        self,
        seed: int,
        actions: Sequence[str] = ACTIONS,
        seconds: tuple[float, float] = (6.0, 12.0),
        acts: tuple[int, int] = (2, 4),
    ) -> None:
        self._seed = seed
        self._actions = tuple(actions)
        self._seconds = seconds
        self._acts = acts
        self._pages: list[_Page] = []
        self._scene = _Scene(seed, 0, [])

    def action(self, t: float) -> str:
        """Returns the true action at t seconds, t >= 0."""
        page, row = self._find(t)
        return self._actions[page.actions[row]]

    def since(self, t: float) -> float:
        """Returns the seconds since that action began."""
        page, row = self._find(t)
        return t - float(page.starts[row])

    def draw(self, t: float, width: int, height: int) -> np.ndarray:
        """Returns the picture at t seconds: uint8 [height, width, 3], BGR; all that matters is in its centre square."""
        page, row = self._find(t)
        number = int(page.scenes[row])
        if self._scene.number != number or not self._scene.acts:
            rows = np.flatnonzero(page.scenes == number)
            script = [(float(page.starts[i]), self._actions[page.actions[i]]) for i in rows]
            self._scene = _Scene(self._seed, number, script)
        return self._scene.draw(t, width, height)

    def _find(self, t: float) -> tuple[_Page, int]:
        """Returns the page of the script that tells of this moment, and the row in it."""
        while not self._pages or self._pages[-1].end <= t:
            self._pages.append(self._write_page())
        low, high = 0, len(self._pages)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._pages[middle].starts[0] <= t else (low, middle)
        page = self._pages[low]
        return page, max(0, bisect_right(page.starts, t) - 1)

    def _write_page(self) -> _Page:
        """Goes on with the script: every action is followed by one of the others, each as likely."""
        generator = np.random.default_rng([self._seed, _SCRIPT, len(self._pages)])
        lengths = generator.integers(self._acts[0], self._acts[1] + 1, SCENES)
        count, kinds = int(lengths.sum()), len(self._actions)
        steps = generator.integers(1, kinds, count) if kinds > 1 else np.zeros(count, int)
        if self._pages:
            first, start = int(self._pages[-1].actions[-1]), self._pages[-1].end
        else:
            first, start = int(generator.integers(kinds)), 0.0
        actions = (first + np.cumsum(steps)) % kinds
        ends = start + np.cumsum(generator.uniform(self._seconds[0], self._seconds[1], count))
        starts = np.concatenate([[start], ends[:-1]])
        # As intp: where that has 32 bits, numpy refuses to count by int64.
        scenes = np.repeat(np.arange(SCENES), lengths.astype(np.intp)) + SCENES * len(self._pages)
        return _Page(starts, actions.astype(np.int8), scenes.astype(np.int32), float(ends[-1]))


class _Scene:
    """One person in one room, for a few actions.

    Args:
        seed: The play's.
        number: The scene's.
        script: When each action begins, and which it is.
    """

    def __init__(self, seed: int, number: int, script: list[tuple[float, str]]) -> None:
        self.number = number
        generator = np.random.default_rng([seed, _SCENE, number])
        self._room = Room([seed, _ROOM, number])
        self._person = Person([seed, _PERSON, number], [self._room.palette.wall, self._room.palette.floor])
        self._floor = generator.uniform(0.91, 0.935)
        self._x = generator.uniform(0.0, self._room.period)
        self._shake = 0.012 * (generator.random() < 0.3)
        self._shake_phases = generator.uniform(0.0, 2 * math.pi, 4)
        self._blink = generator.uniform(2.3, 4.2)
        self.acts: list[_Act] = []
        for index, (start, action) in enumerate(script):
            self.acts.append(self._direct(start, action, np.random.default_rng([seed, _STYLE, number, index])))

    def draw(self, t: float, width: int, height: int) -> np.ndarray:
        """Returns the picture at t seconds of the play."""
        place, walked = self._place(t)
        shake_x, shake_y = self._shaken(t)
        image = self._room.view(self._x + walked - place + shake_x, shake_y, width, height)
        unit = min(width, height)
        canvas = Canvas(image, unit, -width / unit / 2, (1 - height / unit) / 2)
        since_blink = t % self._blink
        eyes = min(1.0, abs(since_blink - 0.1) / 0.1)
        FigurePainter(canvas, self._person, self._pose(t), place - shake_x, self._floor - shake_y, eyes).draw()
        return image

    def _direct(self, start: float, action: str, generator: np.random.Generator) -> _Act:
        """Chooses how an action is done, and from where it is seen."""
        walking = {"walking left": -1, "walking right": 1}.get(action, 0)
        tempo, side = generator.uniform(0.7, 1.3), walking or int(generator.integers(2)) * 2 - 1
        size, variant, phase, offset = generator.uniform((0.75, 0.0, 0.0, -1.0), (1.25, 1.0, 1.0, 1.0))
        speed = float(np.clip(generator.uniform(0.46, 0.58) * self._person.height * tempo, 0.25, 0.5))
        stride = speed / (tempo * ACTING[action].rate * self._person.height)
        previous = self.acts[-1] if self.acts else None
        if previous is None or walking or previous.speed:
            place = offset * (0.05 if walking else 0.11)
        else:
            place = previous.place  # a tripod stays where it is
        return _Act(start, action, Style(tempo, size, side, variant, phase, stride), speed * walking, place)

    def _now(self, t: float) -> int:
        return max(0, sum(act.start <= t for act in self.acts) - 1)

    def _pose(self, t: float) -> Pose:
        """Returns the action's pose; just after a change, one on the way to it."""
        index = self._now(t)
        pose = _pose_of(self.acts[index], t)
        share = _smooth((t - self.acts[index].start) / GLIDE)
        if index and share < 1:
            pose = blend(_pose_of(self.acts[index - 1], t), pose, share)
        return pose

    def _place(self, t: float) -> tuple[float, float]:
        """Returns where the figure is in the picture, and how far it has walked since the scene began, in heights."""
        place, walked = self.acts[0].place, 0.0
        for index, act in enumerate(self.acts):
            ends = self.acts[index + 1].start if index + 1 < len(self.acts) else math.inf
            walked += act.speed * (_glided(t - act.start) - _glided(t - ends))
            if index:
                place += (act.place - self.acts[index - 1].place) * _smooth((t - act.start) / EASE)
        return place, walked

    def _shaken(self, t: float) -> tuple[float, float]:
        """Returns how far a hand holds the camera off its place, in heights."""
        if not self._shake:
            return 0.0, 0.0
        a, b, c, d = self._shake_phases
        x = 0.6 * math.sin(t * 1.07 + a) + 0.4 * math.sin(t * 2.31 + b)
        y = 0.6 * math.sin(t * 1.29 + c) + 0.4 * math.sin(t * 2.63 + d)
        return self._shake * x, self._shake * 0.6 * y


def _pose_of(act: _Act, t: float) -> Pose:
    acting = ACTING[act.action]
    return acting.pose(act.style.phase + (t - act.start) * act.style.tempo * acting.rate, act.style)


def _smooth(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _glided(since: float) -> float:
    """Returns the integral of the glide's weight: seconds at full speed `since` seconds after an action began."""
    share = min(1.0, max(0.0, since / GLIDE))
    return GLIDE * (share**3 - share**4 / 2) + max(0.0, since - GLIDE)
