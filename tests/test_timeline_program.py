"""--timeline in the whole program: a picture, a film, and both in another language."""

from __future__ import annotations

import demo_program
import pytest
from conftest import ROOT

FLAGS = ("--source", "demo", "--display", "none", "--duration", 12, *demo_program.ONE_THREAD)


def run(folder, *flags):
    status, _, errors = demo_program.finish(demo_program.start(*FLAGS, *flags, folder=folder))
    assert status == 0 and "Traceback" not in errors, errors


@pytest.mark.parametrize("lang", ["en", "es"])
def test_a_picture_names_what_was_seen(tmp_path, lang):
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install matplotlib")
    run(tmp_path, "--timeline", "run.svg", "--lang", lang)
    text = (tmp_path / "run.svg").read_text()
    english, shown = (
        (ROOT / "labels" / f"movinet_a0_demo{suffix}.txt").read_text("utf-8").splitlines()
        for suffix in ("", "" if lang == "en" else f".{lang}")
    )
    names = [shown[english.index(name)] for name in ("squatting", "walking left")]
    assert all(name in text for name in names)


def test_a_film_shows_the_video_beside_its_chart(tmp_path):
    run(tmp_path, "--timeline", "film.mp4")
    pictures = demo_program.recorded(tmp_path / "film.mp4")
    assert pictures[-1][0] > 9
    first, last = pictures[5][1].astype(int), pictures[-1][1].astype(int)
    middle = first.shape[1] // 2
    assert first.shape[1] > first.shape[0]
    assert abs(first - last)[:, :middle].mean() > 3 and abs(first - last)[:, middle:].mean() > 1


def test_another_kind_of_file_is_refused(tmp_path):
    status, _, errors = demo_program.finish(demo_program.start(*FLAGS, "--timeline", "run.txt", folder=tmp_path))
    assert status == 2 and errors.count("\n") == 1
