"""The person of the demo: looks, pose, and how they are drawn. Lengths are in figure heights, y upwards."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Sequence

import numpy as np

from sources.canvas import Canvas, Color, color, ellipse, mix, shade

HIP = 0.47
ANKLE = 0.035
TRUNK = 0.335
HALF_SHOULDER = 0.098
HALF_HIP = 0.058
THIGH, SHIN = 0.232, 0.222
UPPER_ARM, FOREARM = 0.165, 0.16
OUTLINE = 0.0075

SKINS = [color(rgb) for rgb in ("f6cfb0", "eab893", "d39a70", "b27a52", "8a5a3c", "6b4430")]
HAIRS = [color(rgb) for rgb in ("2b211e", "4a2f22", "7a4a2a", "b5793c", "d9b26a", "8f3b24", "8d8a88")]
SHIRTS = [color(rgb) for rgb in ("cf3f50", "2a6fa3", "e9a72f", "2f8f63", "6f479c", "f3eee0", "26303f", "e2704f",
                                 "1598a8", "f08a24", "c94f8c", "8fbf3f")]  # fmt: skip
TROUSERS = [color(rgb) for rgb in ("26385a", "37363b", "5d4433", "6f8192", "c7ab78", "41669c", "5b2f45", "2f5a4a")]
SHOES = [color(rgb) for rgb in ("f4f0ea", "2a2a30", "b8433a", "3a5f8a", "7a4e32")]
WHITE: Color = (250.0, 250.0, 250.0)


@dataclass
class Pose:
    """Where the body's parts are; left and right are the picture's, index 0 and 1.

    Attributes:
        hip: Middle of the hips, above the point where the person stands.
        lean: Radians of the trunk, to the picture's right.
        turn: -1 faces left, 0 the camera, 1 right.
        head_turn: The same for the head.
        head_tilt: Radians of the head, to the right.
        hands: [2, 2] relative to the middle of the shoulders.
        elbows: [2] how far and to which side the elbows bend, -1 to 1; in front view 1 is outwards.
        feet: [2, 2] the ankles, relative to the point where the person stands.
        knees: [2] like the elbows.
        toes: [2] radians by which the feet point up.
        breath: By how much the chest is raised.
        palms: 1 if the palms face each other, flat.
        mouth: 0 smiles, 1 laughs.
    """

    hip: np.ndarray = field(default_factory=lambda: np.array([0.0, HIP]))
    lean: float = 0.0
    turn: float = 0.0
    head_turn: float = 0.0
    head_tilt: float = 0.0
    hands: np.ndarray = field(default_factory=lambda: np.array([[-0.135, -0.305], [0.135, -0.305]]))
    elbows: np.ndarray = field(default_factory=lambda: np.array([0.6, 0.6]))
    feet: np.ndarray = field(default_factory=lambda: np.array([[-0.062, ANKLE], [0.062, ANKLE]]))
    knees: np.ndarray = field(default_factory=lambda: np.array([0.1, 0.1]))
    toes: np.ndarray = field(default_factory=lambda: np.zeros(2))
    breath: float = 0.0
    palms: float = 0.0
    mouth: float = 0.0


class Person:
    """Somebody's looks.

    Args:
        seed: Whole numbers that choose them.
        behind: Colours of the wall and the floor, against which the person must stand out.
    """

    def __init__(self, seed: Sequence[int], behind: Sequence[Color]) -> None:
        generator = np.random.default_rng(seed)
        self.height = generator.uniform(0.54, 0.74)
        self.build = generator.uniform(0.88, 1.2)
        self.head = generator.uniform(0.96, 1.1)
        self.skin = _standing_out(generator, SKINS, behind[:1], 55)
        self.hair = HAIRS[generator.integers(len(HAIRS))]
        self.shirt = _standing_out(generator, SHIRTS, behind, 105)
        self.trousers = _standing_out(generator, TROUSERS, [*behind, self.shirt], 70)
        self.shoes = _standing_out(generator, SHOES, behind[1:], 80)
        self.haircut = ("short", "long", "bun", "curly", "cap", "parted")[generator.integers(6)]
        self.long_sleeves = generator.random() < 0.45
        self.shorts = generator.random() < 0.3
        self.glasses = generator.random() < 0.25
        self.print = ("plain", "stripe", "dot", "plain")[generator.integers(4)]
        self.print_color = shade(self.shirt, 0.55 if sum(self.shirt) < 450 else -0.3)


def _standing_out(generator: np.random.Generator, choice: list[Color], behind: Sequence[Color], apart: float) -> Color:
    """Chooses a colour that differs enough from those behind it; the most different one if none does."""
    distances = np.linalg.norm(np.array(choice)[:, None] - np.array(behind)[None], axis=2).min(axis=1)
    enough = np.flatnonzero(distances >= min(apart, distances.max()))
    return choice[int(enough[generator.integers(len(enough))])]


class FigurePainter:
    """Draws one person in one pose on one picture.

    Args:
        canvas: What to draw on.
        person: Who.
        pose: How.
        x: Where the person stands, in picture heights.
        floor: y of the floor there.
        eyes: 1 open, 0 closed.
    """

    def __init__(self, canvas: Canvas, person: Person, pose: Pose, x: float, floor: float, eyes: float = 1.0) -> None:
        self._canvas, self._person, self._pose = canvas, person, pose
        self._x, self._floor, self._size, self._eyes = x, floor, person.height, eyes
        self._front = math.cos(pose.turn * math.pi / 2)
        self._up = np.array([math.sin(pose.lean), math.cos(pose.lean)])
        self._chest = pose.hip + self._up * (TRUNK + pose.breath)

    def draw(self) -> None:
        """Draws the shadow on the floor, then the body from back to front."""
        pose = self._pose
        self._shadow()
        near = 0 if pose.turn > 0 else 1
        sideways = abs(pose.turn) > 0.35
        if sideways:
            self._arm(1 - near, -0.16)
        self._leg(1 - near, -0.16 * abs(pose.turn))
        self._leg(near, 0.0)
        self._back_hair()
        self._trunk()
        self._head()
        if not sideways:
            self._arm(1 - near, 0.0)
        self._arm(near, 0.0)

    def _shadow(self) -> None:
        feet = self._pose.feet
        lift = max(0.0, float(feet[:, 1].min()) - ANKLE)
        wide = (0.2 + 0.5 * abs(feet[1, 0] - feet[0, 0])) * self._person.build * self._size
        middle = float(np.clip(feet[:, 0].mean(), -0.12, 0.12))
        scale = 1 - 1.6 * lift
        self._canvas.glow(self._x + middle * self._size, self._floor, wide * scale, 0.05 * self._size * scale,
                          (35, 25, 30), 0.5 * scale)  # fmt: skip

    def _leg(self, side: int, tone: float) -> None:
        pose, person = self._pose, self._person
        way = side * 2 - 1
        hip = pose.hip + (way * HALF_HIP * person.build * max(self._front, 0.12), 0.0)
        ankle = pose.feet[side]
        knee, ankle = _bend(hip, ankle, THIGH, SHIN, way * pose.knees[side])
        trousers, thick = shade(person.trousers, tone), 0.9 + 0.25 * (person.build - 0.9)
        shin = shade(person.skin, tone) if person.shorts else trousers
        self._shoe(ankle, side, tone)
        self._chain([(knee, ankle, 0.037 * thick, 0.026 * thick)], shin)
        self._chain([(hip, knee, 0.06 * thick, 0.043 * thick)], trousers)
        if not person.shorts:
            self._fill([(knee, ankle, 0.037 * thick, 0.028 * thick)], trousers)

    def _shoe(self, ankle: np.ndarray, side: int, tone: float) -> None:
        pose, way = self._pose, side * 2 - 1
        ahead = pose.turn * 0.085 + way * 0.03 * self._front
        pitch = pose.toes[side]
        forward = np.array([ahead * math.cos(pitch), abs(ahead) * math.sin(pitch) - 0.02 * self._front * pitch * -1])
        heel = ankle + (-0.012 * pose.turn, -0.012)
        self._chain([(heel, heel + forward, 0.026, 0.023)], shade(self._person.shoes, tone))

    def _arm(self, side: int, tone: float) -> None:
        pose, person = self._pose, self._person
        way = side * 2 - 1
        across = np.array([self._up[1], -self._up[0]])
        shoulder = self._chest + across * (way * HALF_SHOULDER * person.build**0.6 * max(self._front, 0.1))
        hand = self._chest + pose.hands[side] + (way * HALF_SHOULDER * (person.build**0.6 - 1) * self._front, 0.0)
        if pose.palms > 0.5:
            hand = self._chest + pose.hands[side]
        elbow, hand = _bend(shoulder, hand, UPPER_ARM, FOREARM, way * pose.elbows[side])
        sleeve, skin = shade(person.shirt, tone - 0.07), shade(person.skin, tone)
        along = (hand - elbow) / max(1e-6, float(np.linalg.norm(hand - elbow)))
        self._chain([(hand - along * 0.004, hand + along * 0.024, 0.024, 0.021)], skin)
        if person.long_sleeves:
            self._chain([(shoulder, elbow, 0.04, 0.031), (elbow, hand - along * 0.012, 0.031, 0.025)], sleeve)
        else:
            self._chain([(shoulder, elbow, 0.033, 0.027), (elbow, hand, 0.027, 0.021)], skin)
            self._chain([(shoulder, shoulder + (elbow - shoulder) * 0.55, 0.042, 0.037)], sleeve)

    def _trunk(self) -> None:
        pose, person = self._pose, self._person
        across = np.array([self._up[1], -self._up[0]])
        front = self._front
        wide = (HALF_SHOULDER - 0.012) * person.build**0.6 * max(front, 0.12)
        low = (HALF_HIP + 0.004) * person.build * max(front, 0.2)
        neck = self._chest + self._up * 0.06
        self._chain([(self._chest, neck, 0.03, 0.03)], shade(person.skin, -0.1))
        radius, low_radius = 0.05 * (1 + 0.1 * (1 - front)), 0.06 * person.build
        top, bottom = self._chest - self._up * 0.008, pose.hip + self._up * 0.035
        hips = pose.hip + self._up * 0.005
        self._hull([(hips - across * low * 0.95, low_radius), (hips + across * low * 0.95, low_radius)],
                   person.trousers)  # fmt: skip
        corners = [(top - across * wide, radius), (top + across * wide, radius)]
        corners += [(bottom - across * low, low_radius), (bottom + across * low, low_radius)]
        self._hull(corners, person.shirt)
        middle = (top + bottom) / 2
        if person.print == "stripe":
            for share in (0.2, -0.2):
                centre = middle + self._up * TRUNK * share
                half = (wide + low) / 2 + 0.042 + (0.004 if share > 0 else 0.002)
                self._fill([(centre - across * half * 0.92, centre + across * half * 0.92, 0.012, 0.012)],
                           person.print_color)  # fmt: skip
        elif person.print == "dot":
            spot = middle + self._up * 0.03 + across * pose.turn * 0.03
            self._oval(spot, 0.034 * max(0.5, front), 0.034, person.print_color, pose.lean)
        self._oval(self._chest + self._up * 0.037, 0.04, 0.018, shade(person.skin, -0.1), pose.lean)

    def _head_frame(self) -> tuple[np.ndarray, float]:
        angle = self._pose.lean * 1.05 + self._pose.head_tilt
        return self._chest + self._up * 0.055 + np.array([math.sin(angle), math.cos(angle)]) * 0.075, angle

    def _on_head(self, x: float, y: float) -> np.ndarray:
        """Returns the place of a point on the head, x to its right and y up from its centre."""
        centre, angle = self._head_frame()
        cos, sin = math.cos(angle), math.sin(angle)
        return centre + np.array([x * cos + y * sin, -x * sin + y * cos]) * self._person.head

    def _back_hair(self) -> None:
        person, turn = self._person, self._pose.head_turn
        if person.haircut == "long":
            back = -0.03 * turn
            self._chain([(self._on_head(back, 0.02), self._on_head(back * 1.3, -0.1), 0.085, 0.07)], person.hair)
        elif person.haircut == "bun":
            self._chain([(self._on_head(-0.06 * turn, 0.1), self._on_head(-0.061 * turn, 0.1), 0.036, 0.036)],
                        person.hair)  # fmt: skip

    def _head(self) -> None:
        pose, person = self._pose, self._person
        turn, scale = pose.head_turn, person.head
        _, angle = self._head_frame()
        profile = abs(turn)
        way = 1.0 if turn >= 0 else -1.0
        for side in (-1, 1):  # the ear of the far side hides behind the head
            x = side * 0.068 * math.cos(turn * 1.2) - 0.055 * turn
            if abs(x) < 0.03 or side * turn < 0.75:
                self._oval(self._on_head(x if side * turn < 0.3 or profile < 0.6 else x * 0.6, -0.005), 0.016, 0.02,
                           shade(person.skin, -0.1), angle, outline=True)  # fmt: skip
        if profile > 0.3:
            tip = self._on_head(way * (0.066 + 0.028 * profile), -0.012)
            self._chain([(self._on_head(way * 0.05, 0.004), tip, 0.016, 0.012)], person.skin)
        self._oval(self._on_head(0, 0), 0.07 * scale, 0.084 * scale, person.skin, angle, outline=True)
        if profile > 0.3:
            self._fill([(self._on_head(way * 0.05, 0.004), self._on_head(way * (0.064 + 0.026 * profile), -0.012),
                         0.015, 0.011)], person.skin)  # fmt: skip
        if profile > 0.55:
            self._oval(self._on_head(-0.016 * way, -0.008), 0.015, 0.02, shade(person.skin, -0.14), angle)
        self._face(angle)
        self._front_hair(angle)

    def _face(self, angle: float) -> None:
        pose, person = self._pose, self._person
        turn = pose.head_turn
        narrow = math.cos(turn * 1.15)
        ink = shade(person.hair, -0.6) if sum(person.hair) < 400 else color("5a3d2e")
        dark = color("2a1d1d")
        for side in (-1, 1):
            x = side * 0.027 * narrow + 0.036 * turn
            if side * turn < -0.8 or abs(x) > 0.064:
                continue
            cheek = self._on_head(x * 1.25, -0.028)
            self._oval(cheek, 0.013 * max(narrow, 0.6), 0.009, mix(person.skin, color("e8736a"), 0.35), angle)
            self._oval(self._on_head(x, 0.008), 0.0085, max(0.0015, 0.0125 * self._eyes), dark, angle)
            if self._eyes > 0.6:
                self._oval(self._on_head(x + 0.003, 0.012), 0.0028, 0.0035, WHITE, angle)
            brow = np.array([self._on_head(x + dx, 0.031 + dy) for dx, dy in ((-0.011, 0), (0, 0.004), (0.011, 0))])
            self._line(brow, 0.006, ink)
            if person.glasses:
                ring = ellipse(0, 0, 0.019, 0.019)
                self._line(np.concatenate([ring, ring[:1]]) + self._on_head(x, 0.008), 0.004, dark)
        if abs(turn) < 0.5:
            nose = np.array([self._on_head(0.045 * turn - 0.004, -0.014), self._on_head(0.045 * turn + 0.006, -0.016)])
            self._line(nose, 0.006, shade(person.skin, -0.25))
        middle = 0.042 * turn
        wide = 0.026 * max(narrow, 0.5)
        if pose.mouth > 0.5:
            bow = [(-1, 0), (-0.5, 0.0), (0.5, 0.0), (1, 0), (0.6, -0.017), (0, -0.023), (-0.6, -0.017)]
            self._canvas.polygon(self._place(np.array([self._on_head(middle + wide * x, -0.037 + y) for x, y in bow])),
                                 color("7a2a33"))  # fmt: skip
            teeth = [(-0.85, -0.001), (0.85, -0.001), (0.7, -0.007), (-0.7, -0.007)]
            self._canvas.polygon(
                self._place(np.array([self._on_head(middle + wide * x, -0.037 + y) for x, y in teeth])), WHITE
            )
        else:
            smile = [(-1, 0), (-0.5, -0.008), (0, -0.0105), (0.5, -0.008), (1, 0)]
            self._line(np.array([self._on_head(middle + wide * x, -0.04 + y) for x, y in smile]), 0.006,
                       color("8a3a3f"))  # fmt: skip

    def _front_hair(self, angle: float) -> None:
        person, turn = self._person, self._pose.head_turn
        hair, cut = person.hair, person.haircut
        back = -0.045 * turn
        cap = [(-0.074, 0.01), (-0.079, 0.04), (-0.062, 0.075), (-0.03, 0.095), (0.01, 0.098), (0.048, 0.085)]
        cap += [(0.073, 0.052), (0.074, 0.01)]
        rim = [(0.06, 0.038 + 0.02 * turn), (0.0, 0.052 + 0.01 * turn), (-0.06, 0.038 - 0.02 * turn)]
        if cut == "parted":
            rim = [(0.062, 0.03), (0.03, 0.062), (-0.05, 0.03)]
        if cut == "cap":
            shape = shade(person.shirt, -0.2)
            self._shape([self._on_head(x, y + 0.006) for x, y in cap + rim], shape)
            brim = self._on_head(0.06 * turn, 0.047)
            reach = 0.055 + 0.01 * abs(turn)
            ends = self._on_head(0.06 * turn - reach, 0.042), self._on_head(0.06 * turn + reach, 0.042)
            self._chain([(ends[0], ends[1], 0.009, 0.009)], shade(shape, -0.15))
            self._oval(brim, 0.004, 0.004, shade(shape, -0.15), angle)
            return
        if abs(turn) > 0.35:  # seen from the side, the hair covers the back of the head
            centre = self._on_head(back * 1.05, 0.01)
            half = [(-1.0, -0.055), (-1.05, 0.0)]
            way = 1.0 if turn > 0 else -1.0
            points = [self._on_head(way * x * 0.074, y) for x, y in half]
            points += [self._on_head(way * x, y) for x, y in ((-0.02, -0.05), (-0.026, 0.03), (-0.04, 0.05))]
            self._shape([points[1], points[0], points[2], points[3], points[4], centre], hair)
        self._shape([self._on_head(x, y) for x, y in cap + rim], hair)
        if cut == "curly":
            curls = (-0.068, 0.035), (-0.058, 0.072), (-0.02, 0.095), (0.025, 0.095), (0.06, 0.07), (0.068, 0.033)
            for x, y in curls:
                self._oval(self._on_head(x, y), 0.028, 0.028, hair, angle)
            self._oval(self._on_head(-0.02, 0.085), 0.02, 0.014, shade(hair, 0.12), angle)
        else:
            shine = [self._on_head(x, y) for x, y in ((-0.045, 0.068), (-0.03, 0.08), (-0.01, 0.086))]
            self._line(np.array(shine), 0.007, shade(hair, 0.22))

    def _chain(self, links: list, fill: Color) -> None:
        """Draws limbs of several links, (start, end, radius, radius) each, with one outline around all."""
        ink = shade(fill, -0.5)
        for start, end, one, other in links:
            self._limb(start, end, one + OUTLINE, other + OUTLINE, ink)
        self._fill(links, fill)

    def _fill(self, links: list, fill: Color) -> None:
        for start, end, one, other in links:
            self._limb(start, end, one, other, shade(fill, -0.13))
        for start, end, one, other in links:  # light from the upper left
            shift = np.array([-0.22, 0.12])
            self._limb(start + shift * one, end + shift * other, one * 0.76, other * 0.76, fill)

    def _limb(self, start: np.ndarray, end: np.ndarray, one: float, other: float, fill: Color) -> None:
        ends = self._place(np.array([start, end]))
        self._canvas.limb(ends[0], ends[1], one * self._size, other * self._size, fill)

    def _hull(self, circles: list, fill: Color) -> None:
        """Draws the hull of circles (centre, radius), outlined and shaded like the limbs."""
        for grow, shift, tone in ((OUTLINE, 0.0, -0.5), (0.0, 0.0, -0.13), (-0.011, -0.007, 0.0)):
            points = [ellipse(x + shift, y - shift * 0.5, radius + grow, radius + grow) for (x, y), radius in circles]
            self._canvas.hull(self._place(np.concatenate(points)), shade(fill, tone))

    def _shape(self, points: list, fill: Color) -> None:
        """Fills any simple polygon."""
        self._canvas.area(self._place(np.array(points)), fill)

    def _oval(self, centre: np.ndarray, wide: float, high: float, fill: Color, angle: float,
              outline: bool = False) -> None:  # fmt: skip
        x, y = self._place(np.asarray(centre))
        if outline:
            grow = OUTLINE * self._size
            self._canvas.ellipse(x, y, wide * self._size + grow, high * self._size + grow, shade(fill, -0.5), angle)
        self._canvas.ellipse(x, y, wide * self._size, high * self._size, fill, angle)

    def _line(self, points: np.ndarray, width: float, ink: Color) -> None:
        self._canvas.line(self._place(points), width * self._size, ink)

    def _place(self, points: np.ndarray) -> np.ndarray:
        """Turns figure heights, y up, into picture heights, y down."""
        return points * (self._size, -self._size) + (self._x, self._floor)


def _bend(start: np.ndarray, end: np.ndarray, upper: float, lower: float, bend: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the joint between two bones and where the second one ends: short of `end` if that is out of reach.

    Args:
        start: Where the first bone begins.
        end: Where the second one is to end.
        upper: Length of the first.
        lower: Length of the second.
        bend: -1 to 1: to which side of the line from start to end the joint lies; between them the bones point to or
            from the camera and look shorter.
    """
    reach = end - start
    distance = min(max(float(np.hypot(reach[0], reach[1])), 1e-3), (upper + lower) * 0.999)
    along = reach / max(float(np.hypot(reach[0], reach[1])), 1e-3)
    share = (distance**2 + upper**2 - lower**2) / (2 * distance)
    height = math.sqrt(max(0.0, upper**2 - share**2))
    normal = np.array([-along[1], along[0]])
    return start + along * share + normal * (height * bend), start + along * distance
