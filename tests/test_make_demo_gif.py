"""The command that makes the README's GIF."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

av = pytest.importorskip("av", reason="a GIF is written by PyAV")


def make(out: Path, model: Path, labels: Path, *flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "make_demo_gif.py"), "--model", str(model), "--labels", str(labels)]
    return subprocess.run([*command, "--out", str(out), *flags], capture_output=True, text=True, timeout=110)


def test_makes_a_gif_that_moves_and_is_the_same_each_time(tmp_path, tiny_model, tiny_labels):
    once, again = tmp_path / "once.gif", tmp_path / "again.gif"
    for out in (once, again):
        result = make(out, tiny_model, tiny_labels, "--seconds", "1.5", "--seed", "812")
        assert result.returncode == 0, result.stderr
    assert once.read_bytes() == again.read_bytes()
    assert b"NETSCAPE2.0" in once.read_bytes()  # what makes a GIF begin again at its end
    with av.open(str(once)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert [time for time, _ in frames] == pytest.approx(np.arange(15) / 10)
    pictures = [picture.astype(int) for _, picture in frames]
    middle = [picture[60:-60, 100:-100] for picture in pictures]  # the figure, without the overlay's panels
    assert all(np.abs(one - other).max() > 30 for one, other in zip(middle, middle[1:]))
    panel = pictures[-1][-40:, :300]
    assert (panel.min(axis=2) > 200).sum() > 50  # a label in white


@pytest.mark.parametrize(
    "flags, told",
    [(("--out", "demo.mp4"), "demo.mp4"), (("--seed", "-1"), "-1 is not between"), (("--fps", "3"), "--fps")],
)
def test_a_mistake_is_one_line(tmp_path, tiny_model, tiny_labels, flags, told):
    result = make(tmp_path / "demo.gif", tiny_model, tiny_labels, "--seconds", "0.2", *flags)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and told in result.stderr
    assert result.stderr.startswith("make_demo_gif.py: ") and list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(tmp_path, tiny_model, tiny_labels):
    result = make(tmp_path / "missing" / "demo.gif", tiny_model, tiny_labels, "--seconds", "0.2")
    assert result.returncode == 5
    assert len(result.stderr.strip().splitlines()) == 1 and "missing" in result.stderr
