"""The translated label files, and the choice of the language."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from errors import UserError
from languages import LANGUAGES, choose_language, display_width, shorten, translated, untranslated

ROOT = Path(__file__).parent.parent
LABELS = ROOT / "labels"
STEMS = {"kinetics600": 600, "kinetics400": 400, "movinet_a0_demo": 7}
OTHERS = [lang for lang in LANGUAGES if lang != "en"]

# Words that Spanish shares with the English names: loans, proper names, and words that are spelled alike.
SHARED = """
    a animal ballet base beer blackjack bungee capoeira circular country cumbia curling disc frisbee gangnam geocaching
    golf gong hockey hula hurling jumpstyle karaoke kickball lego luge macarena maracas metal monopoly netball ocarina
    paintball pan parasailing parkour piano piercing pinball ping pizza poi polo pong robot rock salsa sari scrabble
    segway square squash style sushi swing tag tango tapping tractor triple yoga zoo zumba
""".split()

files = pytest.mark.parametrize("stem", STEMS)
languages = pytest.mark.parametrize("lang", OTHERS)


def lines(stem: str, lang: str = "") -> list[str]:
    return LABELS.joinpath(f"{stem}.{lang}.txt" if lang else f"{stem}.txt").read_text(encoding="utf-8").splitlines()


@files
@languages
def test_every_class_has_a_name_of_its_own(stem, lang):
    names = lines(stem, lang)
    assert len(names) == len(lines(stem)) == STEMS[stem]
    assert len({re.sub(r"\W", "", name.casefold()) for name in names}) == len(names)


@files
@languages
def test_plain_text(stem, lang):
    data = LABELS.joinpath(f"{stem}.{lang}.txt").read_bytes()
    text = data.decode("utf-8")
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert text == unicodedata.normalize("NFC", text)
    for name in text[:-1].split("\n"):
        assert name == " ".join(name.split()) != ""
        assert all(unicodedata.category(letter)[0] != "C" for letter in name)
        assert name.count("(") == name.count(")") and name.count("（") == name.count("）")


@files
def test_korean_is_written_in_hangul(stem):
    for name in lines(stem, "ko"):
        assert re.fullmatch("[가-힣 ·()]+", name), name


@files
def test_japanese_is_written_in_kana_and_kanji(stem):
    for name in lines(stem, "ja"):
        assert re.fullmatch("[ぁ-ゖァ-ヺー一-鿿々・（）＆]+", name.replace("ATM", "")), name


@files
def test_spanish_is_a_verb_in_latin_letters(stem):
    for name in lines(stem, "es"):
        assert re.fullmatch("[A-Za-záéíóúüñ(),. -]+", name), name
        assert re.match(r"[a-zñ]*(ar|er|ir|ír)(se)?\b", name), name


@files
def test_no_english_is_left(stem):
    english = {word for name in lines(stem) for word in re.findall(r"\w+", name.lower())}
    assert not set(lines(stem)) & set(lines(stem, "es"))
    left = {word for name in lines(stem, "es") for word in re.findall(r"\w+", name.lower())} & english
    assert left <= set(SHARED)


@pytest.mark.parametrize(
    ("name", "ko", "ja", "es"),
    [
        ("abseiling", "하강", "下降", "rápel"),
        ("bench pressing", "벤치 프레스", "ベンチプレス", "banca"),
        ("bungee jumping", "번지", "バンジー", "bungee"),
        ("clapping", "손뼉", "手", "palmas"),
        ("cutting apple", "사과", "リンゴを切る", "manzana"),
        ("flying kite", "연날리기", "凧", "cometa"),
        ("hurling (sport)", "아일랜드", "アイルランド", "hurling"),
        ("knitting", "뜨개질", "編み物", "punto"),
        ("milking cow", "젖", "乳", "vaca"),
        ("peeling apples", "사과", "リンゴの皮", "pelar manzanas"),
        ("playing guitar", "기타", "ギター", "guitarra"),
        ("riding unicycle", "외발자전거", "一輪車", "monociclo"),
        ("skiing slalom", "슬랄롬", "スラローム", "eslalon"),
        ("snatch weight lifting", "인상", "重量挙げ", "arrancada"),
        ("triple jump", "세단뛰기", "三段跳び", "triple"),
        ("watering plants", "물", "水", "regar"),
        ("zumba", "줌바", "ズンバ", "zumba"),
    ],
)
def test_names_stand_in_the_order_of_the_english_ones(name, ko, ja, es):
    place = lines("kinetics600").index(name)
    for lang, part in {"ko": ko, "ja": ja, "es": es}.items():
        assert part in lines("kinetics600", lang)[place]


@languages
def test_a_name_of_both_data_sets_is_translated_once(lang):
    both = [dict(zip(lines(stem), lines(stem, lang))) for stem in ("kinetics600", "kinetics400")]
    shared = both[0].keys() & both[1].keys()
    assert len(shared) == 368
    assert all(both[0][name] == both[1][name] for name in shared)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_flag_wins(lang):
    assert choose_language(lang, {"LC_ALL": "de_DE.UTF-8", "LANG": "ja_JP.UTF-8"}) == lang


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ja"}, "ja"),
        ({"LANG": "es_MX.UTF-8"}, "es"),
        ({"LANG": "es_ES@euro"}, "es"),
        ({"LANG": "ES.utf8"}, "es"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "est_EE"}, "en"),
        ({"LC_ALL": "C", "LC_MESSAGES": "ja_JP.UTF-8", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "ja_JP.UTF-8", "LANG": "ko_KR.UTF-8"}, "ja"),
        ({"LC_CTYPE": "ko_KR.UTF-8", "LANG": "es_ES.UTF-8"}, "es"),
    ],
)
def test_the_environment_decides_in_the_order_of_posix(environ, lang):
    assert choose_language(None, environ) == lang


def test_an_unknown_language_is_refused():
    with pytest.raises(UserError, match="^--lang fr: there is en, ko, ja, es$"):
        choose_language("fr", {})


@pytest.mark.parametrize("stem", STEMS)
@languages
def test_published_labels_are_translated(stem, lang):
    assert translated(LABELS / f"{stem}.txt", lines(stem), lang) == lines(stem, lang)


def test_english_names_are_shown_as_they_are():
    assert translated(LABELS / "kinetics600.txt", lines("kinetics600"), "en") is None


def test_own_labels_may_have_a_translation(tmp_path):
    own = tmp_path / "my.gestures.txt"
    assert translated(own, ["wave", "nod"], "ko") is None
    (tmp_path / "my.gestures.ko.txt").write_bytes("손 흔들기\r\n끄덕이기\r\n".encode())
    assert translated(own, ["wave", "nod"], "ko") == ["손 흔들기", "끄덕이기"]
    assert translated(own, ["wave", "nod", "jump"], "ko") is None
    assert translated(own, ["wave", "nod"], "ja") is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a\n\nb\n"])
def test_a_damaged_translation_is_none(tmp_path, content):
    (tmp_path / "own.es.txt").write_bytes(content)
    assert translated(tmp_path / "own.txt", ["a", "b"], "es") is None


def test_a_missing_translation_is_told_in_one_line():
    note = untranslated(Path("some/own.txt"), ["a", "b"], "ja")
    assert "own.ja.txt" in note and "2 names" in note and "\n" not in note


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("yoga", 4),
        ("기타 연주", 9),
        ("ギターを弾く", 12),
        ("ｷﾞﾀｰ", 4),
        ("（水泳）", 8),
        ("bádminton…", 10),
        ("ba\u0301d", 3),
    ],
)
def test_columns_that_a_terminal_takes(text, columns):
    assert display_width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("기타 연주", 9, "기타 연주"),
        ("기타 연주", 8, "기타 연…"),
        ("기타 연주", 6, "기타…"),
        ("バタフライ（水泳）", 13, "バタフライ…"),
        ("playing guitar", 10, "playing g…"),
    ],
)
def test_shortened_to_columns(text, columns, shown):
    assert shorten(text, columns) == shown
    assert display_width(shown) <= columns


@languages
def test_every_name_can_be_shortened_to_any_width(lang):
    for name in lines("kinetics600", lang):
        for columns in (1, 7, 20):
            assert display_width(shorten(name, columns)) <= columns


@languages
def test_the_readme_in_each_language_leads_to_the_others(lang):
    text = (ROOT / f"README.{lang}.md").read_text(encoding="utf-8")
    assert text == unicodedata.normalize("NFC", text)
    assert "\n./setup.sh\npython classify.py --model movinet_a0_int8.tflite\n" in text
    assert f"--lang {lang}\n" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    others = {f"README.{other}.md" for other in OTHERS if other != lang}
    assert {"README.md", "docs/screenshot.png", *others} <= set(links)
    assert all((ROOT / link).is_file() for link in links)
    shown = set(lines("kinetics600", lang))
    assert set(re.findall(r"\*([^*`\n]+)\*(?!\*)", text.split("##")[0])) & shown, "its examples are our own names"
