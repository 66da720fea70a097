"""The picture that evaluate.py draws: looked at as pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import DATA

import evaluate
from errors import OutputError
from evaluation.clips import Clip
from evaluation.running import Answers, Contestant, Outcome
from evaluation.scores import Scores, score

pytest.importorskip("matplotlib", reason="the plot needs matplotlib")

from evaluation.plot import write_plot  # noqa: E402

BLUE, VERMILLION = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)  # of Okabe and Ito


def pixels_of(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - colour[::-1]).max(axis=2) <= 2).sum())


def scores_of(models: int, labels: int, name: str = "label") -> list[Scores]:
    names = [f"{name} {number}" for number in range(labels)]
    truth = {each: place for place, each in enumerate(names)}
    contestants = [
        Contestant(f"model {number}", Path(f"{number}.tflite"), 5.0, names, truth, None, "runtime")
        for number in range(models)
    ]
    stream = []
    for place, label in enumerate(names * 2):
        true = place % labels
        answers = [
            Answers([(true + frame % 2) % labels for frame in range(8)] + [true], [(true, 0.9)], true, [true] * 9)
            for _ in contestants
        ]
        stream.append(Outcome(Clip(Path(f"{label}/{place}.mp4"), label), None, answers))
    return [score(number, contestant, [stream]) for number, contestant in enumerate(contestants)]


def test_the_command_draws_a_picture(tmp_path, tiny_labels):
    for label, colour in (("red", (0, 0, 255)), ("blue", (255, 0, 0)), ("green", (0, 255, 0))):
        (tmp_path / "data" / label / "clip").mkdir(parents=True)
        for number in range(8):
            image = np.full((32, 32, 3), colour, np.uint8)
            cv2.imwrite(str(tmp_path / "data" / label / "clip" / f"{number}.png"), image)
    plot = tmp_path / "out.png"
    arguments = ["--model", DATA / "tiny.tflite", "--model", DATA / "tiny_quantized.tflite", "--labels", tiny_labels]
    assert evaluate.main([str(each) for each in (*arguments, "--data", tmp_path / "data", "--plot", plot)]) == 0

    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = cv2.imread(str(plot))
    assert picture.shape[1] > 1000 and picture.shape[0] > 600
    # The diagonals of the matrices are full squares of the models' colours.
    assert pixels_of(picture, BLUE) > 3 * 500 and pixels_of(picture, VERMILLION) > 3 * 500
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("models, labels", [(1, 2), (5, 4), (1, 40), (2, 100)])
def test_any_number_of_models_and_labels_can_be_drawn(models, labels, tmp_path):
    path = tmp_path / "out.png"
    write_plot(path, scores_of(models, labels), "title")
    picture = cv2.imread(str(path))
    assert pixels_of(picture, BLUE) > 500
    border = np.concatenate([picture[:3].reshape(-1, 3), picture[-3:].reshape(-1, 3), picture[:, -3:].reshape(-1, 3)])
    assert border.min() == 255  # nothing is cut off


def test_a_long_label_does_not_push_the_matrix_out(tmp_path):
    path = tmp_path / "out.png"
    write_plot(path, scores_of(2, 3, name="a label that never seems to come to its end"), "title")
    assert pixels_of(cv2.imread(str(path)), VERMILLION) > 3 * 500


def test_labels_and_names_are_no_formulas(tmp_path):
    path = tmp_path / "out.png"
    scores = scores_of(2, 3, name="$a_$b")
    scores = [replace(each, contestant=replace(each.contestant, name="model $x_$ of\nmine")) for each in scores]
    write_plot(path, scores, "folder $y^$: title")
    assert pixels_of(cv2.imread(str(path)), VERMILLION) > 3 * 500


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(OutputError, match="out.xyz"):
        write_plot(tmp_path / "out.xyz", scores_of(1, 2), "title")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name, words",
    [("out.xyz", ".xyz is no format"), ("folder.png", "it is a folder"), ("no/out.png", "no such folder")],
)
def test_what_cannot_be_drawn_is_refused_before_the_work(name, words, tmp_path, capsys):
    (tmp_path / "folder.png").mkdir()
    arguments = ["--model", "none at all", "--data", str(tmp_path / "none"), "--plot", str(tmp_path / name)]
    assert evaluate.main(arguments) == 5
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
