"""Finding the camera and opening what the command line asks for."""

from __future__ import annotations

import numpy as np
import pytest

import opening
from errors import SourceError
from options import parse_options


def test_each_reason_that_the_camera_is_waited_for_is_told_once(monkeypatch, capsys):
    reasons = iter(["nothing is plugged in", "nothing is plugged in", "permission denied", "nothing is plugged in"])

    def find_camera():
        for reason in reasons:
            raise SourceError(reason)
        return "usb:0"

    monkeypatch.setattr(opening, "find_camera", find_camera)
    monkeypatch.setattr(opening, "_LOOK_AGAIN", 0)

    assert opening.await_camera(1000) == "usb:0"
    told = capsys.readouterr().err.splitlines()
    assert told == ["nothing is plugged in; trying again", "permission denied; trying again"]


def test_without_retries_the_reason_is_raised_and_not_told_before(monkeypatch, capsys):
    def find_camera():
        raise SourceError("nothing is plugged in")

    monkeypatch.setattr(opening, "find_camera", find_camera)
    with pytest.raises(SourceError, match="nothing"):
        opening.await_camera(None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("flags", "names"),
    [([], ["demo", "demo, seed 1", "demo, seed 2"]), (["--demo-seed", "7"], [f"demo, seed {n}" for n in (7, 8, 9)])],
)
def test_several_demos_show_different_films(flags, names):
    sources = opening.open_sources(["demo"] * 3, None, parse_options(flags))
    pictures = [source.read().image for source in sources]
    for source in sources:
        source.close()

    assert [source.name for source in sources] == names
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(pictures[one].astype(int) - pictures[other]).mean() > 10
