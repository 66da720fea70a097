"""Changing the running program over ssh: the whole of it, with --live as it is typed."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
from conftest import DATA
from live_program import running

from errors import UserError
from settings import check_untrusted, live_flags, read_settings

pytestmark = pytest.mark.skipif(not hasattr(__import__("socket"), "AF_UNIX"), reason="needs Unix sockets")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with running(tmp_path_factory.mktemp("live")) as program:
        yield program


def test_flags_change_between_two_steps_of_one_stream(program):
    printed = program.change("--top-k", 5, "--threshold", 0.001, "--deny", "waving", "--mirror", "--max-cpu", 400)

    after = program.next_predictions(4)[1:]

    assert {line.split()[0] for line in printed.splitlines()} == {"top-k", "threshold", "deny", "mirror", "max-cpu"}
    assert all(3 < len(line["top"]) <= 5 for line in after)
    assert all("waving" != category["label"] for line in after for category in line["top"])
    steps = [line["step"] for line in program.predictions()]
    assert steps == list(range(1, len(steps) + 1))  # never reset, none left out
    program.change("--top-k", 3, "--threshold", 0, "--deny", "--no-mirror", "--max-cpu", "off")
    assert program.settings()["deny"] == "none"


def test_what_can_not_change_is_refused_by_name_and_nothing_is_applied(program):
    before = program.settings()

    refused = [
        program.live("--top-k", 7, "--display", "window"),
        program.live("--top-k", 7, "--allow", "wavin"),
        program.live("--top-k", 7, "--model", "nowhere.tflite"),
        program.live("--top-k", 7, "--source", "nowhere.mp4"),
        program.live("--top-k", 7, "--record", "nowhere/out.mp4"),
        program.live("--top-k", 7, "--event-on", 0.2),
    ]

    names = ["--display", "wavin", "nowhere.tflite", "nowhere.mp4", "nowhere", ""]
    for (status, output, errors), name in zip(refused, names):
        assert status != 0 and output == "" and errors.count("\n") == 1 and name in errors
    assert program.settings() == before
    assert program.next_predictions(2)


def test_another_model_is_loaded_while_the_picture_goes_on(program):
    model = program.folder / "another.tflite"  # not compiled yet: that takes a while
    shutil.copy(DATA / "tiny.tflite", model)
    shutil.copy(DATA / "tiny.txt", program.folder / "another.txt")
    labels = set((DATA / "tiny.txt").read_text().splitlines())

    assert "another.tflite" in program.change("--model", model)
    program.next_predictions(1)
    after = program.next_predictions(3)
    program.change("--model", "movinet_a0_demo.tflite")

    assert all(category["label"] in labels for line in after for category in line["top"])
    times = [line["timestamp"] for line in program.predictions()]
    assert np.diff(times).max() < 2.0  # a gap of the stream would be a pipeline's that was opened anew
    program.next_predictions(12)
    assert program.predictions()[-1]["top"][0]["probability"] > 0.3


def test_more_threads_leave_the_stream_as_it_is(program):
    program.change("--threads", 2)
    lines = program.predictions()[-1:] + program.next_predictions(3)
    program.change("--threads", 1)
    assert [b["step"] - a["step"] for a, b in zip(lines, lines[1:])] == [1, 1, 1]


def test_memory_and_rate_change_and_the_probabilities_stay_sound(program):
    program.change("--memory", 5, "--sample-fps", 10)
    program.next_predictions(2)
    lines = program.next_predictions(10)
    program.change("--memory", 2.4, "--sample-fps", "off")

    assert np.median(np.diff([line["timestamp"] for line in lines])) == pytest.approx(0.1, abs=0.05)
    assert all(0 < line["top"][0]["probability"] <= 1 for line in lines)
    assert program.settings()["sample-fps"] == "the model's own"


def test_recording_is_switched_on_and_off(program):
    program.change("--record", "out.mp4")
    program.next_predictions(6)
    program.change("--record", "off")

    video = cv2.VideoCapture(str(program.folder / "out.mp4"))
    frames = sum(1 for _ in iter(lambda: video.read()[0], False))
    assert frames > 20
    program.change("--record", "out.mp4")
    program.change("--record", "off")
    assert (program.folder / "out-1.mp4").exists()


def test_a_limit_holds_for_the_recording_that_runs_and_its_end_is_shown(program):
    (program.folder / "limited.mp4").write_bytes(b"mine")
    program.change("--record", "limited.mp4")
    assert program.settings()["record"] == str(program.folder / "limited-1.mp4")
    program.next_predictions(4)
    program.change("--record-limit", "1h")
    program.next_predictions(2)
    assert program.settings()["record"].endswith("limited-1.mp4")
    program.change("--record-limit", "0.5s")
    program.wait_for(lambda: program.settings()["record"] == "off")
    assert "no" in dict(line.split(None, 1) for line in program.change("--status").splitlines() if line)["recording"]
    assert cv2.VideoCapture(str(program.folder / "limited-1.mp4")).read()[0]
    program.change("--record-limit", "off")


def test_snapshot_reset_and_statistics(program):
    status, output, _ = program.live("--snapshot", "now.png")
    assert status == 0 and cv2.imread(str(program.folder / "now.png")).shape == (480, 640, 3)
    assert str(program.folder / "now.png") in output
    assert program.live("--snapshot", "now.txt")[0] == 5

    before = len(program.predictions())
    program.change("--reset")
    program.wait_for(lambda: 1 in [line["step"] for line in program.predictions()[before:]])

    assert "movinet_a0_demo.tflite" in program.change("--status")


def test_other_sources_take_the_place_of_the_old(program):
    program.change("--source", "demo", "--source", "demo", "--threads", 1)
    lines = program.next_predictions(8)
    assert {line["source"] for line in lines[2:]} == {"demo", "demo, seed 1"}
    program.change("--source", "demo")
    assert {line["source"] for line in program.next_predictions(6)[3:]} == {"demo"}


def test_quit_ends_it_well(tmp_path):
    with running(tmp_path) as program:
        assert program.live("--quit")[0] == 0
        assert program.process.wait(20) == 0
        status, _, errors = program.live()
        assert status == 2 and errors.count("\n") == 1
    assert not list(tmp_path.rglob("*.sock"))


def test_a_second_one_of_the_same_name_is_refused(program):
    from demo_program import finish, start

    flags = ("--source", "demo", "--display", "none", "--instance", "test")
    second = start(*flags, folder=program.folder, env=program._environment)
    status, _, errors = finish(second)
    assert status == 2 and "test" in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"record": "/tmp/out.mp4"},
        {"record": "../out.mp4"},
        {"record": "~root"},
        {"record": "a\\b.mp4"},
        {"record": "a\nchanged: b.mp4"},
        {"record": "\u202egp4.pm4"},
        {"labels": "a\x1b[2Jb"},
        {"model": "../../secret.tflite"},
        {"labels": "/etc/passwd"},
        {"source": ["/etc/passwd"]},
        {"source": ["file:///etc/passwd"]},
        {"source": ["rtsp://10.0.0.1/\x1b[2J"]},
        {"source": ["demo\n"]},
    ],
)
def test_from_afar_no_file_can_be_named(settings):
    with pytest.raises(UserError, match="from afar"):
        check_untrusted(read_settings(settings), ["party.mp4"])


def test_from_afar_cameras_names_and_what_runs_already_can():
    fine = {"record": "out.mp4", "model": "a.tflite", "source": ["usb:1", "Rtsp://10.0.0.1/x", "demo", "party.mp4"]}
    check_untrusted(read_settings(fine), ["party.mp4"])


def test_every_flag_is_described_for_forms():
    flags = {flag.name: flag for flag in live_flags()}
    assert (flags["top-k"].kind, flags["top-k"].low, flags["top-k"].high) == ("integer", 1, 100)
    assert flags["fit"].choices == ("crop", "stretch", "pad") and flags["memory"].optional
    assert flags["source"].kind == "texts" and flags["mirror"].kind == "switch"
    assert all(flag.help and "%(" not in flag.help for flag in flags.values())
