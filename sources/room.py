"""The rooms of the demo: an endless wall with furniture, drawn once a room and size, then shown through a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

import cv2
import numpy as np

from sources.canvas import Canvas, Color, color, ellipse, mix, shade

# What may be seen beyond the strip's borders when the camera is held by hand.
MARGIN = 0.03
SLOT = 0.62


@dataclass(frozen=True)
class Palette:
    """The colours of a room, BGR: what is light on the wall, and two or three that suit it."""

    wall: Color
    floor: Color
    accents: Sequence[Color]


def _palette(wall: str, floor: str, *accents: str) -> Palette:
    return Palette(color(wall), color(floor), [color(accent) for accent in accents])


PALETTES = (
    _palette("f1e1cb", "b98a5e", "4f7f86", "d2866a", "e0b765"),
    _palette("cbe0e6", "c49c70", "5a7d9a", "e2a35a", "7fa7a0"),
    _palette("d5e2ca", "a67c58", "6f9270", "d9a05b", "8aa7ad"),
    _palette("f3d7d0", "a97b62", "b5707a", "6d8fa3", "e3b48c"),
    _palette("3f5f6d", "6b4f3d", "c9986a", "8fb0a9", "d4b483"),
    _palette("e6e3de", "98918a", "d8ab4e", "5f7f9f", "9fb3a5"),
    _palette("e2d5e8", "ab8d70", "8d78a8", "d7b370", "7d9fb0"),
    _palette("54517a", "6f5548", "d9a26a", "8a86b8", "c78f8f"),
    _palette("f4e4b4", "b0805c", "d98f5f", "6c98a0", "a3b070"),
    _palette("7fa39b", "8f6b50", "e0c490", "c97f62", "4f766f"),
)


class Room:
    """One room; the same numbers always give the same room.

    Args:
        seed: Whole numbers that choose it.
    """

    def __init__(self, seed: Sequence[int]) -> None:
        generator = np.random.default_rng(seed)
        self.palette = PALETTES[generator.integers(len(PALETTES))]
        self.skirting = generator.uniform(0.735, 0.785)
        self._slots = int(generator.integers(5, 8))
        self.period = self._slots * SLOT
        self._seed = int(generator.integers(2**31))
        self._strips: dict[tuple[int, int], np.ndarray] = {}

    def view(self, x: float, y: float, width: int, height: int) -> np.ndarray:
        """Shows the room from a place.

        Args:
            x: The wall's coordinate at the picture's centre, in heights; any value, the wall is endless.
            y: How far the camera looks down, in heights, at most MARGIN.
            width: Columns of the picture.
            height: Rows of the picture.

        Returns:
            uint8 [height, width, 3], BGR, new memory.
        """
        size = width, height
        if size not in self._strips:
            self._strips = {size: self._paint(width, height)}
        unit = min(size)
        strip = self._strips[size]
        column = (x % self.period + MARGIN) * unit + width / 2 - 0.5
        row = (y + MARGIN) * unit + height / 2 - 0.5
        return cv2.getRectSubPix(strip, size, (column, row))

    def _paint(self, width: int, height: int) -> np.ndarray:
        """Draws one period of the wall and the width of a picture more, so that every view is in one piece."""
        unit = min(width, height)
        view_width, view_height = width / unit, height / unit
        columns = int((self.period + view_width + 2 * MARGIN) * unit) + 2
        rows = int((view_height + 2 * MARGIN) * unit) + 2
        left, top = -view_width / 2 - MARGIN, (1 - view_height) / 2 - MARGIN
        canvas = Canvas(np.empty((rows, columns, 3), np.uint8), unit, left, top)
        generator = np.random.default_rng(self._seed)
        self._paint_wall(canvas, generator)
        self._paint_floor(canvas, generator)
        previous = -1
        for slot in range(self._slots):
            kind = int((previous + 1 + generator.integers(len(_FURNITURE) - 1)) % len(_FURNITURE))
            previous = kind
            middle = (slot + 0.5 + generator.uniform(-0.07, 0.07)) * SLOT
            seed = int(generator.integers(2**31))
            self._repeat(canvas, middle, seed, _FURNITURE[kind])
        return canvas.image

    def _repeat(self, canvas: Canvas, x: float, seed: int, paint: Callable) -> None:
        """Draws the same thing wherever the endless wall shows it."""
        right = canvas.left + canvas.image.shape[1] / canvas.unit
        for turn in range(-2, 3):
            if canvas.left - SLOT < x + turn * self.period < right + SLOT:
                paint(canvas, x + turn * self.period, self.skirting, self.palette, np.random.default_rng(seed))

    def _paint_wall(self, canvas: Canvas, generator: np.random.Generator) -> None:
        rows, columns = canvas.image.shape[:2]
        depth = ((np.arange(rows) + 0.5) / canvas.unit + canvas.top)[:, None]
        fade = np.clip(depth / self.skirting, 0.0, 1.0)
        upper, lower = np.array(shade(self.palette.wall, 0.12)), np.array(shade(self.palette.wall, -0.07))
        canvas.image[:] = (upper + (lower - upper) * fade)[:, None]
        pattern = generator.integers(4)
        tint = shade(self.palette.wall, -0.06 if sum(self.palette.wall) > 380 else 0.06)
        step = SLOT / int(generator.integers(3, 6))
        places = np.arange(canvas.left // step, (columns / canvas.unit + canvas.left) / step + 1) * step
        if pattern == 1:  # stripes
            for x in places:
                canvas.rectangle(x, canvas.top - 1, x + step * 0.5, self.skirting, tint)
        elif pattern == 2:  # dots
            for row, y in enumerate(np.arange(canvas.top // 0.09 * 0.09, self.skirting, 0.09)):
                for x in places:
                    canvas.ellipse(x + (row % 2) * step / 2, y, 0.011, 0.011, tint)
        elif pattern == 3:  # panels along the lower wall
            canvas.rectangle(canvas.left - 1, 0.5, 1e3 / canvas.unit * 16, self.skirting, tint)
            edge = shade(tint, 0.3)
            canvas.rectangle(canvas.left - 1, 0.49, 1e3 / canvas.unit * 16, 0.503, edge)
            for x in places:
                canvas.rectangle(x, 0.5, x + 0.006, self.skirting, shade(tint, -0.06))

    def _paint_floor(self, canvas: Canvas, generator: np.random.Generator) -> None:
        rows, columns = canvas.image.shape[:2]
        right = canvas.left + columns / canvas.unit
        first = int(round((self.skirting - canvas.top) * canvas.unit))
        depth = (np.arange(first, rows) + 0.5 - first) / max(1.0, (1.05 - self.skirting) * canvas.unit)
        near, far = np.array(shade(self.palette.floor, 0.1)), np.array(shade(self.palette.floor, -0.22))
        canvas.image[first:] = (far + (near - far) * np.clip(depth, 0, 1)[:, None])[:, None]
        bottom = canvas.top + rows / canvas.unit
        # Boards look wider the nearer they are.
        edges, y, board = [], self.skirting, 0.022
        while y < bottom:
            edges.append(y)
            y, board = y + board, board * 1.35
        step = SLOT / 2
        for row, (upper, lower) in enumerate(zip(edges, edges[1:] + [bottom])):
            joint = shade(self.palette.floor, -0.3 + 0.03 * row)
            canvas.rectangle(canvas.left - 1, upper, right + 1, upper + 0.0025 + 0.0004 * row, joint)
            shift = (row * 0.37 % 1.0) * step
            for x in np.arange(canvas.left // step, right / step + 1) * step + shift:
                canvas.rectangle(x, upper, x + 0.003, lower, joint)
        for _ in range(int(generator.integers(1, 3))):
            seed, x = int(generator.integers(2**31)), generator.uniform(0, self.period)
            self._repeat(canvas, x, seed, _rug)
        board_color = shade(self.palette.wall, 0.6)
        canvas.rectangle(canvas.left - 1, self.skirting - 0.035, right + 1, self.skirting, board_color)
        canvas.rectangle(canvas.left - 1, self.skirting - 0.004, right + 1, self.skirting, shade(board_color, -0.2))


def _accent(palette: Palette, generator: np.random.Generator) -> Color:
    """Chooses a colour that stays behind: the figure in front is what counts."""
    return mix(palette.accents[generator.integers(len(palette.accents))], palette.wall, generator.uniform(0.15, 0.4))


def _rug(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    base = mix(_accent(palette, generator), palette.floor, 0.35)
    y = floor + generator.uniform(0.13, 0.16)
    for scale, tone in ((1.0, -0.12), (0.93, 0.0), (0.72, 0.16), (0.64, 0.0)):
        canvas.ellipse(x, y, 0.42 * scale, 0.075 * scale, shade(base, tone))


def _window(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    wide, high = generator.uniform(0.15, 0.19), generator.uniform(0.17, 0.21)
    y = floor - generator.uniform(0.44, 0.48)
    night = sum(palette.wall) < 330
    sky = color("31406b") if night else color("bfe3f2")
    canvas.rectangle(x - wide - 0.02, y - high - 0.02, x + wide + 0.02, y + high + 0.02, shade(palette.wall, 0.65))
    low, top = np.array([x - wide, y - high]), np.array([x + wide, y + high])

    def inside(points: np.ndarray, fill: Color) -> None:
        canvas.polygon(np.clip(points, low, top), fill)

    canvas.rectangle(x - wide, y - high, x + wide, y + high, sky)
    canvas.rectangle(x - wide, y, x + wide, y + high, shade(sky, 0.2))
    sun = generator.uniform(-0.6, 0.6) * wide
    inside(ellipse(x + sun, y - high * 0.4, 0.04, 0.04), color("f6f0d4") if night else color("ffe9a8"))
    hills = mix(color("2f5560") if night else color("9cc59a"), palette.accents[0], 0.25)
    inside(ellipse(x - wide * 0.6, y + high * 1.1, wide, high * 0.7), shade(hills, 0.15))
    inside(ellipse(x + wide * 0.7, y + high * 1.2, wide * 1.1, high * 0.75), hills)
    frame = shade(palette.wall, 0.7)
    canvas.rectangle(x - 0.007, y - high, x + 0.007, y + high, frame)
    canvas.rectangle(x - wide, y - 0.006, x + wide, y + 0.006, frame)
    canvas.rectangle(x - wide - 0.035, y + high + 0.012, x + wide + 0.035, y + high + 0.03, shade(frame, -0.08))
    if generator.random() < 0.7:
        cloth = mix(_accent(palette, generator), (255, 255, 255), 0.25)
        for side in (-1, 1):
            outer, inner = x + side * (wide + 0.055), x + side * wide * 0.68
            points = [[outer, y - high - 0.03], [inner, y - high - 0.03], [inner + side * 0.035, y + high * 0.2]]
            points += [[inner + side * 0.02, y + high + 0.07], [outer, y + high + 0.07]]
            canvas.polygon(np.array(points), cloth)
            for fold in (0.3, 0.6):
                fx = outer + (inner - outer) * fold
                canvas.rectangle(fx, y - high - 0.03, fx + 0.006, y + high + 0.07, shade(cloth, -0.1))
        canvas.limb(np.array([x - wide - 0.08, y - high - 0.035]), np.array([x + wide + 0.08, y - high - 0.035]),
                    0.008, 0.008, shade(palette.floor, -0.3))  # fmt: skip


def _picture(canvas: Canvas, x: float, y: float, wide: float, high: float, palette: Palette,
             generator: np.random.Generator) -> None:  # fmt: skip
    frame = shade(palette.floor, -0.25) if generator.random() < 0.5 else shade(palette.wall, 0.7)
    canvas.rectangle(x - wide + 0.006, y - high + 0.008, x + wide + 0.006, y + high + 0.008, shade(palette.wall, -0.18))
    canvas.rectangle(x - wide, y - high, x + wide, y + high, frame)
    low, top = np.array([x - wide + 0.012, y - high + 0.012]), np.array([x + wide - 0.012, y + high - 0.012])
    canvas.rectangle(low[0], low[1], top[0], top[1], shade(_accent(palette, generator), 0.55))
    for _ in range(3):
        cx, cy = generator.uniform(low, top)
        blob = ellipse(cx, cy, wide * generator.uniform(0.25, 0.7), high * generator.uniform(0.25, 0.7))
        canvas.polygon(np.clip(blob, low, top), _accent(palette, generator))


def _pictures(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    y = floor - 0.47
    if generator.random() < 0.5:
        _picture(canvas, x - 0.1, y, 0.075, 0.1, palette, generator)
        _picture(canvas, x + 0.1, y - 0.03, 0.09, 0.07, palette, generator)
        _picture(canvas, x + 0.08, y + 0.11, 0.06, 0.05, palette, generator)
    else:
        _picture(canvas, x, y, 0.15, 0.1, palette, generator)
    if generator.random() < 0.6:
        _plant(canvas, x + generator.uniform(-0.15, 0.15), floor, palette, generator)


def _sofa(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    _picture(canvas, x, floor - 0.47, 0.11, 0.085, palette, generator)
    base = _accent(palette, generator)
    dark = shade(base, -0.15)
    point = np.array
    canvas.glow(x, floor + 0.035, 0.34, 0.03, (30, 30, 40), 0.3)
    for side in (-1, 1):
        canvas.rectangle(x + side * 0.2 - 0.01, floor, x + side * 0.2 + 0.01, floor + 0.035, shade(palette.floor, -0.5))
    canvas.limb(point([x - 0.2, floor - 0.17]), point([x + 0.2, floor - 0.17]), 0.05, 0.05, dark)
    canvas.rectangle(x - 0.25, floor - 0.17, x + 0.25, floor, dark)
    for side in (-1, 1):
        canvas.limb(point([x + side * 0.1 - 0.065, floor - 0.04]), point([x + side * 0.1 + 0.065, floor - 0.04]),
                    0.032, 0.032, base)  # fmt: skip
    canvas.rectangle(x - 0.25, floor - 0.02, x + 0.25, floor + 0.015, dark)
    for side in (-1, 1):
        canvas.limb(point([x + side * 0.25, floor - 0.1]), point([x + side * 0.25, floor - 0.01]), 0.035, 0.032, base)
    cushion = shade(_accent(palette, generator), 0.2)
    canvas.limb(point([x - 0.15, floor - 0.12]), point([x - 0.13, floor - 0.1]), 0.045, 0.045, cushion)


def _plant(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    size = generator.uniform(0.8, 1.25)
    leaf = mix(color("4f7d5a"), palette.wall, generator.uniform(0.1, 0.35))
    canvas.glow(x, floor + 0.03, 0.1, 0.02, (30, 30, 40), 0.3)
    for angle in np.linspace(-1.15, 1.15, 7) + generator.uniform(-0.1, 0.1, 7):
        length = size * generator.uniform(0.1, 0.15)
        tip = np.array([x + np.sin(angle) * length, floor - 0.07 - np.cos(angle) * length * 1.3])
        tone = shade(leaf, generator.uniform(-0.15, 0.15))
        canvas.ellipse(tip[0], tip[1], 0.024 * size, length * 0.62, tone, angle)
    pot = mix(color("c98a66"), palette.accents[-1], 0.4)
    canvas.polygon(np.array([[-0.055, -0.08], [0.055, -0.08], [0.04, 0.03], [-0.04, 0.03]]) + (x, floor), pot)
    canvas.rectangle(x - 0.06, floor - 0.085, x + 0.06, floor - 0.062, shade(pot, 0.2))


def _lamp(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    y = floor - generator.uniform(0.4, 0.46)
    canvas.glow(x, y + 0.03, 0.27, 0.27, (170, 225, 255), 0.45)
    metal = shade(palette.floor, -0.45)
    canvas.rectangle(x - 0.006, y, x + 0.006, floor + 0.02, metal)
    canvas.limb(np.array([x - 0.05, floor + 0.02]), np.array([x + 0.05, floor + 0.02]), 0.009, 0.009, metal)
    cloth = mix(_accent(palette, generator), (190, 235, 255), 0.6)
    canvas.polygon(np.array([[-0.045, -0.06], [0.045, -0.06], [0.085, 0.07], [-0.085, 0.07]]) + (x, y), cloth)
    if generator.random() < 0.6:
        _picture(canvas, x + 0.19, floor - 0.42, 0.06, 0.08, palette, generator)


def _shelf(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    wood = mix(shade(palette.floor, 0.1), palette.wall, 0.2)
    wide, top = 0.16, floor - generator.uniform(0.48, 0.6)
    canvas.glow(x, floor + 0.02, 0.22, 0.025, (30, 30, 40), 0.3)
    canvas.rectangle(x - wide - 0.012, top - 0.012, x + wide + 0.012, floor + 0.015, wood)
    rows = 4
    gap = (floor - top) / rows
    for row in range(rows):
        upper, lower = top + row * gap, top + (row + 1) * gap - 0.012
        canvas.rectangle(x - wide, upper, x + wide, lower, shade(wood, -0.3))
        book = x - wide + 0.008
        while book < x + wide - 0.03:
            thick = generator.uniform(0.014, 0.028)
            if generator.random() < 0.8:
                high = (lower - upper) * generator.uniform(0.6, 0.9)
                tone = shade(_accent(palette, generator), generator.uniform(-0.1, 0.3))
                canvas.rectangle(book, lower - high, book + thick, lower, tone)
                canvas.rectangle(book, lower - high * 0.8, book + thick, lower - high * 0.74, shade(tone, 0.3))
            book += thick + 0.003


def _door(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    tone = mix(_accent(palette, generator), shade(palette.wall, 0.5), 0.35)
    top = floor - 0.62
    canvas.rectangle(x - 0.165, top - 0.025, x + 0.165, floor, shade(palette.wall, 0.6))
    canvas.rectangle(x - 0.14, top, x + 0.14, floor, tone)
    for upper, lower in ((0.04, 0.27), (0.32, 0.58)):
        for left in (-0.11, 0.015):
            canvas.rectangle(x + left, top + upper, x + left + 0.095, top + lower, shade(tone, -0.12))
            canvas.rectangle(x + left + 0.006, top + upper + 0.008, x + left + 0.095, top + lower, shade(tone, 0.08))
    canvas.ellipse(x + 0.122, top + 0.33, 0.011, 0.011, color("d9b25f"))


def _sideboard(canvas: Canvas, x: float, floor: float, palette: Palette, generator: np.random.Generator) -> None:
    wood = mix(shade(palette.floor, 0.05), palette.wall, 0.15)
    canvas.glow(x, floor + 0.03, 0.28, 0.025, (30, 30, 40), 0.3)
    for side in (-1, 1):
        leg = x + side * 0.19
        canvas.rectangle(leg - 0.008, floor - 0.03, leg + 0.008, floor + 0.03, shade(wood, -0.4))
    canvas.rectangle(x - 0.22, floor - 0.18, x + 0.22, floor - 0.02, wood)
    canvas.rectangle(x - 0.23, floor - 0.19, x + 0.23, floor - 0.175, shade(wood, 0.2))
    for left in (-0.2, 0.005):
        canvas.rectangle(x + left, floor - 0.16, x + left + 0.195, floor - 0.04, shade(wood, -0.12))
        canvas.ellipse(x + left + 0.1, floor - 0.1, 0.008, 0.008, color("e3c98c"))
    vase = shade(_accent(palette, generator), 0.15)
    for angle in (-0.5, -0.1, 0.35):
        flower = np.array([x - 0.13 + np.sin(angle) * 0.1, floor - 0.25 - np.cos(angle) * 0.1])
        canvas.limb(np.array([x - 0.13, floor - 0.25]), flower, 0.003, 0.003, color("5d8a5f"))
        canvas.ellipse(flower[0], flower[1], 0.018, 0.018, shade(_accent(palette, generator), 0.1))
    canvas.ellipse(x - 0.13, floor - 0.225, 0.026, 0.036, vase)
    canvas.ellipse(x + 0.03, floor - 0.45, 0.105, 0.105, shade(palette.floor, -0.1))
    canvas.ellipse(x + 0.03, floor - 0.45, 0.092, 0.092, mix(palette.wall, (250, 245, 235), 0.6))
    canvas.limb(np.array([x - 0.005, floor - 0.43]), np.array([x + 0.05, floor - 0.49]), 0.006, 0.006, (255, 252, 246))


_FURNITURE = (_window, _pictures, _sofa, _plant, _lamp, _shelf, _door, _sideboard)
