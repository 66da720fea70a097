"""Labels as names of folders."""

from __future__ import annotations

import os
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lettering
from errors import UserError
from teaching.clip_store import ClipStore
from teaching.collect import Collector
from teaching.collect_command import _open_lettering
from teaching.collect_view import Scene, draw_scene
from teaching.label_folders import check_label, folder_name, label_of

ANY = st.text(min_size=1, max_size=40)
TRICKY = st.text(alphabet="%./\\ 0123456789ABCDEFabc?:*<>|\"'\t\n\0äß🤸\u2028", min_size=1, max_size=12)


@given(st.one_of(ANY, TRICKY))
@example("..")
@example("../../etc")
@example("%2F")
@example("%%2F/")
@example("100%")
@example("on/off")
def test_any_label_is_one_visible_folder_and_comes_back(label):
    name = folder_name(label)

    assert label_of(name) == label
    assert not set(name) & set('/\\:*?"<>|\0\r\n\t')
    assert name not in ("", ".", "..")
    assert not name.startswith(".") and name == name.strip() and not name.endswith(".")
    assert os.path.basename(name) == name


@given(st.one_of(ANY, TRICKY), st.one_of(ANY, TRICKY))
def test_two_labels_never_share_a_folder(one, other):
    assert (folder_name(one) == folder_name(other)) == (one == other)


@pytest.mark.parametrize("name", ["%41", "100%25", "%FF", "%2", "50%20 off", "a%2fb"])
def test_a_name_that_somebody_else_gave_a_folder_is_the_label_as_it_is(name):
    assert label_of(name) == name


@pytest.mark.parametrize("label", ["waving", "tai chi", "trinken, essen", "Grüße", "太極拳", "50% off", "rock'n'roll"])
def test_ordinary_labels_stay_as_they_are(label):
    assert folder_name(label) == label == label_of(label)


def test_a_label_is_cleaned_of_what_nobody_sees():
    assert check_label("  tai chi ") == "tai chi"
    assert check_label(unicodedata.normalize("NFD", "Grüße")) == "Grüße"


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "a\0b", "a\u2028b", "x" * 300, "/" * 80, "w\udce4ving"])
def test_a_label_that_no_label_file_can_hold_is_refused_in_one_line(label):
    with pytest.raises(UserError) as caught:
        check_label(label)

    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 150


@given(st.one_of(ANY, TRICKY))
def test_what_is_accepted_is_a_line_of_a_label_file(text):
    try:
        label = check_label(text)
    except UserError:
        return

    assert label == label.strip()
    assert label.splitlines() == [label]
    assert len(os.fsencode(folder_name(label))) < 255


def test_a_folder_made_by_hand_is_found_for_its_label(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Grüße")
    (tmp_path / decomposed).mkdir()
    (tmp_path / decomposed / "1.mp4").write_bytes(b"x")
    (tmp_path / "what?").mkdir()
    (tmp_path / "what?" / "1.mp4").write_bytes(b"x")

    with ClipStore(tmp_path) as store:
        assert store.open() == []
        assert store.counts() == {"Grüße": 1, "what?": 1}
        store.begin("what?", 30).drop()

    assert len(list(tmp_path.iterdir())) == 2


def test_labels_that_differ_in_case_only_are_refused(tmp_path):
    (tmp_path / "Waving").mkdir()

    ClipStore(tmp_path).check(["Waving", "bow"])
    with pytest.raises(UserError, match="'Waving' and 'waving' would be one label"):
        ClipStore(tmp_path).check(["bow", "waving"])
    with pytest.raises(UserError, match="'A' and 'a' would be one label"):
        ClipStore(tmp_path).check(["A", "bow", "a"])


SCENES = {"next": (0.0, Scene()), "countdown": (6.0, Scene()), "replay": (0.0, Scene(replay="{}"))}


@pytest.mark.parametrize("name", SCENES)
def test_labels_in_any_letters_are_legible_in_the_window(name, capsys):
    """Two labels of as many letters, that OpenCV 4 would write as ??? both."""
    pytest.importorskip("PIL", reason="Pillow is not installed: ./setup.sh --extras lang")
    labels = ["손 흔들기", "발 구르기"]
    faces = _open_lettering(labels)
    if "sudo apt install" in capsys.readouterr().err:
        pytest.skip("no font with Korean letters: sudo apt install fonts-noto-cjk")
    now, scene = SCENES[name]
    pictures = []
    for label in labels:
        collector = Collector({label: 0}, clips=2, seconds=2, countdown=3, pause=5)
        collector.update(now)
        shown = Scene(scene.replay.format(label))
        pictures.append(draw_scene(np.full((480, 640, 3), 120, np.uint8), collector, now, shown, faces))
    different = (pictures[0] != pictures[1]).any(axis=2)
    assert different[:100, :300].any()  # the list of labels
    assert different[100:].any() or different[:, 320:].any()  # and what is going on


def test_without_a_font_one_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(lettering, "_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(lettering, "_OPENCV_DRAWS_ALL", False)
    assert _open_lettering(["waving"]) == lettering.OPENCV
    assert capsys.readouterr().err == ""
    assert _open_lettering(["waving", "손 흔들기"]) == lettering.OPENCV
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("these labels need ") and line.endswith("until then the picture shows what it can of them")
