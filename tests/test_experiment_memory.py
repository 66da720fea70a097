"""The experiment that shows what bounded memory is for, in a short form."""

from __future__ import annotations

import subprocess
import sys

import cv2
import pytest
from conftest import ROOT, skip_without_schema

skip_without_schema()

pytest.importorskip("matplotlib", reason="the experiment draws a plot")


def test_the_published_pool_fades_and_bounded_ones_switch(tmp_path):
    plot = tmp_path / "memory.png"
    flags = ["--steps", "200", "--day-steps", "20000", "--plot", str(plot)]

    result = subprocess.run(
        [sys.executable, str(ROOT / "experiment_memory.py"), *flags], capture_output=True, text=True, timeout=110
    )

    assert result.returncode == 0, result.stderr
    rows = {line[:34].strip(): line[34:].split() for line in result.stdout.splitlines()}
    assert float(rows["int8, as published"][0]) < 0.2  # an hour of one action, and its probability is nearly chance
    assert float(rows["int8, bounded"][0]) > 0.9
    frames_to_switch = {name: int(row[-1]) for name, row in rows.items() if name.startswith("float, ")}
    assert frames_to_switch["float, two horizons"] <= frames_to_switch["float, bounded"] <= 16
    assert frames_to_switch["float, as published"] > 100
    assert cv2.imread(str(plot)).std() > 10


@pytest.mark.parametrize(
    ("flag", "status"),
    [
        ("--model missing.tflite", 3),
        ("--source missing.mp4", 4),
        ("--steps 0", 2),
        ("--day-steps x", 2),
        ("--plot missing/x.png", 5),
    ],
)
def test_what_it_cannot_do_is_one_line(flag, status):
    command = [sys.executable, str(ROOT / "experiment_memory.py"), *flag.split()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == status
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("experiment_memory.py: "), result.stderr
