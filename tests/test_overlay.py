"""The overlay as a user sees it: judged by the pixels that changed, at every size."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import cv2
import numpy as np
import pytest

from errors import PackageError
from lettering import OPENCV, Lettering, open_lettering
from overlay import KEYS, Status, draw_overlay
from timeline.colours import Looks
from timeline.drawing import Names
from timeline.strip import recent_history
from video_classifier import Category, Prediction

SIZES = [(160, 120), (320, 240), (640, 480), (1280, 720), (1920, 1080), (480, 640), (120, 160), (1000, 200)]
LABELS_FILE = Path(__file__).parent.parent / "labels/kinetics600.txt"
LABELS = LABELS_FILE.read_text().splitlines()
LONGEST = max(LABELS, key=len)
LONG_LABELS = [
    LONGEST,
    *sorted(LABELS, key=len)[-4:],
    "W" * 80,
    "i" * 80,
    "a-word-" * 9,
    "przygotowywanie pączków na śniadanie",
    "",
]
# No text or panel is of this colour: they are grey, or far more colourful.
BACKGROUND = (200, 201, 202)

sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


def plain(size: tuple[int, int], colour: Sequence[int] = BACKGROUND) -> np.ndarray:
    return np.full((size[1], size[0], 3), colour, np.uint8)


def predict(*rows: tuple[str, float], step_time: float = 0.0123) -> Prediction:
    top = [Category(label, probability, index) for index, (label, probability) in enumerate(rows)]
    return Prediction(1.0, step_time, 9, top, np.zeros(600, np.float32), np.full(600, 1 / 600, np.float32))


def status(**changes: object) -> Status:
    values = {"camera_fps": 29.97, "sample_fps": 4.98, "wanted_fps": 5.0, "warming_up": False, **changes}
    return Status(**values)


def draw(size: tuple[int, int], prediction: Prediction | None, shown: Status | None = None) -> np.ndarray:
    """Draws on a plain picture, all of which the model sees."""
    return draw_overlay(plain(size), prediction, shown or status(), (0, 0, *size))


def opened(lang: str) -> tuple[list[str], Lettering]:
    """Returns the names of all classes in a language, and what draws them."""
    names = LABELS_FILE.with_suffix(f".{lang}.txt").read_text(encoding="utf-8").splitlines()
    try:
        return names, open_lettering(lang, names)
    except PackageError as error:
        pytest.skip(str(error))


def panels(picture: np.ndarray, background: Sequence[int] = BACKGROUND) -> list[np.ndarray]:
    """Returns the rectangles that were changed, top to bottom."""
    changed = (picture != background).any(axis=2).astype(np.uint8)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(changed)
    found = []
    for left, top, width, height, area in statistics[1:]:
        assert area == width * height, "what was drawn isn't a rectangle: something sticks out of a panel"
        found.append(picture[top : top + height, left : left + width])
    return found


def coloured(picture: np.ndarray) -> np.ndarray:
    """Marks the pixels that are neither grey text nor grey panel."""
    return np.ptp(picture.astype(int), axis=2) > 80


def bars(picture: np.ndarray) -> list[tuple[int, int]]:
    """Returns (row of pixels, length in pixels) of each bar, top to bottom."""
    lengths = coloured(picture).sum(axis=1)
    return [(y, lengths[y]) for y in range(1, len(lengths)) if lengths[y] and not lengths[y - 1]]


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance as WCAG 2 defines it, of [..., 3] BGR colours."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.0722, 0.7152, 0.2126])


@sizes
def test_returns_a_new_picture_of_the_same_size(size):
    image = plain(size)
    picture = draw_overlay(image, predict((LONGEST, 0.5)), status(help=True, paused=True), (10, 10, 50, 50))
    assert picture.shape == image.shape and picture.dtype == np.uint8
    assert (image == BACKGROUND).all() and not np.shares_memory(image, picture)


@sizes
@pytest.mark.parametrize("label", LONG_LABELS, ids=lambda label: label[:20] or "empty")
def test_text_stays_inside_its_panel(size, label):
    shown = status(warming_up=True, paused=True, message=f"saved {label}.jpg")
    for prediction in (predict((label, 1.0), (label, 0.31), ("x", 0.001)), predict(), None):
        for panel in panels(draw(size, prediction, shown)):
            edge = np.concatenate([panel[0], panel[-1], panel[:, 0], panel[:, -1]])
            assert (edge == edge[0]).all(), "letters are cut off by the panel's edge"


@sizes
@pytest.mark.parametrize("lang", ["ko", "ja", "es"])
def test_names_in_other_letters_stay_inside_their_panel(size, lang):
    names, lettering = opened(lang)
    for name in [*sorted(names, key=len)[-3:], max(names, key=len) * 3, "ATM"]:
        top = [Category("label", probability, 0, name) for probability in (1.0, 0.3)]
        prediction = Prediction(1.0, 0.01, 9, top, np.zeros(1, np.float32), np.ones(1, np.float32))
        picture = draw_overlay(plain(size), prediction, status(truth=name), (0, 0, *size), lettering=lettering)
        for panel in panels(picture):
            edge = np.concatenate([panel[0], panel[-1], panel[:, 0], panel[:, -1]])
            assert np.ptp(edge) < 10, "letters are cut off by the panel's edge"  # a breath of smoothing isn't a letter


@pytest.mark.parametrize("lettering", [None, OPENCV], ids=["none", "opencv"])
def test_a_translation_is_shown_where_there_is_what_draws_it(lettering):
    def rows(*names: str, translation: str = "") -> np.ndarray:
        top = [Category(name, 0.5, 0, translation) for name in names]
        prediction = Prediction(1.0, 0.01, 9, top, np.zeros(1, np.float32), np.ones(1, np.float32))
        return draw_overlay(plain((640, 480)), prediction, status(), (0, 0, 640, 480), lettering=lettering)

    translated = rows("swimming", "running", translation="nadar")
    same = rows("nadar", "nadar") if lettering else rows("swimming", "running")
    assert (translated == same).all()
    assert (rows("swimming", "running") != rows("nadar", "nadar")).any()


@sizes
def test_help_stays_inside_its_panel(size):
    drawn = panels(draw(size, predict((LONGEST, 0.9)), status(help=True, message="recording")))
    help_panel = max(drawn, key=lambda panel: coloured(panel).any(axis=1).sum())
    edge = np.concatenate([help_panel[0], help_panel[-1], help_panel[:, 0], help_panel[:, -1]])
    assert (edge == edge[0]).all()


def lines(help_panel: np.ndarray) -> int:
    """Returns the lines of text with a gap above each."""
    inked = (help_panel.max(axis=2) > 150).any(axis=1)
    return np.count_nonzero(inked[1:] & ~inked[:-1])


def test_help_has_a_line_a_key():
    without = draw((640, 480), predict((LONGEST, 0.9)))
    picture = draw((640, 480), predict((LONGEST, 0.9)), status(help=True))
    (y, x) = np.nonzero((picture != without).any(axis=2))
    assert lines(picture[y.min() : y.max() + 1, x.min() : x.max() + 1]) == len(KEYS)
    assert (np.delete(picture, np.unique(y), axis=0) == np.delete(without, np.unique(y), axis=0)).all()


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (480, 640), (1280, 720)])
def test_help_is_not_squeezed_by_the_chart_and_many_predictions(size):
    top = predict(*((label, 0.1) for label in LABELS[:10]))
    shown, recent = status(help=True, strip=True), (recent_history(), Looks(), Names())
    picture = draw_overlay(plain(size), top, shown, (0, 0, *size), recent)
    help_panel = min(panels(picture), key=lambda panel: panel.shape[1])
    assert lines(help_panel) == len(KEYS)


@pytest.mark.parametrize("size", [(160, 120), (120, 160)])
def test_on_a_tiny_picture_help_takes_the_place_of_the_chart(size):
    shown, recent = status(help=True, strip=True), (recent_history(), Looks(), Names())
    with_chart = draw_overlay(plain(size), predict(("yoga", 0.5)), shown, (0, 0, *size), recent)
    assert (with_chart == draw(size, predict(("yoga", 0.5)), status(help=True))).all()


@sizes
def test_bars_are_as_long_as_the_probabilities(size):
    probabilities = [1.0, 0.62, 0.25, 0.04]
    drawn = bars(draw(size, predict(*((LONGEST, probability) for probability in probabilities))))
    assert len(drawn) >= 3
    full = drawn[0][1]
    assert full > 0.5 * min(size)
    assert [length for _, length in drawn] == pytest.approx([full * p for p in probabilities[: len(drawn)]], abs=1)


@sizes
def test_every_row_has_its_percentage_free_of_the_label(size):
    """A label that is too long must leave alone every pixel of the percentage beside it."""
    probabilities = [0.88, 0.1, 0.001]
    full = panels(draw(size, predict(*(("", 1.0) for _ in probabilities))))[-1]
    short = panels(draw(size, predict(*(("", p) for p in probabilities))))[-1]
    long = panels(draw(size, predict(*(("W" * 80, p) for p in probabilities))))[-1]
    above = np.nonzero(~coloured(full).any(axis=1))[0]  # the rows of pixels without a bar
    lines = [line for line in np.split(above, np.nonzero(np.diff(above) > 1)[0] + 1)][:-1]
    assert len(lines) == 3
    for line in lines:
        inked = np.nonzero((short[line].max(axis=2) > 130).any(axis=0))[0]
        percentage = slice(inked.min(), inked.max() + 1)
        assert 4 <= len(inked) and inked.max() - inked.min() < size[0] / 3
        assert (short[line, percentage] == long[line, percentage]).all()
        assert (short[line] != long[line]).any(), "the label is missing"


@sizes
@pytest.mark.parametrize("colour", [(254, 255, 254), (4, 3, 4)], ids=["white", "black"])
def test_text_contrasts_with_its_panel(size, colour):
    picture = draw_overlay(plain(size, colour), predict((LONGEST, 0), ("x", 0)), status(warming_up=True), (0, 0, *size))
    for panel in panels(picture, colour):
        shades = luminance(panel.reshape(-1, 3).astype(float))
        ground = luminance(panel[0, 0].astype(float))
        strokes = np.sort(shades[shades != ground])
        # The brightest third: the others are the blurred edges of letters, and what is empty of bars.
        assert (strokes[len(strokes) * 2 // 3 :].mean() + 0.05) / (ground + 0.05) >= 4.5


@sizes
def test_says_that_no_action_is_above_the_threshold(size):
    empty, waiting = draw(size, predict()), draw(size, None)
    for picture in (empty, waiting):
        assert not bars(picture)
        message = panels(picture)[-1]
        assert np.count_nonzero((message.max(axis=2) > 150).any(axis=0)) > 20
    assert not np.array_equal(panels(empty)[-1], panels(waiting)[-1])


@sizes
def test_marks_are_there_only_when_they_should_be(size):
    prediction = predict((LONGEST, 0.0))
    assert not coloured(draw(size, prediction)).any()
    pictures = [
        draw(size, prediction, status(**mark))
        for mark in ({"warming_up": True}, {"paused": True}, {"message": "recording"})
    ]
    for picture in pictures:
        assert coloured(picture[: size[1] // 2]).any()
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])


@pytest.mark.parametrize("change", [{"camera_fps": 14.0}, {"sample_fps": 3.1}, {"wanted_fps": 8.0}])
def test_rates_and_step_time_are_shown(change):
    for size in SIZES[:5]:
        usual = draw(size, predict(("x", 0.5)))
        assert not np.array_equal(usual, draw(size, predict(("x", 0.5)), status(**change)))
        assert not np.array_equal(usual, draw(size, predict(("x", 0.5), step_time=0.3)))


def test_the_seen_square_is_outlined_and_left_clear():
    width, height, left = 640, 480, 80
    image = plain((width, height))
    picture = draw_overlay(image, predict(("x", 0.5)), status(), (left, 0, height, height))
    row = np.nonzero((picture[height // 2] != BACKGROUND).any(axis=1))[0]
    assert row.tolist() == [left, left + 1, left + height - 2, left + height - 1]
    # It can be told from the picture, be that light or dark.
    assert picture[height // 2, left].max() < 30 and picture[height // 2, left + 1].min() > 220


def test_nothing_is_outlined_if_the_model_sees_everything():
    picture = draw((640, 480), predict(("x", 0.5)))
    assert (picture[200:300] == BACKGROUND).all()


def test_as_many_rows_as_fit():
    for size in SIZES:
        picture = draw(size, predict(*(("label", 1.0) for _ in range(60))))
        drawn = bars(picture)
        assert 3 <= len(drawn) < 60
        distances = np.diff([y for y, _ in drawn])
        assert (distances == distances[0]).all(), "a row is squeezed or covered"
        status_height = len(panels(picture)[0])
        usual = draw(size, predict(("label", 1.0)))
        assert status_height == len(panels(usual)[0]) and (picture[:status_height] == usual[:status_height]).all()


def test_best_row_stands_out():
    picture = draw((640, 480), predict(("the same", 0.5), ("the same", 0.5)))
    (first, _), (second, _) = bars(picture)
    best, other = picture[first - 16 : first, :200], picture[second - 16 : second, :200]
    assert best.max(axis=2).astype(int).sum() > other.max(axis=2).astype(int).sum()
    column = np.nonzero(coloured(picture)[first])[0][0]
    assert (picture[first, column] != picture[second, column]).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (16, 16), (40, 30), (64, 48)])
def test_tiny_pictures_do_no_harm(size):
    for shown in (status(), status(help=True, warming_up=True, paused=True, message="recording")):
        for prediction in (predict((LONGEST, 0.9), ("x", 0.1)), predict(), None):
            assert draw(size, prediction, shown).shape == (size[1], size[0], 3)


def test_a_mirrored_view_can_be_drawn_on():
    image = np.random.default_rng(5).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    view = image[:, ::-1]
    args = predict((LONGEST, 0.9)), status(), (40, 0, 240, 240)
    assert (draw_overlay(view, *args) == draw_overlay(view.copy(), *args)).all()
