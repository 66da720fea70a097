"""`python classify.py --source demo`, as a user runs it: labels, score, JSON Lines and recording, all of one run."""

from __future__ import annotations

import re
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np
import pytest
from conftest import INSTALLED
from demo_program import LIMIT, ONE_THREAD, find_moment, finish, predictions, recorded, start, stop

from overlay import Status, draw_overlay
from sources.play import ACTIONS, Play
from utils import read_labels
from video_classifier import Category, Prediction

SEED = 1  # its film begins with a walk to the left until 6.8 s, and goes on with clapping
DURATION = 11.0  # seconds
SETTLED = 2.0  # seconds into an action by which it is recognized


class Show(NamedTuple):
    """What a run of the program left.

    Attributes:
        output: Standard output.
        errors: Standard error.
        lines: The JSON Lines.
        recording: The file.
        pictures: The recording's, each with its time in seconds.
        between: When the run began and ended, in seconds since 1970.
        offset: Seconds of the film that had gone by at the first picture.
    """

    output: str
    errors: str
    lines: list[dict[str, Any]]
    recording: Path
    pictures: list[tuple[float, np.ndarray]]
    between: tuple[float, float]
    offset: float

    def moment(self, line: dict[str, Any]) -> float:
        """Returns the moment of the film that a prediction was made of, in seconds."""
        return self.offset + line["timestamp"] - self.lines[0]["timestamp"]


@pytest.fixture(scope="session")  # a narrower one would be made anew for each `runtime`
def shows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Show]:
    """A run on each runtime, all at the same time."""
    flags = ("--source", "demo", "--demo-seed", SEED, "--display", "none", "--duration", DURATION, "--top-k", 1)
    outputs = ("--jsonl", "log.jsonl", "--record", "out.mp4")
    began = time.time()
    folders = {name: tmp_path_factory.mktemp(name) for name in INSTALLED}
    programs = {
        name: start(*flags, *outputs, *ONE_THREAD, "--runtime", name, folder=folders[name]) for name in INSTALLED
    }
    try:
        ends = {name: finish(program) for name, program in programs.items()}
    finally:
        for program in programs.values():
            stop(program)
    return {name: _read(folders[name], *ends[name], (began, time.time())) for name in INSTALLED}


def _read(folder: Path, status: int, output: str, errors: str, between: tuple[float, float]) -> Show:
    assert status == 0, errors
    pictures = recorded(folder / "out.mp4")
    offset = find_moment(pictures[0][1], SEED, last=5.0)
    assert offset is not None, "the recording doesn't begin with the film"
    lines = predictions((folder / "log.jsonl").read_text())
    return Show(output, errors, lines, folder / "out.mp4", pictures, between, offset)


@pytest.fixture
def show(shows: dict[str, Show], runtime: str) -> Show:
    return shows[runtime]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts the program in an empty folder; ends what a test leaves running."""
    programs = []

    def run(*flags: object) -> Any:
        programs.append(start(*flags, folder=tmp_path))
        return programs[-1]

    yield run
    for program in programs:
        stop(program)


def best(line: dict[str, Any]) -> str:
    return line["top"][0]["label"]


def test_the_terminal_shows_what_the_figure_does(show: Show) -> None:
    play, seen = Play(SEED), set()
    shown = re.findall(r"^ *([\d.]+) s  (.+?) +(\d+) %", show.output, re.MULTILINE)
    assert len(shown) >= DURATION - 2
    for seconds, label, percent in shown:
        moment = show.offset + float(seconds)
        if play.since(moment) >= SETTLED:
            assert label == play.action(moment) and int(percent) > 50
            seen.add(label)
    assert seen == {"walking left", "clapping"}


def test_it_ends_with_its_score(show: Show) -> None:
    """Which is what the lines of JSON give, held against the film."""
    play = Play(SEED)
    right = sum(best(line) == play.action(show.moment(line)) for line in show.lines)
    near = sum(min(play.since(show.moment(line)), play.since(show.moment(line) + 0.3)) < 0.3 for line in show.lines)
    score = re.search(r"^score: (\d+) of (\d+) steps right \(([\d.]+)%\), ([\d.]+)% from the 10th", show.errors, re.M)
    assert score
    assert int(score[2]) == len(show.lines)
    assert abs(int(score[1]) - right) <= near  # the offset is known to a few frames only
    assert float(score[3]) >= 85 and float(score[4]) >= 95
    assert show.errors.rstrip().endswith(score.string[score.start() :].strip())


def test_the_lines_of_json_tell_what_was_seen_when(show: Show, demo_labels: Path) -> None:
    names = read_labels(demo_labels)
    assert len(show.lines) >= 0.8 * DURATION * 5
    assert [line["step"] for line in show.lines] == list(range(1, len(show.lines) + 1))
    assert {line["source"] for line in show.lines} == {f"demo, seed {SEED}"}
    for line in show.lines:
        (category,) = line["top"]  # as many as asked for
        assert names[category["index"]] == category["label"] and 1 / len(names) < category["probability"] <= 1
        assert 0 < line["step_ms"] < 2000
    stamps = np.array([line["timestamp"] for line in show.lines])
    assert np.median(np.diff(stamps)) == pytest.approx(0.2, abs=0.035)
    times = [datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp() for line in show.lines]
    assert times == sorted(times) and show.between[0] <= times[0] and times[-1] <= show.between[1]
    assert times[-1] - times[0] == pytest.approx(stamps[-1] - stamps[0], abs=1.5)


def test_the_seed_chooses_the_film(show: Show) -> None:
    assert find_moment(show.pictures[0][1], SEED, last=5.0) is not None
    assert find_moment(show.pictures[0][1], SEED + 1, last=5.0) is None
    assert f"source: demo, seed {SEED}\n" in show.errors


def drawn(picture: np.ndarray, label: str, probability: float, truth: str) -> np.ndarray:
    """Returns a picture under the overlay that a certain prediction gives."""
    top = [Category(label, probability, 0)]
    prediction = Prediction(0.0, 0.001, 50, top, np.zeros(7, np.float32), np.zeros(7, np.float32))
    status = Status(camera_fps=30, sample_fps=5, wanted_fps=5, warming_up=False, truth=truth)
    return draw_overlay(picture, prediction, status, (80, 0, 480, 480))


@pytest.mark.parametrize("moment", [5.0, 10.0])
def test_label_and_truth_stand_on_the_picture(show: Show, moment: float) -> None:
    """Of the seven names, the one that belongs there is the one that the recorded letters look like most."""
    time_, picture = min(show.pictures, key=lambda each: abs(show.offset + each[0] - moment))
    shown_of = find_moment(picture, SEED, first=moment - 1, last=moment + 1)
    assert shown_of is not None
    clean = Play(SEED).draw(shown_of, 640, 480)
    line = min(show.lines, key=lambda line: abs(line["timestamp"] - show.lines[0]["timestamp"] - time_))
    probability = line["top"][0]["probability"]
    panel, corner = np.s_[430:, :240], np.s_[450:, 480:]

    def difference(region: tuple[slice, slice], other: np.ndarray) -> float:
        return float(np.abs(picture[region].astype(int) - other[region]).mean())

    def nearest(region: tuple[slice, slice], candidates: dict[str, np.ndarray]) -> str:
        name = min(candidates, key=lambda name: difference(region, candidates[name]))
        assert difference(region, candidates[name]) < 0.3 * difference(region, clean)  # it isn't drawn on the film
        return name

    truth = Play(SEED).action(shown_of)
    assert nearest(panel, {name: drawn(clean, name, probability, truth) for name in ACTIONS}) == best(line) == truth
    assert nearest(corner, {name: drawn(clean, truth, probability, name) for name in ACTIONS}) == truth


def test_the_recording_is_a_video_of_the_same_actions(begin: Callable[..., Any], show: Show, runtime: str) -> None:
    """With one label drawn on it: three would hide the figure's legs."""
    seconds = [time_ for time_, _ in show.pictures]
    assert len(seconds) >= 0.7 * DURATION * 30 and seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(DURATION, abs=1)

    flags = ("--model", "movinet_a0_demo.tflite", "--source", show.recording, "--runtime", runtime)
    status, output, errors = finish(begin(*flags, "--display", "none", "--jsonl", "-"))
    assert status == 0, errors
    again = predictions(output)
    assert len(again) >= 0.8 * DURATION * 5

    def then(line: dict[str, Any]) -> str:
        time_ = line["timestamp"] - show.lines[0]["timestamp"]
        return best(min(again, key=lambda other: abs(other["timestamp"] - time_)))

    assert np.mean([then(line) == best(line) for line in show.lines]) >= 0.85


# How it ends, and ends badly


def test_killed_while_recording_and_started_again(begin: Callable[..., Any], tmp_path: Path) -> None:
    flags = ("--source", "demo", "--display", "none", "--record", "out.mp4", "--jsonl", "log.jsonl", *ONE_THREAD)
    killed, log = begin(*flags), tmp_path / "log.jsonl"
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and (not log.exists() or log.read_text().count("\n") < 20):
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    before, first = (tmp_path / "out.mp4").read_bytes(), predictions(log.read_text())

    status, _, errors = finish(begin(*flags, "--duration", 2))

    assert status == 0 and "recording: out-1.mp4" in errors
    assert (tmp_path / "out.mp4").read_bytes() == before
    lost, whole = recorded(tmp_path / "out.mp4"), recorded(tmp_path / "out-1.mp4")
    length = first[-1]["timestamp"] - first[0]["timestamp"]
    assert length - 2.5 <= lost[-1][0] <= length + 0.5  # all but the last two seconds
    assert whole[-1][0] == pytest.approx(2, abs=0.5)
    for pictures in (lost, whole):
        assert find_moment(pictures[0][1], seed=0, last=5.0) is not None
    steps = [line["step"] for line in predictions(log.read_text())]
    assert steps[: len(first)] == list(range(1, len(first) + 1))
    assert steps[len(first) :] == list(range(1, len(steps) - len(first) + 1)) and len(steps) - len(first) >= 6


def test_sigterm_ends_it_with_its_score_and_recording_whole(begin: Callable[..., Any], tmp_path: Path) -> None:
    program = begin("--source", "demo", "--display", "none", "--record", "out.mp4", *ONE_THREAD)
    line = program.stdout.readline()
    assert re.search(r"1\.\d s  .+ %", line)
    program.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    status, _, errors = finish(program)

    assert status == 143
    assert time.monotonic() - sent < 2
    assert "Traceback" not in errors and re.search(r"^score: \d+ of \d+ steps", errors, re.M)
    assert recorded(tmp_path / "out.mp4")[-1][0] > 0.8


@pytest.mark.parametrize("flags", [("--threshold", 1), ("--deny", "walking left")], ids=["threshold", "deny"])
def test_the_score_is_the_models_whatever_is_shown(begin: Callable[..., Any], flags: tuple[object, ...]) -> None:
    demo = ("--source", "demo", "--demo-seed", SEED, "--display", "none", "--duration", 4, *ONE_THREAD)
    status, _, errors = finish(begin(*demo, *flags))

    score = re.search(r"^score: (\d+) of (\d+) steps right", errors, re.M)
    assert status == 0 and score
    assert int(score[1]) >= 0.6 * int(score[2]) > 0  # walking left all the time


def test_the_demo_model_before_a_camera_says_what_it_knows(begin: Callable[..., Any]) -> None:
    status, output, errors = finish(
        begin("--model", "movinet_a0_demo.tflite", "--source", "usb:98", "--display", "none")
    )
    warnings = [line for line in errors.splitlines() if "drawn figures only" in line]
    assert len(warnings) == 1 and errors.startswith(warnings[0])
    assert status == 4 and output == ""  # no machine has 99 cameras
