"""What is told about a fit, as text, JSON and pictures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from evaluation.shares import Share
from teaching import report as reporting
from teaching.calibrate import Bin
from teaching.report import Calibration, Kept, Report, Unknown, Untaught, Wrong, inseparable


def make_report(confusion: Any, **changes: Any) -> Report:
    """A report of which the last label is the background; the confusion matrix may lack the column of old classes."""
    counts = np.asarray(confusion)
    if counts.shape[1] == len(counts):
        counts = np.column_stack([counts, np.zeros(len(counts), int)])
    labels = ["waving", "kick", "bow", "jump", "spin"][: len(counts) - 1] + ["background"]
    bins = [Bin(0.6, 0.5, 0.25), Bin(0.9, 0.8, 0.75)]
    report = Report(
        labels,
        counts.sum(axis=1).tolist(),
        counts,
        [],
        1.0,
        Calibration(1.5, [Bin(0.9, 0.6, 1.0)], bins),
        Unknown("background", 0.625, 0.04, 0.08),
        "background",
        None,
    )
    return replace(report, **changes)


GOOD = [[9, 1, 0], [0, 10, 0], [0, 0, 10]]


def wilson(right: int, of: int) -> tuple[float, float]:
    """By its definition: the p from which the share is 1.96 standard errors of p away."""
    share = np.linspace(0, 1, 100_001)
    inside = np.abs(right / of - share) <= 1.959964 * np.sqrt(share * (1 - share) / of)
    return float(share[inside].min()), float(share[inside].max())


def words(text: str) -> str:
    return " ".join(text.split())


def test_text_tells_accuracy_and_interval() -> None:
    text = words(reporting.text(make_report(GOOD)))
    low, high = wilson(29, 30)
    interval = f"{100 * low:.0f} to {100 * high:.0f} %"
    assert f"accuracy 97 %: 29 of 30 clips right at their end (95 % interval {interval})" in text
    low, high = wilson(9, 10)
    assert f"waving 10 9 90 % {100 * low:.0f} to {100 * high:.0f} %" in text
    assert "1 waving 9 1 ." in text


def test_text_tells_what_was_wrong_and_how_sure_it_is() -> None:
    wrong = [Wrong(Path(f"clips/waving/{name}.mp4"), "waving", "kick", 0.617) for name in ("7", "a\nb")]
    text = reporting.text(make_report(GOOD, wrong=wrong))
    assert [line.strip() for line in text.splitlines() if "62 %" in line] == [
        "clips/waving/7.mp4 called kick (62 %)", "clips/waving/a b.mp4 called kick (62 %)",
    ]  # fmt: skip
    text = words(text)
    # 0.25 * 0.1 + 0.75 * 0.1, and 0.3 without.
    assert "off by 10 % on average (30 % without the temperature, 1.5)" in text
    assert "unknown is an action below 0.625: 8 % of the actions; 4 % of 'background' is called an action" in text
    assert "! " not in text


def test_text_warns_of_few_clips() -> None:
    report = make_report([[0, 0, 0], [0, 4, 0], [0, 0, 5]], clips=[1, 4, 5])
    text = words(reporting.text(report))
    assert "! 'waving' has 1 clip: it was learnt but could not be tested" in text
    assert "waving 1 - - not tested" in text
    assert "! too few clips to be sure of: 'kick' (4); collect 10 of each" in text


def test_text_says_what_to_collect_where_there_is_no_background() -> None:
    folder = "clips of our long living room/and of everything that we ever did there, in all seasons"
    text = reporting.text(make_report(GOOD, background=None, unknown=None), folder)
    assert "! no background: everything seen is called one of your actions" in text
    assert text.splitlines()[-1] == f"  python train.py collect --label background --data '{folder}'"


def test_text_without_a_test() -> None:
    report = make_report(np.zeros((3, 3), int), clips=[1, 1, 1], calibration=None, unknown=None)
    text = reporting.text(report)
    assert "nothing could be tested" in text
    assert "accuracy" not in text


def test_text_fits_the_terminal() -> None:
    names = ["a label of quite some length", "ein anderes", "背景"]
    text = reporting.text(make_report(GOOD, labels=names, clips=[3, 3, 3], background=None, unknown=None))
    assert max(map(len, text.splitlines())) <= 100


def test_many_labels_are_listed_by_pairs() -> None:
    confusion = np.diag(np.full(40, 10))
    confusion[3, 5] = 4
    labels = [f"action {number}" for number in range(40)]
    text = reporting.text(
        replace(
            make_report(GOOD), labels=labels, clips=[10] * 40, confusion=np.column_stack([confusion, np.zeros(40, int)])
        )
    )
    assert "action 3 called action 5: 4" in text


@pytest.mark.parametrize(
    ("confusion", "pairs"),
    [
        (GOOD, []),
        ([[5, 5, 0], [5, 5, 0], [0, 0, 10]], [(0, 1)]),  # tossing a coin
        ([[0, 10, 0], [0, 10, 0], [0, 0, 10]], [(0, 1)]),  # one is always called the other
        ([[10, 0, 0], [0, 8, 2], [0, 1, 9]], []),  # 17 of 20 right
        ([[2, 0, 0], [0, 2, 0], [0, 0, 2]], []),  # few, but right
        ([[50, 50], [10, 90]], []),  # often wrong, and yet told apart
        ([[5, 5], [4, 6]], [(0, 1)]),
        # Half of one is called the other, where guessing among five would call it so a fifth of the time.
        (np.diag([5, 10, 10, 10, 10]) + 5 * np.eye(5, k=1, dtype=int) * np.array([[1], [0], [0], [0], [0]]), [(0, 1)]),
    ],
)
def test_labels_that_cannot_be_told_apart(confusion: Any, pairs: list[tuple[int, int]]) -> None:
    report = make_report(confusion)
    assert inseparable(report) == pairs
    assert ("can't be told apart" in words(reporting.text(report))) == bool(pairs)


def test_old_classes_have_a_column() -> None:
    confusion = np.column_stack([GOOD, [2, 0, 0]])
    report = make_report(confusion, kept=Kept(598, ["jump", "spin"], 2, 1.5))
    text = words(reporting.text(report))
    assert "1 waving 9 1 . 2" in text
    assert "29 of 32 clips" in text
    assert "kept: 598 old classes; 2 clips called one of them; replaced by yours: jump, spin" in text


def test_json_holds_what_was_measured() -> None:
    wrong = [Wrong(Path("a.avi"), "waving", "kick", 0.5)]
    content = json.loads(json.dumps(reporting.to_json(make_report(GOOD, wrong=wrong))))
    low, high = wilson(29, 30)
    assert content["accuracy"]["right"] == 29
    assert (content["accuracy"]["low"], content["accuracy"]["high"]) == (
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )
    assert content["labels"][0]["label"] == "waving"
    assert content["calibration"]["error_after"] == pytest.approx(0.1)
    assert content["unknown"]["threshold"] == 0.625
    assert content["wrong"][0]["said"] == "kick"
    assert not math.isnan(content["calibration"]["error_before"])


def test_pictures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib (requirements-teach.txt)")
    from teaching import plots

    report = make_report(GOOD, labels=["waving $1$", "背景", "a" * 80])
    plots.write_confusion(tmp_path / "confusion.png", report)
    assert report.calibration is not None
    plots.write_reliability(tmp_path / "reliability.png", report.calibration)
    for name in ("confusion.png", "reliability.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert min(picture.shape[:2]) > 300
    # The diagonal is of one blue, whose red part is 0.
    assert (cv2.imread(str(tmp_path / "confusion.png"))[:, :, 2] == 0).mean() > 0.02


def test_what_is_called_unknown_is_told() -> None:
    untaught = Untaught(Share(2, 30), Share(18, 20))
    report = make_report([[9, 0, 0, 1], [0, 10, 0, 0], [0, 0, 9, 1]], untaught=untaught)
    text = words(reporting.text(report))
    assert "what is unlike all clips is unknown: 2 of 30 held-out clips; untaught actions:" in text
    assert "each label held out in turn: 18 of 20 unknown" in text
    assert "unknown too is an action below 0.625" in text
    assert "shown, called: 1 2 3 unknown 1 waving 9 . . 1" in text
    assert reporting.to_json(report)["untaught"]["untaught"]["share"] == 0.9
    assert "unknown" not in words(reporting.text(make_report(GOOD, unknown=None))).split("shown, called:")[1][:40]
