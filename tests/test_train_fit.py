"""python train.py fit, as it is typed: clips in, a model that runs in the program out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn (requirements-teach.txt)")
pytest.importorskip("matplotlib", reason="needs matplotlib (requirements-teach.txt)")

from evaluation.shares import Share
from model_info import describe
from sources.sampler import Sampler
from teaching.clips import read_clip
from teaching.description import read_teaching
from tests.conftest import ROOT, skip_without_schema
from tests.teaching_clips import BACKGROUND, write_clips
from utils import read_labels
from video_classifier import VideoClassifier

skip_without_schema()

LEARNT, ALL = 5, 8
BASE = "models/movinet_a0_demo.tflite"


def train(*arguments: Any, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
        cwd=ROOT,
    )


def refusal(*arguments: Any, **environment: str) -> tuple[int, str]:
    """Runs a command that must end in one line; returns its status and that line."""
    done = train(*arguments, **environment)
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return done.returncode, line


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A folder of drawn clips to learn from, and the clips of the same room that are held out."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder / "learn", ALL, seed=3)
    held_out = []
    for path in sorted((folder / "learn").glob("*/*.avi")):
        if int(path.stem) >= LEARNT:
            target = folder / "held out" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            held_out.append(path.rename(target))
    return folder / "learn", held_out


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def taught(clips: tuple[Path, list[Path]], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a taught model, mine.tflite, with its report and what was printed; and without labels beside it."""
    folder = tmp_path_factory.mktemp("taught")
    done = train(
        "fit", "--data", clips[0], "--base", BASE, "--out", folder / "mine.tflite", "--report", folder / "report",
        "--cache", cache, "--augment", 1, "--background", BACKGROUND,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    (folder / "moved.tflite").write_bytes((folder / "mine.tflite").read_bytes())
    return folder


def classify(classifier: VideoClassifier, path: Path) -> str:
    """Returns what the program says at the end of a clip."""
    classifier.reset()
    sampler = Sampler(5)
    for frame in read_clip(path):
        if sampler.due(frame.timestamp):
            prediction = classifier.step(frame.image)
    return prediction.top[0].label


def test_model_is_as_good_as_the_report_says(taught: Path, clips: tuple[Path, list[Path]]) -> None:
    accuracy = json.loads((taught / "report" / "report.json").read_text())["accuracy"]
    assert accuracy["of"] == 5 * LEARNT
    assert f"{accuracy['right']} of {accuracy['of']} clips right" in (taught / "printed.txt").read_text()
    labels = read_labels(taught / "mine.txt")
    assert BACKGROUND in labels and len(labels) == 6 and labels[-1] == "unknown"
    with VideoClassifier(
        taught / "mine.tflite", labels, memory=12, precision="float", channel_order="bgr"
    ) as classifier:
        right = [classify(classifier, path) == path.parent.name for path in clips[1]]
    assert len(right) == 5 * (ALL - LEARNT)
    low, high = Share.count(right).interval  # a few clips are a sample, too
    assert low <= accuracy["high"] and accuracy["low"] <= high
    assert np.mean(right) >= max(accuracy["low"], 0.8)


def test_untaught_action_is_unknown(clips: tuple[Path, list[Path]], cache: Path, tmp_path: Path) -> None:
    """Of the five labels, all but the kicks are taught; others' clips that it didn't see keep their names."""
    data = tmp_path / "clips"
    shutil.copytree(clips[0], data, ignore=shutil.ignore_patterns("kick"))
    taught = tmp_path / "mine.tflite"
    done = train(
        "fit", "--data", data, "--base", BASE, "--out", taught, "--cache", cache, "--augment", 1,
        "--background", BACKGROUND, "--report", tmp_path / "report",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "report" / "report.json").read_text())["untaught"]
    assert found["known"]["of"] == 4 * LEARNT and found["untaught"]["of"] == 3 * LEARNT
    counts = f"{found['untaught']['right']} of {found['untaught']['of']} unknown"
    assert f"untaught actions: each label held out in turn: {counts}" in done.stdout
    labels = read_labels(tmp_path / "mine.txt")
    said: dict[str, list[str]] = {}
    with VideoClassifier(taught, labels, memory=12, precision="float", channel_order="bgr") as classifier:
        for path in [*clips[1], *sorted((clips[0] / "kick").glob("*.avi"))]:
            said.setdefault(path.parent.name, []).append(classify(classifier, path))
    kicks = said.pop("kick")
    assert len(kicks) == ALL and np.mean([each == "unknown" for each in kicks]) >= 0.75
    right = [each == label for label, answers in said.items() for each in answers]
    assert np.mean(right) >= 0.75

    # As a base, its own "unknown" is none of its classes.
    flags = ("--base", taught, "--cache", cache, "--augment", 1, "--keep-labels", "--dry-run")
    same = train("fit", "--data", data, *flags)
    assert same.returncode == 0 and "yours replace all 4 classes of mine.tflite" in same.stderr
    other = tmp_path / "other"
    for label in ("kick", BACKGROUND):
        shutil.copytree(clips[0] / label, other / label)
    again = train("fit", "--data", other, *flags)
    assert again.returncode == 0, again.stderr
    assert f"kept: 3 old classes; 0 clips called one of them; replaced by yours: {BACKGROUND}" in again.stdout


def test_model_says_what_it_was_taught(taught: Path) -> None:
    teaching = read_teaching(taught / "mine.tflite")
    assert teaching is not None
    assert teaching["base"] == "movinet_a0_demo.tflite"
    assert set(teaching["clips"].values()) == {LEARNT}
    assert teaching["unknown"]["label"] == BACKGROUND
    assert 0.5 <= teaching["unknown"]["threshold"] <= 1
    for name in ("confusion.png", "reliability.png"):
        assert cv2.imread(str(taught / "report" / name)) is not None


def test_model_is_replaced_only_if_told(taught: Path, clips: tuple[Path, list[Path]], cache: Path) -> None:
    out = taught / "mine.tflite"
    before = out.read_bytes()
    status, line = refusal("fit", "--data", clips[0], "--base", BASE, "--out", out)
    assert status == 5
    assert "exists" in line and "--force" in line
    assert out.read_bytes() == before
    done = train(
        "fit", "--data", clips[0], "--base", BASE, "--out", out, "--force", "--cache", cache, "--augment", 1,
        "--keep-labels",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # The background's name is one of the demo model's own seven.
    assert read_labels(taught / "mine.txt")[6:] == ["arm circles", "bow", "hands up", "kick", BACKGROUND]
    assert f"replaced by yours: {BACKGROUND}" in done.stdout
    assert "no background" in done.stdout


@pytest.mark.parametrize(
    ("redirection", "status", "words"),
    [("| true", 0, ""), ("> /dev/full", 5, "can't write standard output: No space left on device"), (">&-", 0, "")],
)
def test_model_and_report_are_there_even_if_nobody_can_read_the_text(
    clips: tuple[Path, list[Path]], cache: Path, tmp_path: Path, redirection: str, status: int, words: str
) -> None:
    out, report = tmp_path / "my 1st $.tflite", tmp_path / "report"
    arguments = ["fit", "--data", clips[0], "--base", BASE, "--out", out, "--report", report, "--cache", cache]
    shell = f'set -o pipefail; "$@" {redirection}'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, ROOT / "train.py", *map(str, arguments), "--augment", "1"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == status
    assert len(read_labels(out.with_suffix(".txt"))) == 6 and out.exists()
    assert (report / "report.json").exists()
    assert f"wrote {out}, tried on 5 of the clips; python classify.py --model '{out}'\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert ("train.py fit: " in done.stderr) == bool(words) and words in done.stderr


def test_model_info_says_how_it_was_taught(taught: Path) -> None:
    [line] = [line for line in describe(taught / "mine.tflite").splitlines() if line.startswith("taught ")]
    assert line.endswith(f", with {5 * LEARNT} clips, seen with --memory 2.4 --fit crop")


def test_labels_inside_a_model_are_known_to_fit_and_evaluate(
    taught: Path, clips: tuple[Path, list[Path]], cache: Path
) -> None:
    model = taught / "moved.tflite"
    done = subprocess.run(
        [sys.executable, ROOT / "evaluate.py", "--model", model, "--data", clips[0], "--no-stream", "--limit", "1"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "clips5each" in "".join(done.stdout.split())

    arguments = "--base", model, "--keep-labels", "--cache", cache, "--augment", 1, "--dry-run"
    done = train("fit", "--data", clips[0], *arguments)
    assert done.returncode == 0, done.stderr
    assert "yours replace all 5 classes of moved.tflite" in done.stderr


@pytest.mark.parametrize("names", [3, 8])
def test_labels_that_are_not_the_base_s_are_refused(clips: tuple[Path, list[Path]], tmp_path: Path, names: int) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes((ROOT / BASE).read_bytes())
    base.with_suffix(".txt").write_text("".join(f"label {number}\n" for number in range(names)))
    arguments = "--data", clips[0], "--base", base, "--keep-labels", "--out", tmp_path / "mine.tflite"
    status, line = refusal("fit", *arguments)
    assert status == 3
    assert f"base.txt has {names} names, but the model has 7 classes" in line
    base.with_suffix(".txt").unlink()
    status, line = refusal("fit", *arguments)
    assert status == 3
    assert f"no labels known for the model {base}; put one class name a line into {tmp_path}/base.txt" in line


def test_a_base_that_is_no_model_is_one_line(clips: tuple[Path, list[Path]], tmp_path: Path) -> None:
    status, line = refusal("fit", "--data", clips[0], "--out", tmp_path / "mine.tflite", "--base", "README.md")
    assert status == 3
    assert "README.md is not a .tflite file; give a .tflite file" in line


def test_dry_run_writes_no_model(clips: tuple[Path, list[Path]], cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.tflite"
    done = train("fit", "--data", clips[0], "--base", BASE, "--cache", cache, "--augment", 1, "--dry-run", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert not list(tmp_path.iterdir())


def test_interrupt_ends_it_without_a_word(clips: tuple[Path, list[Path]], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / "train.py",
            "fit",
            "--data",
            clips[0],
            "--base",
            BASE,
            "--out",
            tmp_path / "mine.tflite",
        ]
        + ["--cache", tmp_path / "cache", "--augment", "20"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "cache").exists():  # until it is reading clips
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert not (tmp_path / "mine.tflite").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "give collect or fit"),
        (("fitt",), 2, "did you mean 'fit'"),
        (("fit", "--data", "x"), 2, "--out"),
        (("fit", "--out", "mine.tflite", "--agument", "3"), 2, "did you mean '--augment'"),
        (("fit", "--out", "mine.tflite", "--augment", "-1"), 2, "between 0 and 50 views"),
        (("fit", "--out", "mine.tflite", "--memory", "0"), 2, "seconds"),
        (("fit", "--out", "mine.onnx"), 5, ".tflite"),
        (("fit", "--out", "no/such/folder/mine.tflite"), 5, "no folder"),
        (("fit", "--out", "/proc/mine.tflite"), 5, "can't write /proc/mine.tflite"),
        (("fit", "--out", f"{'x' * 300}.tflite"), 5, "File name too long"),
        (("fit", "--out", f"{'x' * 245}.tflite"), 5, "File name too long"),
        (("fit", "--out", "mine_of_nobody.tflite", "--report", "README.md"), 5, "folder README.md: it is a file"),
        (("fit", "--dry-run", "--report", "/proc/report"), 5, "can't make the folder /proc/report"),
        (("fit", "--out", "mine_of_nobody.tflite", "--data", "no such folder"), 4, "no such folder"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], status: int, words: str) -> None:
    found, line = refusal(*arguments)
    assert words in line
    assert found == status


def test_background_must_be_a_label(clips: tuple[Path, list[Path]], tmp_path: Path) -> None:
    status, line = refusal("fit", "--data", clips[0], "--out", tmp_path / "mine.tflite", "--background", "sofa")
    assert status == 2
    assert "'sofa' is none of the labels: arm circles, bow" in line


def test_unknown_base_is_one_line(clips: tuple[Path, list[Path]], tmp_path: Path) -> None:
    status, line = refusal("fit", "--data", clips[0], "--out", tmp_path / "mine.tflite", "--base", "nothing.tflite")
    assert status == 3
    assert "nothing.tflite" in line


@pytest.mark.parametrize(
    ("package", "arguments", "remedy"),
    [
        ("sklearn", (), "run ./setup.sh --extras teach"),
        ("matplotlib", ("--report", "report"), "./setup.sh --extras timeline"),
    ],
)
def test_missing_package_is_named(tmp_path: Path, package: str, arguments: tuple[str, ...], remedy: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    status, line = refusal("fit", "--out", tmp_path / "mine.tflite", *arguments, PYTHONPATH=str(tmp_path))
    assert status == 6
    assert remedy in line


def test_help_tells_all_flags() -> None:
    done = train("fit", "--help")
    assert done.returncode == 0
    for flag in ("--data", "--out", "--keep-labels", "--background", "--dry-run", "--report", "--force", "--memory"):
        assert flag in done.stdout
    assert train("--help").returncode == 0
