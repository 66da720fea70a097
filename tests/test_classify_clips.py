"""classify.py with models of clips, and what it says of a model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from make_tiny_clip_models import LABELS, LENGTH

from errors import ModelError
from video_classifier import VideoClassifier

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
DEMO = ["--source", "demo", "--display", "none", "--max-frames", "140"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "classify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("name", ["clip.tflite", "clip.onnx"])
@pytest.mark.parametrize("stride", [None, 1])
def test_predictions_come_every_stride(tmp_path, name, stride):
    (tmp_path / "images").mkdir()
    for number in range(3 * LENGTH):
        shutil.copy(ROOT / "docs" / "screenshot.png", tmp_path / "images" / f"{number:03}.png")
    flags = [] if stride is None else ["--stride", stride]
    source = ["--source", tmp_path / "images", "--camera-fps", 5, "--sample-fps", 5, "--display", "none"]
    done = run("--model", DATA / name, "--labels", DATA / "clip.txt", *source, "--jsonl", "-", *flags)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == (3 if stride is None else 2 * LENGTH + 1)
    assert {each["label"] for line in lines for each in line["top"]} <= set(LABELS)
    assert f"clips of {LENGTH} frames" in done.stderr


def test_labels_inside_are_used(tmp_path):
    shutil.copy(DATA / "clip_described.tflite", tmp_path / "described.tflite")
    done = run("--model", tmp_path / "described.tflite", *DEMO, "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["top"][0]["label"] in LABELS


def test_flags_of_clip_models_that_change_nothing_are_named():
    done = run("--model", DATA / "tiny.tflite", "--labels", DATA / "tiny.txt", *DEMO, "--stride", 4, "--clip-size", 12)
    assert done.returncode == 0 and "is streaming, so --stride, --clip-size change nothing" in done.stderr


def test_model_info_is_printed():
    done = run("--model-info", DATA / "clip.onnx")
    assert done.returncode == 0 and "clip model (ONNX)" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("flag", ["--model-info", "--model"])
def test_a_bad_file_ends_in_a_line(tmp_path, flag):
    (tmp_path / "bad.onnx").write_bytes((DATA / "clip.onnx").read_bytes()[:2000])
    done = run(flag, tmp_path / "bad.onnx", *DEMO, "--labels", DATA / "clip.txt")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1 and "bad.onnx" in done.stderr


@pytest.mark.parametrize(
    "flags",
    [["--mean", "1,2"], ["--scale", "x"], ["--stride", "0"], ["--layout", "thwc"], ["--clip-length", "16"]],
)
def test_wrong_flags_end_in_a_line(flags):
    done = run("--model", DATA / "clip.onnx", *DEMO, *flags)
    assert done.returncode == (3 if "16" in flags else 2)
    assert len(done.stderr.splitlines()) == 1 and flags[0] in done.stderr


def test_the_streaming_classifier_says_who_runs_clips():
    with pytest.raises(ModelError, match="ClipClassifier"):
        VideoClassifier(DATA / "clip.tflite", LABELS)
