"""The choice of threads: the decision on made-up times, the memory on real files, the whole on a real model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

import tuning
from runtime import Runtime
from tuning import choose_threads, fastest, time_runs
from user_cache import cache_folder, recall, remember
from video_classifier import VideoClassifier

RUNTIME = Runtime("litert", "ai-edge-litert", "2.3.0", object)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "movinet-pi"


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "available_cores", lambda: 4)


class Stopwatch:
    """Stands for a model that takes these seconds with 1, 2, ... threads; notes what was asked."""

    def __init__(self, *seconds: float) -> None:
        self.seconds, self.asked = seconds, []

    def __call__(self, threads: int) -> float:
        self.asked.append(threads)
        return self.seconds[threads - 1]


@pytest.mark.parametrize(
    ("times", "choice"),
    [
        ((40, 22, 16, 13), 4),
        ((40, 22, 21, 30), 2),  # more isn't faster
        ((10, 10, 10, 10), 1),  # a tie: less heat
        ((10, 9.5, 9.2, 9.1), 1),  # gains within the noise
        ((10, 9.5, 8.5, 8.4), 3),  # three are worth it over one; a fourth isn't
        ((10, 30, 30, 5), 4),
        ((10,), 1),
    ],
)
def test_decision(times: tuple[float, ...], choice: int) -> None:
    assert fastest(dict(enumerate(times, 1))) == choice


def test_measures_once_for_a_model_a_runtime_and_a_machine(four_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = Stopwatch(40, 20, 30, 30), Stopwatch(1, 1, 1, 1)
    assert choose_threads(b"model", RUNTIME, first) == 2
    assert first.asked == [1, 2, 3, 4] * 2
    assert choose_threads(b"model", RUNTIME, again) == 2
    assert again.asked == []
    assert choose_threads(b"another model", RUNTIME, again) == 1
    newer = Runtime("litert", "ai-edge-litert", "2.4.0", object)
    assert choose_threads(b"model", newer, again) == 1
    monkeypatch.setattr(tuning, "cpu_name", lambda: "another board, the same card")
    assert choose_threads(b"model", RUNTIME, again) == 1
    assert again.asked == [1, 2, 3, 4] * 2 * 3


@pytest.mark.parametrize("disturbed", range(8))
def test_what_disturbs_one_measurement_does_not_decide_for_good(four_cores: None, disturbed: int) -> None:
    asked = []

    def measure(threads: int) -> float:
        asked.append(threads)
        return (40.0, 20.0, 30.0, 30.0)[threads - 1] * (10 if len(asked) - 1 == disturbed else 1)

    assert choose_threads(b"model", RUNTIME, measure) == 2


def test_asks_for_no_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, asked in ((1, []), (2, [1, 2]), (3, [1, 2, 3]), (64, [1, 2, 3, 4])):
        monkeypatch.setattr(tuning, "available_cores", lambda cores=cores: cores)
        watch = Stopwatch(4, 4, 4, 4)
        assert choose_threads(b"model of %d cores" % cores, RUNTIME, watch) == 1
        assert watch.asked == asked * 2


@pytest.mark.parametrize(
    "damage",
    [b"", b"\0" * 100, b"[]", b"{}", b'{"seconds": 3}', b'{"seconds": {"1": 2}}', b'{"seconds": {"1": "x", "2": 1}}',
     b'{"seconds": {"1": -1, "2": -2, "3": -3, "4": -4}}', b"\xff\xfe"],
)  # fmt: skip
def test_survives_a_damaged_cache(four_cores: None, cache: Path, damage: bytes) -> None:
    choose_threads(b"model", RUNTIME, Stopwatch(9, 1, 9, 9))
    (file,) = cache.glob("threads/*")
    whole = json.loads(file.read_bytes())
    file.write_bytes(damage)
    watch = Stopwatch(9, 1, 9, 9)
    assert choose_threads(b"model", RUNTIME, watch) == 2
    assert watch.asked == [1, 2, 3, 4] * 2
    assert json.loads(file.read_bytes()) == whole


def test_survives_a_cache_that_cannot_be_written(four_cores: None, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    for _ in range(2):
        watch = Stopwatch(9, 9, 1, 9)
        assert choose_threads(b"model", RUNTIME, watch) == 3
        assert watch.asked == [1, 2, 3, 4] * 2
    assert not remember("threads/x", b"1") and recall("threads/x") is None


def test_cache_folder_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "movinet-pi"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for useless in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", useless)
        assert cache_folder() == tmp_path / "home" / ".cache" / "movinet-pi"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "movinet-pi"


class Machine:
    """A clock that only a model's runs move on."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.runs, self._seconds = 0.0, 0, seconds

    def run(self) -> None:
        self.now += self._seconds[min(self.runs, len(self._seconds) - 1)]
        self.runs += 1

    def clock(self) -> float:
        return self.now


def test_slow_first_runs_do_not_count() -> None:
    machine = Machine(5.0, 1.0, 1.0, 0.1)
    assert time_runs(machine.run, machine.clock) == pytest.approx(0.1)


def test_one_disturbed_run_does_not_decide() -> None:
    machine = Machine(*[0.1] * 4, 7.0, 0.1)
    assert time_runs(machine.run, machine.clock) == pytest.approx(0.1)


def test_measuring_takes_about_a_quarter_of_a_second_or_few_runs() -> None:
    for seconds, least, most in ((0.0001, 20, 100), (0.02, 15, 40), (3.0, 5, 10)):
        machine = Machine(seconds)
        time_runs(machine.run, machine.clock)
        assert least <= machine.runs <= most


def test_classifier_with_automatic_threads(
    runtime: str, cache: Path, tiny_model: Path, tiny_labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "available_cores", lambda: 2)
    frame = np.full((20, 20, 3), 200, np.uint8)
    with VideoClassifier(tiny_model, tiny_labels, runtime=runtime, threads=1) as classifier:
        assert classifier.threads == 1
        want = classifier.step(frame).logits
    assert not cache.exists()  # A number that is given is taken.
    with VideoClassifier(tiny_model, tiny_labels, runtime=runtime, threads="auto") as classifier:
        assert classifier.threads in (1, 2)
        np.testing.assert_array_equal(classifier.step(frame).logits, want)
        chosen = classifier.threads
    (file,) = cache.glob("threads/*")
    seconds = json.loads(file.read_bytes())["seconds"]
    assert sorted(seconds) == ["1", "2"] and all(0 < each < 10 for each in seconds.values())

    # What is remembered decides, not a new measurement.
    other = 3 - chosen
    record = {"seconds": {str(chosen): 2.0, str(other): 1.0 if other == 2 else 2.0}}
    file.write_text(json.dumps(record))
    with VideoClassifier(tiny_model, tiny_labels, runtime=runtime, threads="auto") as classifier:
        assert classifier.threads == other


def refuse(*_: Any) -> float:
    raise RuntimeError("measured")


def test_a_failed_measurement_is_not_remembered(four_cores: None, cache: Path) -> None:
    measure: Callable[[int], float] = refuse
    with pytest.raises(RuntimeError, match="measured"):
        choose_threads(b"model", RUNTIME, measure)
    assert not list(cache.glob("threads/*"))


def test_available_cores_are_those_of_this_process() -> None:
    assert 1 <= tuning.available_cores() <= (os.cpu_count() or 1)
    assert tuning.cpu_name()
