"""The experiment that shows what --idle saves, in a short form."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

MODEL = ROOT / "models" / "movinet_a0_demo.tflite"


@pytest.mark.skipif(not MODEL.is_file(), reason="the demo's model isn't there")
def test_stillness_costs_less_and_actions_are_seen_as_ever():
    flags = ["--model", str(MODEL), "--rounds", "2", "--hold", "15", "--camera-fps", "10"]

    result = subprocess.run(
        [sys.executable, str(ROOT / "experiment_idle.py"), *flags], capture_output=True, text=True, timeout=110
    )

    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    costs, labels = ({line[:12].strip(): line[12:].split() for line in part} for part in (lines[2:5], lines[7:10]))
    assert (costs["always"][0], costs["always"][5]) == ("300", "300")  # steps in a minute of stillness, and of action
    assert int(costs["idle"][0]) < 220  # of 15 seconds it sleeps about 9
    assert int(costs["idle"][5]) == pytest.approx(300, abs=6)
    assert all(row[-1] == "100%" for row in labels.values())  # right at an action's tenth step


@pytest.mark.parametrize("flag", ["--rounds 0", "--hold 0", "--camera-fps 0", "--model missing.tflite"])
def test_what_it_cannot_do_is_one_line(flag):
    command = [sys.executable, str(ROOT / "experiment_idle.py"), *flag.split()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == (3 if "model" in flag else 2)
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("experiment_idle.py: "), result.stderr
