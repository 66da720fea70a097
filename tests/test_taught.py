"""A taught model is run as it was taught, unless the user says otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import DATA, ROOT, skip_without_schema

import evaluate
from compiler.graph import load, save
from errors import ModelError
from options import parse_options
from teaching.description import METADATA, write_description
from teaching.taught import follow_teaching

skip_without_schema()

LINE = "run with --memory off --fit stretch, as it was taught"


def write_taught(path: Path, **description: object) -> Path:
    graph = load((DATA / "tiny.tflite").read_bytes())
    graph.metadata[METADATA] = write_description(description)
    path.write_bytes(save(graph))
    path.with_suffix(".txt").write_bytes((DATA / "tiny.txt").read_bytes())
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_taught(tmp_path / "mine.tflite", memory=None, fit="stretch")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A clip that is red, and green at its left and right."""
    path = tmp_path / "data" / "red" / "1.avi"
    path.parent.mkdir(parents=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 32))
    picture = np.full((32, 96, 3), (0, 255, 0), np.uint8)
    picture[:, 32:64] = (0, 0, 255)
    for _ in range(8):
        video.write(picture)
    video.release()
    return path.parent.parent


def run(*arguments: object, cwd: Path = ROOT) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "classify.py"), *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, "DISPLAY": "", "WAYLAND_DISPLAY": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("typed", "memory", "fit", "changed"),
    [
        ([], None, "stretch", "--memory off --fit stretch"),
        (["--fit", "crop"], None, "crop", "--memory off"),
        (["--memory", "2.4"], 2.4, "stretch", "--fit stretch"),
        (["--memory", "off", "--fit=stretch"], None, "stretch", ""),
    ],
)
def test_what_the_user_typed_counts(model, typed, memory, fit, changed):
    options = parse_options(typed)
    assert follow_teaching(options, model) == changed
    assert (options.memory, options.fit) == (memory, fit)


def test_what_stands_in_the_config_file_counts(model, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('fit = "crop"\n')
    options = parse_options(["--config", str(config)])
    assert follow_teaching(options, model) == "--memory off"
    assert options.fit == "crop"


def test_other_models_change_nothing(tmp_path):
    for path in (DATA / "tiny.tflite", DATA / "clip.onnx", write_taught(tmp_path / "early.tflite", base="a0")):
        options = parse_options([])
        assert follow_teaching(options, path) == ""
        assert (options.memory, options.fit) == (2.4, "crop")


@pytest.mark.parametrize("wrong", [{"memory": "long", "fit": "crop"}, {"memory": -1, "fit": "crop"}, {"fit": 3}])
def test_damaged_descriptions_are_one_line(wrong, tmp_path):
    path = write_taught(tmp_path / "mine.tflite", **{"memory": None, **wrong})
    with pytest.raises(ModelError, match="teach it again"):
        follow_teaching(parse_options([]), path)


def test_classify_runs_it_as_it_was_taught_and_says_so(model, data):
    arguments = "--model", model, "--source", data / "red" / "1.avi", "--display", "none"
    assert f"model: {LINE}" in run(*arguments)
    assert not any("as it was taught" in line for line in run(*arguments, "--fit", "crop", "--memory", "2.4"))


def test_an_archive_is_analysed_as_it_was_taught(model, data, tmp_path):
    events = tmp_path / "events.db"
    assert f"model: {LINE}" in run("--model", model, "--source", data, "--jobs", 1, "--events", events)


def test_evaluate_runs_each_model_as_it_was_taught(model, data, tmp_path, capsys):
    other, out = DATA / "tiny.tflite", tmp_path / "out.json"
    arguments = ["--model", str(model), "--model", str(other), "--labels", str(DATA / "tiny.txt"), "--no-stream"]
    arguments += ["--data", str(data), "--json", str(out)]
    assert evaluate.main(arguments) == 0
    output = capsys.readouterr()
    assert f"mine: {LINE}" in output.err.splitlines()
    assert "mine frames fitted by stretch, tiny frames fitted by crop" in output.out.splitlines()[0]
    models = json.loads(out.read_text())["models"]
    assert [(each["memory"], each["fit"]) for each in models] == [(None, "stretch"), (2.4, "crop")]
    # Squeezed, most of the picture is green; its centre is red.
    assert [each["top1"]["right"] for each in models] == [0, 1]

    assert evaluate.main([*arguments, "--fit", "crop"]) == 0
    models = json.loads(out.read_text())["models"]
    assert [(each["memory"], each["fit"]) for each in models] == [(None, "crop"), (2.4, "crop")]
    assert [each["top1"]["right"] for each in models] == [1, 1]
