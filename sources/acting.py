"""What the figure does: each action is a pose as a function of its phase and of how this person does it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Callable

import numpy as np

from sources.figure import ANKLE, HALF_SHOULDER, HIP, Pose

TAU = 2 * math.pi
# Share of a stride during which a foot is on the floor.
STANCE = 0.58


@dataclass(frozen=True)
class Style:
    """How somebody does an action.

    Attributes:
        tempo: Repetitions, relative to the action's usual rate.
        size: How large the movement is, about 1.
        side: -1 or 1: the arm or leg used, or the way faced, to the picture's left or right.
        variant: 0 to 1: chooses among ways to do it.
        phase: Of one repetition, 0 to 1: where it begins.
        stride: Length of a walker's double step, in figure heights.
    """

    tempo: float
    size: float
    side: int
    variant: float
    phase: float
    stride: float


def stand(phase: float, style: Style) -> Pose:
    breath = math.sin(TAU * phase)
    pose = Pose(hip=np.array([0.006 * math.sin(TAU * phase * 0.37), HIP]))
    pose.breath = 0.004 * breath
    look = math.sin(TAU * phase * 0.31) + 0.6 * math.sin(TAU * phase * 0.83 + 2)
    pose.head_turn = 0.55 * style.size * math.tanh(2 * look - style.side)
    return pose


def wave(phase: float, style: Style) -> Pose:
    pose, arm = Pose(), _index(style.side)
    swing = (0.38 + 0.22 * style.size) * math.sin(TAU * phase)
    elbow = 0.25 + 0.65 * style.variant  # radians above the horizontal
    upper = np.array([math.cos(elbow), math.sin(elbow)]) * 0.165
    fore = np.array([math.sin(swing + 0.1), math.cos(swing + 0.1)]) * 0.165
    pose.hands[arm] = (upper + fore) * (style.side, 1) + (style.side * HALF_SHOULDER, 0)
    pose.elbows[arm] = -1.0
    pose.head_tilt = 0.07 * style.side
    pose.head_turn = 0.15 * style.side
    pose.hip[0] += 0.006 * math.sin(TAU * phase)
    pose.mouth = 1.0
    return pose


def clap(phase: float, style: Style) -> Pose:
    apart = 0.5 - 0.5 * math.cos(TAU * phase)
    height = -0.08 - 0.08 * style.variant + 0.03 * apart
    reach = 0.022 + (0.16 + 0.05 * style.size) * apart
    pose = Pose(hands=np.array([[-reach, height], [reach, height]]))
    pose.elbows[:] = 1 - 2 * apart  # outwards while the hands meet, down while they are apart
    pose.palms = 1.0
    pose.breath = 0.004 * (1 - apart)
    pose.mouth = 1.0
    return pose


def jump(phase: float, style: Style) -> Pose:
    part = phase % 1.0
    height = 0.175 * (0.85 + 0.15 * style.size)
    flight = 0.52
    pose = Pose()
    if part < flight:
        s = part / flight
        rise, crouch = height * 4 * s * (1 - s), 0.07 * (2 * abs(s - 0.5)) ** 6
        arms, tuck = math.sin(math.pi * min(1.0, s * 1.15)) ** 0.7, math.sin(math.pi * s)
    else:
        s = (part - flight) / (1 - flight)
        rise, crouch = 0.0, 0.07 + 0.05 * math.sin(math.pi * s)
        arms, tuck = -0.25 * math.sin(math.pi * s), 0.0
    pose.hip[1] = HIP + rise - crouch
    pose.feet[:, 1] = ANKLE + rise + 0.015 * tuck
    pose.toes[:] = -0.9 * tuck
    pose.knees[:] = 0.9
    angle = 0.35 + max(0.0, arms) * (1.1 + 0.6 * style.variant)
    pose.hands = _arms(angle, 0.31 - 0.03 * (1 - max(0.0, arms)))
    pose.hands[:, 1] += 0.04 * (arms < 0) * -arms * 4
    pose.elbows[:] = 0.8
    pose.mouth = 1.0
    return pose


def squat(phase: float, style: Style) -> Pose:
    deep = 0.5 - 0.5 * math.cos(TAU * phase)
    deep = deep * deep * (3 - 2 * deep)
    pose = Pose()
    pose.hip[1] = HIP - (0.21 + 0.03 * style.size) * deep
    pose.feet[:, 0] = -0.095, 0.095
    pose.knees[:] = 1.0
    if style.variant < 0.5:  # arms stretched out, level
        pose.hands = _arms(0.15 + 1.3 * deep, 0.31)
    else:  # held together before the chest
        pose.hands = (1 - deep) * pose.hands + deep * np.array([[-0.025, -0.1], [0.025, -0.1]])
    pose.elbows[:] = 1.0
    return pose


def walk(phase: float, style: Style) -> Pose:
    pose = Pose(turn=float(style.side), head_turn=float(style.side))
    half = style.stride * STANCE / 2
    for leg in (0, 1):
        part = (phase + leg / 2) % 1.0
        if part < STANCE:
            s = part / STANCE
            x, lift = half * (1 - 2 * s), 0.03 * max(0.0, s - 0.75) / 0.25
            toes = 0.25 * max(0.0, 1 - s * 6) - 0.5 * max(0.0, s - 0.75) / 0.25
        else:
            s = (part - STANCE) / (1 - STANCE)
            ease = s * s * (3 - 2 * s)
            x, lift = half * (2 * ease - 1), 0.03 * (1 - s) + 0.075 * math.sin(math.pi * s)
            toes = -0.7 * (1 - s) ** 2 + 0.25 * s
        pose.feet[leg] = style.side * x, ANKLE + lift
        pose.toes[leg] = toes
        angle = -(0.42 + 0.16 * style.size) * math.cos(TAU * (phase + leg / 2 - 0.04))
        pose.hands[leg] = style.side * (0.29 * math.sin(angle) + 0.03), -0.285 * math.cos(angle)
    pose.hip[1] = HIP - 0.014 - 0.01 * math.cos(2 * TAU * phase)
    pose.knees[:] = -style.side * np.array([1.0, -1.0])
    pose.elbows[:] = style.side * np.array([1.0, -1.0])
    pose.lean = 0.05 * style.side
    return pose


def raise_hands(phase: float, style: Style) -> Pose:
    up = 0.5 - 0.5 * math.cos(TAU * phase)
    return Pose(hands=_arms(0.15 + 2.75 * up, 0.32), mouth=1.0)


def bow(phase: float, style: Style) -> Pose:
    deep = 0.5 - 0.5 * math.cos(TAU * phase)
    deep = deep * deep * (3 - 2 * deep)
    side = float(style.side)
    pose = Pose(turn=side, head_turn=side, lean=(1.1 + 0.25 * style.size) * deep * side)
    pose.hip += (-0.09 * deep * side, -0.01 * deep)
    pose.feet[:, 0] = 0.015, -0.015
    pose.hands = np.array([[0.02 * side, -0.29]] * 2) + np.array([[-0.1 * side * deep, 0.02 * deep]])
    pose.knees[:] = -0.3 * side * np.array([1.0, -1.0])
    pose.elbows[:] = 0.6 * side * np.array([1.0, -1.0])
    return pose


def kick(phase: float, style: Style) -> Pose:
    side = float(style.side)
    pose = Pose(turn=side, head_turn=side)
    swing = max(0.0, math.sin(TAU * phase)) ** 1.3
    back = max(0.0, -math.sin(TAU * phase))
    angle = (1.15 + 0.3 * style.size) * swing - 0.35 * back
    leg = 0 if style.side > 0 else 1
    reach = 0.445 - 0.05 * back
    pose.feet[leg] = side * reach * math.sin(angle), HIP - reach * math.cos(angle) + 0.02 * (1 - swing)
    pose.toes[leg] = 0.6 * angle
    pose.lean = -0.22 * swing * side
    pose.hands = np.array([[0.16 * side * swing, -0.26], [-0.16 * side * swing, -0.26]]) + (0.02 * side, 0)
    pose.knees[:] = -side * np.array([1.0, -1.0])
    pose.elbows[:] = side * np.array([1.0, -1.0])
    return pose


def circle_arms(phase: float, style: Style) -> Pose:
    return Pose(hands=_arms(TAU * phase * style.side, 0.32), mouth=1.0)


@dataclass(frozen=True)
class Action:
    """An action's pose, and how often a second it is usually repeated."""

    pose: Callable[[float, Style], Pose]
    rate: float


ACTING = {
    "standing still": Action(stand, 0.25),
    "waving": Action(wave, 1.4),
    "clapping": Action(clap, 1.6),
    "jumping": Action(jump, 1.0),
    "squatting": Action(squat, 0.6),
    "walking left": Action(walk, 1.0),
    "walking right": Action(walk, 1.0),
    "hands up": Action(raise_hands, 0.5),
    "bow": Action(bow, 0.4),
    "kick": Action(kick, 0.7),
    "arm circles": Action(circle_arms, 0.7),
}


def blend(one: Pose, other: Pose, share: float) -> Pose:
    """Returns the pose on the way from `one` (share 0) to `other` (share 1)."""
    names = [entry.name for entry in fields(Pose)]
    return Pose(**{name: getattr(one, name) * (1 - share) + getattr(other, name) * share for name in names})


def _index(side: int) -> int:
    return 0 if side < 0 else 1


def _arms(angle: float, reach: float) -> np.ndarray:
    """Both arms straight to the sides: 0 hangs down, pi points up."""
    x, y = HALF_SHOULDER + reach * math.sin(angle), -reach * math.cos(angle)
    return np.array([[-x, y], [x, y]])
