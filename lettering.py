"""Draws labels in letters that OpenCV 4's fonts don't have: with a font of the system, and Pillow (--extras lang)."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Sequence

import cv2
import numpy as np

from errors import PackageError
from languages import NAMES, display_width

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# Since version 5; but those of East Asia small, never bold, and Japanese ones in their Chinese form.
_OPENCV_DRAWS_ALL = int(cv2.__version__.split(".")[0]) >= 5
_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
_COLLECTIONS = (".ttc", ".otc")  # files that hold several fonts
_KINDS = (".ttf", ".otf", *_COLLECTIONS)
_MOST_FONTS = 64

# How the file names of good fonts begin, best first; letters and digits only.
# Noto's Latin takes five times as long to draw.
_LATIN = ("dejavusans", "liberationsans", "freesans", "notosansregular")
_FONTS = {
    "en": _LATIN,
    "es": _LATIN,
    "ko": ("notosanscjk", "notosanskr", "nanumgothic", "nanumbarungothic", "baekmuk"),
    "ja": ("notosanscjk", "notosansjp", "ipaexg", "ipagp", "ipag", "takaopgothic", "vlpgothic"),
}
# Where a file has the letters of several countries, ours.
_REGION = {"ko": "KR", "ja": "JP"}
_STYLES = re.compile(r"bold|black|light|thin|medium|italic|oblique|condensed|mono|serif|math|variable|\[")
_PACKAGE = {"ko": "fonts-noto-cjk", "ja": "fonts-noto-cjk", "es": "fonts-dejavu-core"}
_TESTED_AT = 12  # pixels of em, enough to tell a letter from the box that stands for a missing one
_NO_LETTER = "\uffff"  # by Unicode's definition no font has it

# Pixels of em at OpenCV's font scale 1: for capitals as tall as OpenCV's; for the square letters of East Asia, which
# then fill the line. These need more pixels to be told apart.
_LATIN_EM, _LATIN_SMALLEST = 29.0, 10
_SQUARE_EM, _SQUARE_SMALLEST = 32.5, 11
# Square letters stand around a middle, so many em above the baseline; so many pixels at scale 1 is where it is to be.
_SQUARE_MIDDLE, _MIDDLE = 0.38, 9.0


class Face:
    """A font file, drawn at any size; stands where overlay.py takes one of OpenCV's fonts.

    Args:
        path: A TrueType or OpenType file.
        index: Of the font in a file that holds several.
        square: Whether it is meant for square letters.

    Attributes:
        path: As given.
        index: As given.
    """

    def __init__(self, path: Path, index: int, square: bool) -> None:
        self.path = path
        self.index = index
        self._square = square
        self._fonts: dict[int, FreeTypeFont] = {}
        # Few texts are on the picture at a time, and each of these is up to some 100 kB.
        self._ink = lru_cache(maxsize=64)(self._draw_ink)

    def width(self, text: str, scale: float) -> int:
        """Returns the pixels from a text's begin to its end, at OpenCV's font scale."""
        return math.ceil(self._font(scale).getlength(text))

    def height(self, scale: float) -> int:
        """Returns the pixels that its letters are tall, at OpenCV's font scale."""
        return self._em(scale)

    def draw(
        self, panel: np.ndarray, text: str, left: int, baseline: int, scale: float, colour: tuple[int, int, int]
    ) -> None:
        """Writes a text, as far as it lies in the panel.

        Args:
            panel: uint8 [H, W, 3] BGR; a view into a picture.
            text: One line.
            left: Column of its begin.
            baseline: Row that the letters stand on.
            scale: OpenCV's font scale.
            colour: Blue, green and red, 0..255.
        """
        ink, light, x, y = self._ink(text, scale, colour)
        left, top = left + x, baseline + y + self._drop(scale)
        cut_left, cut_top = max(0, -left), max(0, -top)
        place = panel[top + cut_top : max(0, top + ink.shape[0]), left + cut_left : max(0, left + ink.shape[1])]
        if place.size:
            seen = np.s_[cut_top : cut_top + place.shape[0], cut_left : cut_left + place.shape[1]]
            cv2.multiply(place, light[seen], dst=place, scale=1 / 255)
            cv2.add(place, ink[seen], dst=place)

    def _em(self, scale: float) -> int:
        em, smallest = (_SQUARE_EM, _SQUARE_SMALLEST) if self._square else (_LATIN_EM, _LATIN_SMALLEST)
        return max(smallest, round(em * scale))

    def _drop(self, scale: float) -> int:
        """Returns by how many pixels letters stand lower than the baseline, to be in the middle of the line."""
        return math.ceil(_SQUARE_MIDDLE * self._em(scale) - _MIDDLE * scale) if self._square else 0

    def _font(self, scale: float) -> FreeTypeFont:
        em = self._em(scale)
        if em not in self._fonts:
            self._fonts[em] = _open(self.path, em, self.index)
        return self._fonts[em]

    def _draw_ink(
        self, text: str, scale: float, colour: tuple[int, int, int]
    ) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Returns what a text adds to a picture, and what it lets through of it: uint8 [h, w, 3]; and where: x, y."""
        mask, (left, top) = self._font(scale).getmask2(text, "L", anchor="ls")
        alpha = _pixels(mask)[:, :, np.newaxis]
        ink = np.rint(alpha * (np.array(colour, np.float32) / 255)).astype(np.uint8)
        return ink, np.repeat(255 - alpha, 3, axis=2), left, top


@dataclass(frozen=True)
class Lettering:
    """What draws the names of a model's classes.

    Attributes:
        regular: A Face, or the number of one of OpenCV's fonts.
        bold: Another one; the same where the font has no bold.
    """

    regular: Face | int
    bold: Face | int


OPENCV = Lettering(cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX)


def open_lettering(lang: str, names: Sequence[str]) -> Lettering:
    """Opens what draws the names: OpenCV's fonts where they do it well, else a font of the system that has the letters.

    Args:
        lang: One of languages.LANGUAGES: which fonts are preferred, and what an error calls the names.
        names: All that may be drawn.

    Raises:
        PackageError: Pillow is missing, or no font of this system has all the letters.
    """
    letters = "".join({letter for name in names for letter in name if not letter.isspace()})
    if letters.isascii() or (_OPENCV_DRAWS_ALL and not _any_square(letters)):
        return OPENCV
    try:
        return _open_faces(lang, letters)
    except PackageError:
        if _OPENCV_DRAWS_ALL:
            return OPENCV
        raise


def _open_faces(lang: str, letters: str) -> Lettering:
    what = f"labels in {NAMES[lang]}" if lang in _PACKAGE else "these labels"
    try:
        from PIL.ImageFont import Layout  # noqa: F401  (9.1 has it)
    except ImportError:
        raise PackageError(f"{what} need Pillow: ./setup.sh --extras lang") from None
    found = _find_font(lang, letters)
    if found is None:
        package = _PACKAGE.get(lang, "fonts-noto-core fonts-noto-cjk")
        raise PackageError(f"{what} need a font: sudo apt install {package}")
    path, index = found
    square = _any_square(letters)
    regular = Face(path, index, square)
    bold = _bold_of(path, index, letters)
    return Lettering(regular, regular if bold is None else Face(bold, index, square))


def _any_square(letters: str) -> bool:
    return any(display_width(letter) == 2 for letter in letters)


def _find_font(lang: str, letters: str) -> tuple[Path, int] | None:
    """Returns the best font file of the system that has the letters, and the font's index in it."""
    for path in sorted(_font_files(), key=lambda path: (*_rank(path, _FONTS[lang]), str(path))):
        index = _index_of(path, _REGION.get(lang))
        if _has(path, index, letters):
            return path, index
    return None


def _font_files() -> Iterator[Path]:
    for folder in _FOLDERS:
        for root, _, names in os.walk(os.path.expanduser(folder)):
            for name in names:
                if name.lower().endswith(_KINDS):
                    yield Path(root, name)


def _rank(path: Path, preferred: Sequence[str]) -> tuple[int, int, int]:
    """Returns what sorts good fonts first: those named, then those without a style, then those of short names."""
    name = path.stem.lower()
    plain = re.sub(r"[^a-z0-9]", "", name)
    place = next((place for place, begin in enumerate(preferred) if plain.startswith(begin)), len(preferred))
    return place, len(_STYLES.findall(name)), len(name)


def _index_of(path: Path, region: str | None) -> int:
    """Returns which font of a file to take: the region's, else the first."""
    if region is not None and path.suffix.lower() in _COLLECTIONS:
        for index in range(_MOST_FONTS):
            try:
                family = (_open(path, _TESTED_AT, index).getname()[0] or "").split()
            except OSError:  # past the last one
                break
            if region in family and "Mono" not in family:
                return index
    return 0


def _has(path: Path, index: int, letters: str) -> bool:
    try:
        font = _open(path, _TESTED_AT, index)
        missing = _drawn(font, _NO_LETTER)
        # The least common letters first: most fonts are ruled out by one look.
        return all(_drawn(font, letter) != missing for letter in sorted(letters, reverse=True))
    except (OSError, ValueError):  # damaged, or drawn in bitmaps of one size
        return False


def _drawn(font: FreeTypeFont, letter: str) -> tuple[tuple[int, ...], bytes]:
    pixels = _pixels(font.getmask(letter))
    return pixels.shape, pixels.tobytes()


def _pixels(mask: Any) -> np.ndarray:
    """Returns what Pillow has drawn as uint8 [h, w]."""
    width, height = mask.size
    return np.array(bytearray(mask), np.uint8).reshape(height, width)


def _bold_of(path: Path, index: int, letters: str) -> Path | None:
    plain = re.sub(r"[-_]?Regular$", "", path.stem)
    files = [path.with_name(f"{plain}{bold}{path.suffix}") for bold in ("-Bold", "Bold", "_Bold")]
    return next((file for file in files if file.is_file() and _has(file, index, letters)), None)


def _open(path: Path, em: int, index: int) -> FreeTypeFont:
    from PIL.ImageFont import FreeTypeFont, Layout

    # truetype() would look for the name in all folders again. The other layout, which joins the letters of Arabic,
    # reads tables of the font for every text: some ms each time, with Pillow 9 and the fonts of East Asia.
    return FreeTypeFont(str(path), em, index, layout_engine=Layout.BASIC)
