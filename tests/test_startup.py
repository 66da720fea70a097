"""What runs when the user leaves the model or the source open."""

from __future__ import annotations

import pytest

import models
import startup
from errors import SourceError
from options import DEFAULT_MODEL


def camera() -> str:
    return "usb:0"


def no_camera() -> str:
    raise SourceError("no camera: nothing is plugged in")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty models folder in the place of the real one."""
    monkeypatch.setattr(models, "MODELS", tmp_path)
    return tmp_path


def test_a_fresh_machine_shows_the_demo_and_says_how_to_get_the_real_model(folder):
    model, source, note = startup.choose(None, None, camera)
    assert (model, source) == (startup.DEMO_MODEL, ["demo"])
    assert f"--model {DEFAULT_MODEL}" in note and "\n" not in note


def test_a_camera_and_a_fetched_model_are_taken(folder):
    (folder / DEFAULT_MODEL).touch()
    assert startup.choose(None, None, camera) == (DEFAULT_MODEL, ["usb:0"], "")


def test_a_larger_model_is_taken_where_only_that_was_fetched(folder):
    (folder / "movinet_a2_int8.tflite").touch()
    assert startup.choose(None, None, camera)[0] == "movinet_a2_int8.tflite"
    (folder / DEFAULT_MODEL).touch()
    assert startup.choose(None, None, camera)[0] == DEFAULT_MODEL


def test_without_a_camera_the_demo_says_why(folder):
    (folder / DEFAULT_MODEL).touch()
    model, source, note = startup.choose(None, None, no_camera)
    assert (model, source) == (startup.DEMO_MODEL, ["demo"])
    assert "no camera: nothing is plugged in" in note


def test_a_named_model_wants_a_camera(folder):
    assert startup.choose(DEFAULT_MODEL, None, camera) == (DEFAULT_MODEL, ["usb:0"], "")
    with pytest.raises(SourceError, match="nothing is plugged in"):
        startup.choose(DEFAULT_MODEL, None, no_camera)


@pytest.mark.parametrize("name", ["movinet_a0_demo", "movinet_a0_demo.tflite", "models/movinet_a0_demo.tflite"])
def test_the_demo_model_alone_is_shown_what_it_knows(folder, name):
    assert startup.choose(name, None, camera) == (name, ["demo"], "")


def test_the_demo_model_is_never_said_to_know_people(folder):
    _, source, note = startup.choose("movinet_a0_demo.tflite", ["usb:0"], camera)
    assert source == ["usb:0"]
    assert "drawn figures only" in note


def test_the_demo_takes_its_own_model_unless_another_is_named(folder):
    (folder / DEFAULT_MODEL).touch()
    assert startup.choose(None, ["demo"], no_camera)[0] == startup.DEMO_MODEL
    assert startup.choose("mine.tflite", ["demo"], no_camera)[0] == "mine.tflite"


def test_a_video_is_for_the_published_model_fetched_or_not(folder):
    assert startup.choose(None, ["party.mp4"], no_camera) == (DEFAULT_MODEL, ["party.mp4"], "")
