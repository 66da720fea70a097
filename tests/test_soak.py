"""soak.py: half a minute of it on the real program, and what it calls a leak. CI runs `tests/soak.py --minutes 2`."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from conftest import ROOT
from soaking.camera import SCENE_TIME, SCENES, scene_at
from soaking.report import Fault, Record, Sample, Step, judge, plot, slope

soak = pytest.importorskip("soak", reason="Linux only").soak

# classify.py with a thread that keeps a megabyte, a file and a sleeping thread more five times a second.
LEAKING = f"""
import os, runpy, threading, time

kept = []

def leak():
    time.sleep(8)
    while True:
        time.sleep(0.2)
        kept.append((b"x" * 1_000_000, open(os.devnull)))
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

if __name__ == "__main__":
    threading.Thread(target=leak, daemon=True).start()
    runpy.run_path({str(ROOT / "tests" / "soaking" / "program.py")!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of the program as it is, with its camera killed, and one of the leaking one, at the same time."""
    leaking = tmp_path_factory.mktemp("leaking") / "program.py"
    leaking.write_text(LEAKING)
    with ThreadPoolExecutor(2) as executor:
        sound = executor.submit(soak, 41, 49, ["killed"])
        leaky = executor.submit(soak, 41, 0, [], program=leaking)
        return sound.result(), leaky.result()


def test_the_program_keeps_its_size_and_its_labels(runs):
    record = runs[0].record
    lines, reasons = judge(record)

    assert not reasons
    assert {fault.kind for fault in record.faults} == {"killed"}
    # Each scene is at its end what it looks like; "moving" is a square that jumps.
    settled = [step for step in record.steps if step.timestamp % SCENE_TIME > SCENE_TIME - 0.5]
    if not record.forgetful:
        pytest.skip("without a package that reads the graph the memory isn't bounded, and its labels drift")
    fine = [step for step in settled if not any(f.start - 1 <= step.timestamp <= f.back + 3 for f in record.faults)]
    assert len(fine) > 20
    right = [max(s.probabilities, key=s.probabilities.get) == SCENES[scene_at(s.timestamp) % 4] for s in fine]
    assert np.mean(right) > 0.9  # on a busy machine the camera itself stands still for a moment


def test_the_plot_shows_the_fault(runs, tmp_path):
    pytest.importorskip("matplotlib")
    plot(runs[0].record, str(tmp_path / "with.png"))
    record = dataclasses.replace(runs[0].record, faults=[])
    plot(record, str(tmp_path / "without.png"))
    with_fault, without = (cv2.imread(str(tmp_path / name)) for name in ("with.png", "without.png"))
    coloured = [(np.ptp(image.astype(int), axis=2) > 20).sum() for image in (with_fault, without)]  # pixels
    assert coloured[0] > coloured[1] + 10_000


def test_a_program_that_leaks_is_found_out(runs):
    _, reasons = judge(runs[1].record)
    assert {reason.split()[0] for reason in reasons} == {"memory", "descriptors", "threads"}
    samples = runs[1].record.samples[-30:-10]
    assert slope([s.time for s in samples], [s.rss for s in samples])[0] == pytest.approx(5, abs=2)  # MB a second


def test_a_program_that_dies_is_found_out(tmp_path):
    dying = tmp_path / "program.py"
    dying.write_text("import sys; sys.exit('no such camera')")
    _, reasons = judge(soak(30, program=dying).record)
    assert reasons[0] == "it ended early, with status 1; its last words: no such camera"


@pytest.mark.parametrize("rate", [0.0, 3.5, -1.0])
def test_the_slope_is_found_among_noise_and_a_jump(rate):
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(40):
        times = np.linspace(0, 1, 600)
        values = 100 + rate * times + random.normal(0, 0.5, 600)
        values[random.integers(600, size=5)] += 80  # read in the middle of something
        middle, low, high = slope(times.tolist(), values.tolist())
        assert middle == pytest.approx(rate, abs=0.5)
        inside += low <= rate <= high
    assert inside >= 34  # 38 are to be expected of intervals of 95 %


def test_one_jump_is_no_slope():
    times = np.linspace(0, 1, 400)
    values = np.where(times < 0.1, 100.0, 120.0)
    assert slope(times.tolist(), values.tolist())[1] <= 0


def test_too_few_samples_have_no_slope():
    assert all(map(math.isnan, slope([0, 1, 2], [5, 5, 5])))


def record_of(*, rss=0.0, descriptors=0.0, threads=0.0, drift=0.0, gap=0.0, measured_from=600.0) -> Record:
    """An hour of samples, and two rounds of steps at 5 a second; each figure is what is added by the end.

    The `gap` is seconds without a step.
    """
    samples = [
        Sample(t, 100 + rss * t / 3600, 5 + int(descriptors * t / 3600), 9 + int(threads * t / 3600))
        for t in range(3601)
    ]
    round_time = SCENE_TIME * len(SCENES)
    steps = []
    for begin, added in ((0.0, 0.0), (3580.0, drift)):
        for t in np.arange(begin, begin + round_time, 0.2):
            number = int(t // SCENE_TIME) % len(SCENES)
            rest = {scene: 0.05 for scene in SCENES}
            steps.append(Step(t + 0.01 + gap * (t > begin + 5), t, {**rest, SCENES[number]: 0.85 - added}))
    return Record(samples, steps, [], (measured_from, 3600.0), 0.0, 3580.0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, None),
        ({"rss": 1.0}, None),
        ({"rss": 3.5}, "memory rises"),
        ({"rss": 3.5, "measured_from": 30.0}, None),  # a heap finding its size
        ({"rss": 10.0, "measured_from": 30.0}, "memory rises"),
        ({"rss": -30.0}, None),
        ({"descriptors": 6}, "descriptors rise"),
        ({"threads": 4}, "threads rise"),
        ({"drift": 0.02}, None),
        ({"drift": 0.1}, "probabilities changed by 0.100"),
        ({"drift": 0.84}, "the scene 'red' was 'red' at first and is 'dark' at last"),
    ],
)
def test_reasons(wrong, told):
    _, reasons = judge(record_of(**wrong))
    assert bool(reasons) == (told is not None)
    assert told is None or told in reasons[0]


def test_missed_deadlines_are_counted_while_the_camera_is_fine():
    record = record_of(gap=0.7)
    assert any("3 of" in line for line in judge(record)[0] if line.startswith("missed"))
    # The pause of an hour between the two rounds is a fault's.
    record.faults = [Fault("killed", 9.9, 3570, 3580.01)]
    assert any("2 of" in line for line in judge(record)[0] if line.startswith("missed"))


def test_a_fault_that_is_never_over_is_a_reason():
    record = record_of()
    record.faults = [Fault("killed", 100, 105, 105.5), Fault("frozen", 3000, 3005)]
    lines, reasons = judge(record)
    assert reasons == ["no steps came any more after the fault 'frozen'"]
    assert any(line.startswith("killed") and "back after 0.5 s" in line for line in lines)
