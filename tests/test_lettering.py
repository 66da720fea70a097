"""Names drawn with fonts of the system, judged by the pixels."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import lettering
from errors import PackageError
from lettering import OPENCV, Face, open_lettering

ROOT = Path(__file__).parent.parent
FONTS = Path("/usr/share/fonts")
TEXTS = {"ko": "기타 연주", "ja": "眼鏡の位置を直す", "es": "jugar al bádminton"}
WHITE = (255, 255, 255)

languages = pytest.mark.parametrize("lang", TEXTS)
opencv_4 = pytest.mark.skipif(cv2.__version__ >= "5", reason="OpenCV 5 has a font of other proportions")


def names(lang: str) -> list[str]:
    return ROOT.joinpath(f"labels/kinetics600.{lang}.txt").read_text(encoding="utf-8").splitlines()


def font_file(name: str) -> Path:
    path = next(FONTS.rglob(name), None)
    if path is None:
        pytest.skip(f"no {name}: sudo apt install fonts-noto-cjk fonts-dejavu-core")
    return path


@pytest.fixture(autouse=True)
def opencv_cannot(monkeypatch):
    """As with OpenCV 4, which knows ASCII only, whichever is installed."""
    pytest.importorskip("PIL", reason="Pillow is not installed: ./setup.sh --extras lang")
    monkeypatch.setattr(lettering, "_OPENCV_DRAWS_ALL", False)


@pytest.fixture(scope="module")
def opened():
    """Opens the lettering of a language once."""
    cache = {}

    def opened(lang: str) -> lettering.Lettering:
        font_file("DejaVuSans.ttf" if lang == "es" else "NotoSansCJK-Regular.ttc")
        if lang not in cache:
            cache[lang] = open_lettering(lang, names(lang))
        return cache[lang]

    return opened


def draw(face: Face, text: str, scale: float = 1.0, colour=WHITE, background=0) -> np.ndarray:
    picture = np.full((80, 1200, 3), background, np.uint8)
    face.draw(picture, text, 20, 50, scale, colour)
    return picture


def extent(picture: np.ndarray) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of what was drawn on black, the last two exclusive."""
    rows, columns = np.nonzero(picture.max(axis=2) > 30)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def points(path: Path, index: int) -> set[int]:
    """Returns the code points that a font says it has."""
    fonts = pytest.importorskip("fontTools.ttLib", reason="fontTools is not installed; matplotlib brings it")
    return set(fonts.TTFont(path, fontNumber=index, lazy=True).getBestCmap())


@languages
def test_the_font_has_every_letter_of_the_translation(lang, opened):
    letters = {ord(letter) for name in names(lang) for letter in name}
    for face in (opened(lang).regular, opened(lang).bold):
        assert letters <= points(face.path, face.index)


def test_japanese_is_not_drawn_in_chinese_forms(opened):
    from PIL import Image, ImageDraw, ImageFont

    face = opened("ja").regular
    drawn = draw(face, "直")[:, :, 0]
    em, baseline = 32, 54  # at scale 1
    alone = {}  # drawn by Pillow alone, in each font of the file
    for index in range(10):
        font = ImageFont.truetype(str(face.path), em, index=index)
        image = Image.new("L", drawn.shape[::-1])
        ImageDraw.Draw(image).text((20, baseline), "直", fill=255, font=font, anchor="ls")
        alone[font.getname()[0]] = np.asarray(image)
    assert (drawn == alone["Noto Sans CJK JP"]).all()
    assert (drawn != alone["Noto Sans CJK SC"]).any()


@languages
def test_what_is_drawn_is_as_wide_as_announced(lang, opened):
    for face in (opened(lang).regular, opened(lang).bold):
        for scale in (0.32, 0.48, 0.72, 1.08):
            for name in [TEXTS[lang], *names(lang)[::97]]:
                left, _, right, _ = extent(draw(face, name, scale))
                width = face.width(name, scale)
                assert 20 - 2 <= left and right <= 20 + width + 1
                assert right - left > width - 40 * scale - 3, "far narrower than announced"


@languages
def test_bold_is_bolder(lang, opened):
    regular, bold = (draw(face, TEXTS[lang]).sum(dtype=int) for face in (opened(lang).regular, opened(lang).bold))
    assert bold > 1.15 * regular


@languages
def test_letters_grow_with_the_scale_but_stay_legible(lang, opened):
    face = opened(lang).regular
    heights = []
    for scale in (0.1, 0.32, 0.5, 1.0, 1.5):
        _, top, _, bottom = extent(draw(face, TEXTS[lang], scale))
        heights.append(bottom - top)
    assert heights[3] == pytest.approx(2 * heights[2], abs=3)
    assert heights[4] == pytest.approx(3 * heights[2], abs=4)
    assert heights[0] == heights[1] >= 9


@opencv_4
def test_latin_capitals_are_as_tall_as_opencvs(opened):
    for scale in (0.48, 0.72, 1.08):
        picture = np.zeros((80, 1200, 3), np.uint8)
        cv2.putText(picture, "H", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, scale, WHITE, 1, cv2.LINE_AA)
        _, top, _, bottom = extent(picture)
        _, our_top, _, our_bottom = extent(draw(opened("es").regular, "H", scale))
        assert our_top == pytest.approx(top, abs=2) and our_bottom == pytest.approx(bottom, abs=2)


@pytest.mark.parametrize("lang", ["ko", "ja"])
@pytest.mark.parametrize("side", [240, 480, 720, 1080])
def test_square_letters_fit_a_row_of_the_overlay(lang, side, opened):
    """A row has room for OpenCV's tallest letters, and a little air above them."""
    scale = max(0.32, side / 1000)
    (_, above), below = cv2.getTextSize("Ag(|", cv2.FONT_HERSHEY_DUPLEX, scale, max(1, round(1.6 * scale)))
    for name in names(lang)[::29]:
        _, top, _, bottom = extent(draw(opened(lang).bold, name, scale))
        assert 50 - top <= above + below // 4 + max(2, round(0.3 * above)) and bottom - 50 <= below + 1


@languages
def test_colour_is_mixed_with_the_panel(lang, opened):
    picture = draw(opened(lang).bold, TEXTS[lang], 1.2, colour=(0, 159, 230), background=40)
    strongest = picture[np.abs(picture.astype(int) - 40).sum(axis=2).argmax() // 1200].astype(int)
    distance = np.abs(strongest - (0, 159, 230)).sum(axis=1).min()
    assert distance <= 6, "no pixel is wholly of the colour"
    share = (picture[..., 2].astype(int) - 40) / (230 - 40)  # of ink, by one channel; so it must be by another
    expected = 40 + share * (159 - 40)
    assert np.abs(picture[..., 1] - expected).max() <= 3
    assert (picture[:10] == 40).all() and (picture[70:] == 40).all()


@languages
def test_on_white_nothing_wraps_around(lang, opened):
    picture = draw(opened(lang).regular, TEXTS[lang], colour=WHITE, background=255)
    assert picture.min() >= 253


@languages
@pytest.mark.parametrize("left", [-60, -5, 0, 90, 99, 100, 300])
@pytest.mark.parametrize("baseline", [-20, 0, 5, 30, 44, 60, 200])
def test_only_the_panel_is_drawn_on(lang, left, baseline, opened):
    face = opened(lang).regular
    canvas = np.zeros((400, 900, 3), np.uint8)
    face.draw(canvas, TEXTS[lang], 200 + left, 100 + baseline, 1.0, WHITE)
    picture = np.zeros((400, 900, 3), np.uint8)
    face.draw(picture[100:145, 200:300], TEXTS[lang], left, baseline, 1.0, WHITE)
    assert (picture[100:145, 200:300] == canvas[100:145, 200:300]).all()
    picture[100:145, 200:300] = 0
    assert not picture.any()


def test_nothing_to_draw_draws_nothing(opened):
    assert not draw(opened("ko").regular, "").any()
    assert not draw(opened("ko").regular, "   ").any()
    assert opened("ko").regular.width("", 1.0) == 0


@languages
def test_a_text_is_rendered_once(lang, opened, monkeypatch):
    import PIL.ImageDraw

    face = opened(lang).bold
    first = draw(face, TEXTS[lang], 0.9)
    monkeypatch.setattr(PIL.ImageDraw, "Draw", None)
    assert (draw(face, TEXTS[lang], 0.9) == first).all()


@pytest.mark.parametrize("lang", ["en", "ko", "es"])
def test_ascii_needs_no_font(lang, monkeypatch):
    monkeypatch.setattr(lettering, "_FOLDERS", ())
    assert open_lettering(lang, ["tocar la guitarra", "yoga"]) is OPENCV


def test_pillow_is_loaded_only_if_needed():
    code = "import sys, lettering; lettering.open_lettering('es', ['saltar']); sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0


def test_opencv_5_draws_accents_itself(monkeypatch):
    monkeypatch.setattr(lettering, "_OPENCV_DRAWS_ALL", True)
    assert open_lettering("es", names("es")) is OPENCV
    monkeypatch.setattr(lettering, "_FOLDERS", ())
    assert open_lettering("ja", names("ja")) is OPENCV


def test_opencv_5_leaves_square_letters_to_a_better_font(monkeypatch, opened):
    font_file("NotoSansCJK-Regular.ttc")
    monkeypatch.setattr(lettering, "_OPENCV_DRAWS_ALL", True)
    assert isinstance(open_lettering("ko", ["기타"]).regular, Face)


@pytest.mark.parametrize(
    ("lang", "what", "package"),
    [
        ("ko", "labels in Korean", "fonts-noto-cjk"),
        ("ja", "labels in Japanese", "fonts-noto-cjk"),
        ("es", "labels in Spanish", "fonts-dejavu-core"),
        ("en", "these labels", "fonts-noto-core"),
    ],
)
def test_a_missing_font_is_named_in_one_line(lang, what, package, monkeypatch, tmp_path):
    monkeypatch.setattr(lettering, "_FOLDERS", (str(tmp_path),))
    with pytest.raises(PackageError) as error:
        open_lettering(lang, [TEXTS.get(lang, "пение")])
    assert str(error.value).startswith(f"{what} need a font: sudo apt install {package}")
    assert "\n" not in str(error.value)


@languages
def test_missing_pillow_is_named_in_one_line(lang, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.ImageFont", None)
    with pytest.raises(PackageError, match=r"^labels in \w+ need Pillow: \./setup\.sh --extras lang$"):
        open_lettering(lang, [TEXTS[lang]])


def test_a_font_without_the_letters_is_passed_over(monkeypatch, tmp_path):
    shutil.copy(font_file("DejaVuSans.ttf"), tmp_path / "NotoSansCJK-Regular.ttf")
    monkeypatch.setattr(lettering, "_FOLDERS", (str(tmp_path),))
    with pytest.raises(PackageError):
        open_lettering("ko", ["DJ 하기", "기타"])
    own = open_lettering("en", ["przygotowywanie pączków"]).regular
    assert isinstance(own, Face) and draw(own, "pączków").any()


def test_damaged_fonts_are_passed_over(monkeypatch, tmp_path):
    good = font_file("DejaVuSans.ttf")
    for number, name in enumerate(["NotoSans-Regular.ttf", "NotoSansRegular.ttc", "NotoSans-Regular2.otf"]):
        (tmp_path / name).write_bytes([b"", b"junk" * 999, good.read_bytes()[:5000]][number])
    (tmp_path / "DejaVuSans-Bold.ttf").write_bytes(b"junk")
    shutil.copy(good, tmp_path / "DejaVuSans.ttf")
    monkeypatch.setattr(lettering, "_FOLDERS", (str(tmp_path), str(tmp_path / "missing")))
    opened = open_lettering("es", names("es"))
    assert opened.regular.path == opened.bold.path == tmp_path / "DejaVuSans.ttf"


def test_labels_of_ones_own_in_any_letters(opened):
    font_file("NotoSansCJK-Regular.ttc")
    assert draw(open_lettering("en", ["춤추기"]).bold, "춤추기").any()
