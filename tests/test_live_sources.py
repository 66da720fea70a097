"""Sources that come and go while others run on; and that nothing of a change that is refused is applied."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from conftest import DATA, ROOT
from http_camera import address, serving
from live_program import running

pytestmark = pytest.mark.skipif(not hasattr(__import__("socket"), "AF_UNIX"), reason="needs Unix sockets")


@pytest.fixture
def cameras():
    """Two cameras that serve one viewer each. (On one server, the end of one would cut the line to the other.)"""
    with serving() as left, serving() as right:
        yield [address(left, "/single/left"), address(right, "/single/right")]


def sources(*uris):
    return [part for uri in uris for part in ("--source", uri)]


def steps(program, name):
    return [line["step"] for line in program.predictions() if line["source"] == name]


def sees(program, *names):
    """Waits until these sources, and no others, have made more steps; returns the lines of the time since."""
    before = len(program.predictions())
    program.wait_for(lambda: {line["source"] for line in program.predictions()[before:]} >= set(names))
    before = len(program.predictions())
    program.wait_for(lambda: all(len(own(program, before, name)) >= 3 for name in names))
    assert {line["source"] for line in program.predictions()[before:]} == set(names)


def own(program, start, name):
    return [line for line in program.predictions()[start:] if line["source"] == name]


def test_a_camera_that_serves_one_viewer_goes_on_beside_others(tmp_path, cameras):
    left, right = cameras
    with running(tmp_path) as program:
        program.change(*sources(left))
        sees(program, left)
        program.change(*sources(left, "demo"))
        sees(program, left, "demo")
        program.change(*sources("demo", right, left))  # another order
        sees(program, "demo", right, left)
        program.change(*sources(right))
        sees(program, right)

        assert program.settings()["source"] == right
        demo = steps(program, "demo")
        second = demo.index(1, 1)  # it ended, and began anew
        for numbers in (steps(program, left), steps(program, right), demo[:second], demo[second:]):
            assert numbers == list(range(1, len(numbers) + 1))  # one stream, never reset


def test_settings_hold_for_sources_that_stay_and_for_new_ones(tmp_path, cameras):
    left, right = cameras
    with running(tmp_path) as program:
        program.change(*sources(left))
        program.change(*sources(left, right), "--mirror", "--top-k", 1)
        sees(program, left, right)

        def both_are_mirrored():
            program.change("--snapshot", "now.png")
            grid = cv2.imread(str(program.folder / "now.png"))[300:420].mean(axis=(0, 2))
            return all(cell[400:600].mean() > cell[40:240].mean() + 20 for cell in (grid[:640], grid[640:]))

        program.wait_for(both_are_mirrored)  # the cameras' left halves are bright for most of the time, the right never
        assert all(len(line["top"]) == 1 for line in program.next_predictions(6)[2:])


def test_another_model_and_another_source_at_once(tmp_path):
    model = tmp_path / "another.tflite"
    shutil.copy(DATA / "tiny.tflite", model)
    shutil.copy(DATA / "tiny.txt", tmp_path / "another.txt")
    labels = set((DATA / "tiny.txt").read_text().splitlines())
    with running(tmp_path) as program:
        program.change(*sources("demo", "demo"), "--model", model)
        sees(program, "demo", "demo, seed 1")
        lines = program.next_predictions(6)
        assert all(category["label"] in labels for line in lines for category in line["top"])
        times = [line["timestamp"] for line in program.predictions() if line["source"] == "demo"]
        assert max(later - earlier for earlier, later in zip(times, times[1:])) < 3.0  # its camera ran on


@pytest.mark.parametrize("uris", [["demo"], ["demo", "demo"]])
def test_what_the_old_model_says_too_late_is_not_read_as_the_new_ones(tmp_path, uris):
    """A step hangs while a model with fewer or more classes takes its place, and then ends."""
    hang, hangs = tmp_path / "hang", tmp_path / "hang.hangs"
    seven = set((ROOT / "labels" / "movinet_a0_demo.txt").read_text().splitlines())
    five = set((DATA / "clip.txt").read_text().splitlines())
    models = [(DATA / "clip.tflite", five), ("movinet_a0_demo.tflite", seven)]
    always = ("--event-on", 0.01, "--event-off", 0.001, "--event-min", 0)
    wrapper = (ROOT / "tests" / "hanging_classifier.py", hang)
    with running(tmp_path, *sources(*uris[1:]), "--events", "events.jsonl", *always, wrapper=wrapper) as program:
        names = {line["source"] for line in program.next_predictions(4)}
        assert len(names) == len(uris)
        for model, labels in models * 2:
            hang.touch()
            program.wait_for(hangs.exists)
            program.change("--model", model)
            before = len(program.predictions())
            hang.unlink()
            program.wait_for(lambda: all(len(own(program, before, name)) >= 2 for name in names))  # noqa: B023
            told = {category["label"] for line in program.predictions()[before:] for category in line["top"]}
            assert told and told <= labels
        events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
        assert {event["label"] for event in events} & five and {event["label"] for event in events} & seven


def test_a_source_given_twice_keeps_its_name_and_its_events(tmp_path):
    events = tmp_path / "events.jsonl"
    always = ("--event-on", 0.01, "--event-off", 0.001, "--event-min", 0, "--event-gap", 3600)
    with running(tmp_path, "--events", events.name, *always) as program:

        def told(kind, source):
            lines = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
            return [line["id"] for line in lines if (line["event"], line["source"]) == (kind, source)]

        program.wait_for(lambda: told("began", "demo"))
        first = set(told("began", "demo"))
        program.wait_for(lambda: len(program.predictions()) >= 12)  # after the first line on the terminal
        program.change(*sources("demo", "demo"))
        before = len(program.predictions())
        program.wait_for(lambda: told("began", "demo, seed 1"))
        program.wait_for(lambda: len(own(program, before, "demo")) >= 12)  # as above: one that names its source
        assert told("ended", "demo") == []
        program.change(*sources("demo"))
        assert told("ended", "demo") == []
        assert set(told("ended", "demo, seed 1")) == set(told("began", "demo, seed 1"))
        sees(program, "demo")
        program.live("--quit")
        assert program.process.wait(60) == 0
        assert first <= set(told("ended", "demo"))
        assert steps(program, "demo") == list(range(1, len(steps(program, "demo")) + 1))
        shown = program.process.communicate()[0].splitlines()
        assert any(line.startswith("demo: ") for line in shown) and not shown[0].startswith("demo: ")
        assert not shown[-1].startswith("demo: ")


def test_a_file_that_is_gone_on_with_is_not_begun_again(tmp_path):
    """Beside others it plays in real time, and does so when it is alone again."""
    video = cv2.VideoWriter(str(tmp_path / "long.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(600):
        video.write(np.full((48, 64, 3), number % 200, np.uint8))
    video.release()
    with running(tmp_path) as program:
        program.change(*sources("demo", "long.avi"))
        program.wait_for(lambda: len(steps(program, "long.avi")) > 3)
        program.change(*sources(tmp_path / "long.avi"))  # another name of the same file
        sees(program, "long.avi")
        numbers = steps(program, "long.avi")
        assert numbers == list(range(1, len(numbers) + 1))


def test_an_output_that_can_not_be_opened_refuses_the_change(tmp_path):
    folder = tmp_path / "lo"
    folder.mkdir()
    with running(tmp_path, "--timeline", "lo/run.svg") as program:
        folder.rename(tmp_path / "elsewhere")
        before = program.settings()
        status, output, errors = program.live(*sources("demo", "demo"), "--top-k", 1)
        assert status == 5 and output == "" and errors.count("\n") == 1 and "lo" in errors
        assert program.settings() == before
        assert all(len(line["top"]) == 3 for line in program.next_predictions(3))
        assert {line["source"] for line in program.predictions()} == {"demo"}
        numbers = steps(program, "demo")
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_log_that_can_not_be_opened_refuses_the_change(tmp_path):
    with running(tmp_path) as program:
        log = tmp_path / "out.jsonl"
        log.rename(tmp_path / "moved.jsonl")
        log.mkdir()
        before = program.settings()
        status, output, errors = program.live(*sources("demo", "demo"))
        assert status == 5 and output == "" and errors.count("\n") == 1 and "out.jsonl" in errors
        assert program.settings() == before
        lines = (tmp_path / "moved.jsonl").read_text().count("\n")
        program.wait_for(lambda: (tmp_path / "moved.jsonl").read_text().count("\n") > lines)


def test_an_output_that_can_not_be_finished_does_not_end_the_program(tmp_path):
    folder = tmp_path / "lo"
    folder.mkdir()
    with running(tmp_path, "--timeline", "lo/run.svg") as program:
        program.change(*sources("demo", "demo"))
        sees(program, "demo", "demo, seed 1")
        folder.rename(tmp_path / "elsewhere")
        program.change(*sources("demo"))  # that of the second one is to be written now
        sees(program, "demo")
        (tmp_path / "elsewhere").rename(folder)
        program.live("--quit")
        status = program.process.wait(60)
        errors = program.process.communicate()[1]
        assert status == 0, errors
        assert any("run-demo-seed-1.svg" in line and line.startswith("classify.py: ") for line in errors.splitlines())
        assert (folder / "run.svg").exists()
