"""What a soak found: figures, reasons to fail, a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Sequence

import numpy as np

from soaking.camera import SCENE_TIME, SCENES

PERIOD = 0.2  # seconds between two steps of the model
LATE = 2 * PERIOD  # seconds between two steps, while the camera is fine, from which on a deadline was missed
# Megabytes by which the memory may have risen in the measured time, beyond doubt: once the heap has found its size, and
# before, when it rises by some 4 MB as threads come and go and pictures change their size.
GROWTH, GROWTH_AT_FIRST = 1.0, 6.0
SETTLING = 600.0  # seconds that it may take to find it
DRIFT = 0.05  # of a probability: largest difference between the first and the last round
BACK_WITHIN = 2.0  # seconds, once the source is back; on a busy machine one may take longer
_BLOCKS = 40  # of samples, whose medians the line is fitted to
_SETTLED = 1.0  # seconds: the end of a scene, when the model has forgotten the one before
_Z = 1.96  # 95 %


@dataclass(frozen=True)
class Sample:
    """The program at one moment.

    Attributes:
        time: Seconds, monotonic clock.
        rss: Resident memory in megabytes.
        descriptors: Open files.
        threads: Number of them.
    """

    time: float
    rss: float
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Step:
    """A line of JSON that the program wrote.

    Attributes:
        arrival: When it was read, in seconds of the monotonic clock.
        timestamp: The frame's, on the same clock.
        probabilities: By label.
    """

    arrival: float
    timestamp: float
    probabilities: dict[str, float]


@dataclass
class Fault:
    """Something that was done to the program.

    Attributes:
        kind: Its name.
        start: Seconds, monotonic clock.
        end: When it was undone.
        back: When the first step on a frame taken after it arrived; infinite if none did.
    """

    kind: str
    start: float
    end: float = math.inf
    back: float = math.inf


@dataclass
class Record:
    """All that was seen of a run.

    Attributes:
        samples: Of the program, twice a second.
        steps: The lines that it wrote.
        faults: What was done to it.
        measured: (begin, end) on the monotonic clock: after ten minutes or half of the run, before the last acts.
        first_round: When the camera's undisturbed first round begins; nan if it didn't come to that.
        last_round: Likewise the last.
        forgetful: Whether the model's memory is bounded. Otherwise, its graph being unknown, its labels must drift.
        errors: What must not happen at all, such as an early end.
    """

    samples: list[Sample] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    measured: tuple[float, float] = (math.nan, math.nan)
    first_round: float = math.nan
    last_round: float = math.nan
    forgetful: bool = True
    errors: list[str] = field(default_factory=list)


def slope(times: Sequence[float], values: Sequence[float]) -> tuple[float, float, float]:
    """Fits a line that single jumps and outliers don't tilt: the median of the slopes of all pairs (Theil and Sen).

    Neighbouring samples are alike, so that medians of blocks are taken first, and the interval (Sen 1968) is theirs.

    Args:
        times: Rising, at equal distances.
        values: As many.

    Returns:
        Slope and the ends of its 95 % interval, in units of value per unit of time; nan for fewer than four samples.
    """
    if len(times) < 4:
        return math.nan, math.nan, math.nan
    blocks = min(_BLOCKS, len(times))
    x, y = (np.array([np.median(block) for block in np.array_split(each, blocks)]) for each in (times, values))
    first, second = np.triu_indices(blocks, 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    spread = _Z * math.sqrt(blocks * (blocks - 1) * (2 * blocks + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[len(slopes) - 1 - low])


def judge(record: Record) -> tuple[list[str], list[str]]:
    """Returns the lines of the report, and the reasons why the program failed, none if it didn't."""
    lines, reasons = [], list(record.errors)
    for part in (_memory, _counts, _deadlines, _returns, _drift):
        told, wrong = part(record)
        lines += told
        reasons += wrong
    return lines, reasons


def _measured(record: Record) -> list[Sample]:
    begin, end = record.measured
    return [sample for sample in record.samples if begin <= sample.time <= end]


def _memory(record: Record) -> tuple[list[str], list[str]]:
    samples = _measured(record)
    hours = [sample.time / 3600 for sample in samples]
    middle, low, high = slope(hours, [sample.rss for sample in samples])
    if math.isnan(middle):
        return [], ["too short: nothing was measured"]
    lasted = hours[-1] - hours[0]
    lines = [
        f"memory (RSS)      {np.median([s.rss for s in samples]):.1f} MB, {middle:+.1f} MB an hour "
        f"(95 %: {low:+.1f} to {high:+.1f}): {middle * lasted:+.1f} MB in the {lasted * 60:.1f} minutes measured"
    ]
    settled = samples[0].time - record.samples[0].time >= SETTLING
    if low * lasted > (GROWTH if settled else GROWTH_AT_FIRST):
        return lines, [f"memory rises: by more than {low * lasted:.1f} MB in {lasted * 60:.1f} minutes"]
    return lines, []


def _counts(record: Record) -> tuple[list[str], list[str]]:
    """Descriptors and threads: those of the last third against the first, while all was well."""
    lines, reasons = [], []
    samples = [sample for sample in _measured(record) if not _disturbed(record, sample.time - 1, sample.time)]
    third = len(samples) // 3
    if not third:
        return [], ["too short: the camera was never well"]
    for name in ("descriptors", "threads"):
        values = [getattr(sample, name) for sample in samples]
        before, after = np.median(values[:third]), np.median(values[-third:])
        lines.append(f"{name:17} {before:g} at first, {after:g} at last, {max(values)} at most")
        if after > before:
            reasons.append(f"{name} rise: from {before:g} to {after:g}")
    return lines, reasons


def _deadlines(record: Record) -> tuple[list[str], list[str]]:
    quiet = [
        later.arrival - earlier.arrival
        for earlier, later in zip(record.steps, record.steps[1:])
        if not _disturbed(record, earlier.arrival, later.arrival)
    ]
    missed = [gap for gap in quiet if gap > LATE]
    longest = f", longest wait {max(quiet):.2f} s" if quiet else ""
    return [f"missed deadlines  {len(missed)} of {len(quiet)} steps came after more than {LATE:g} s{longest}"], []


def _returns(record: Record) -> tuple[list[str], list[str]]:
    lines, reasons = [], []
    for kind in dict.fromkeys(fault.kind for fault in record.faults):
        times = [fault.back - fault.end for fault in record.faults if fault.kind == kind]
        never = sum(map(math.isinf, times))
        back = [seconds for seconds in times if math.isfinite(seconds)]
        told = f"back after {np.median(back):.1f} s (median), {max(back):.1f} s (longest)" if back else "never back"
        late = sum(seconds > BACK_WITHIN for seconds in back)
        lines.append(f"{kind:17} {len(times)} times, {told}" + (f", {late} later than {BACK_WITHIN:g} s" * bool(late)))
        if never:
            reasons.append(f"no steps came any more after the fault {kind!r}")
    return lines, reasons


def _drift(record: Record) -> tuple[list[str], list[str]]:
    first, last = (_answers(record.steps, begin) for begin in (record.first_round, record.last_round))
    if not first or first.keys() != last.keys():
        return [], ["no two undisturbed rounds of the scenes to compare"]
    changes, largest = [], 0.0
    for scene in first:
        before, after = first[scene], last[scene]
        largest = max(largest, *(abs(before[label] - after.get(label, 0.0)) for label in before))
        best = max(before, key=before.__getitem__), max(after, key=after.__getitem__)
        if best[0] != best[1]:
            changes.append(f"the scene {scene!r} was {best[0]!r} at first and is {best[1]!r} at last")
    if largest > DRIFT:
        changes.append(f"the same pictures' probabilities changed by {largest:.3f}")
    if not record.forgetful:
        return [f"drift             not judged, memory is not bounded; probabilities within {largest:.4f}"], []
    labels = "other labels" if changes else "the same labels"
    return [f"drift             {labels}, probabilities within {largest:.4f}"], changes


def _answers(steps: Sequence[Step], begin: float) -> dict[str, dict[str, float]]:
    """Returns for each scene of the round that begins then the median probability of each label, once settled."""
    answers: dict[str, dict[str, float]] = {}
    if math.isnan(begin):
        return answers
    for number in range(round(begin / SCENE_TIME), round(begin / SCENE_TIME) + len(SCENES)):
        end = SCENE_TIME * (number + 1)
        settled = [step.probabilities for step in steps if end - _SETTLED <= step.timestamp < end]
        if not settled:
            return {}
        labels = sorted(set().union(*settled))
        scene = SCENES[number % len(SCENES)]
        answers[scene] = {label: float(np.median([each.get(label, 0.0) for each in settled])) for label in labels}
    return answers


def _disturbed(record: Record, begin: float, end: float) -> bool:
    return any(fault.start <= end and fault.back >= begin for fault in record.faults)


def plot(record: Record, path: str) -> None:
    """Draws memory, descriptors, threads and steps over time, with the faults. Needs matplotlib, and a step."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    start = record.samples[0].time
    long = record.samples[-1].time - start > 300
    unit, divisor = ("minutes", 60) if long else ("seconds", 1)

    def since(moments: Sequence[float] | np.ndarray) -> np.ndarray:
        return (np.array(moments) - start) / divisor

    figure, (memory, counts, pace) = pyplot.subplots(3, 1, sharex=True, figsize=(10, 8), layout="constrained")
    times = since([sample.time for sample in record.samples])
    memory.plot(times, [sample.rss for sample in record.samples], color="tab:blue", lw=1)
    memory.set_ylabel("resident memory, MB")
    later = [sample.rss for sample in record.samples if sample.time >= record.steps[0].arrival]
    memory.set_ylim(min(later) - 2, max(later) + 2)  # the start would flatten everything else
    counts.plot(times, [sample.descriptors for sample in record.samples], color="tab:green", lw=1, label="descriptors")
    counts.plot(times, [sample.threads for sample in record.samples], color="tab:purple", lw=1, label="threads")
    counts.set_ylabel("number")
    counts.set_ylim(bottom=0)
    counts.legend(loc="lower left")
    width = 10.0 if long else 1.0
    edges = np.arange(start, record.samples[-1].time + width, width)
    steps = np.histogram([step.arrival for step in record.steps], edges)[0] / width
    pace.stairs(steps, since(edges), color="tab:gray", fill=True)
    pace.set_ylabel("steps a second")
    pace.set_xlabel(f"{unit} since the start")
    kinds = list(dict.fromkeys(fault.kind for fault in record.faults))
    for axes in (memory, counts, pace):
        for fault in record.faults:
            begin, end = since([fault.start, min(fault.back, record.samples[-1].time)])
            axes.axvspan(begin, end, color=f"C{kinds.index(fault.kind)}", alpha=0.25, lw=0)
        axes.axvspan(*since(record.measured), facecolor="none", edgecolor="black", lw=0.8, ls=":")
    patches = [matplotlib.patches.Patch(color=f"C{index}", alpha=0.4, label=kind) for index, kind in enumerate(kinds)]
    figure.legend(handles=patches, loc="outside upper center", ncols=len(kinds) or 1, title="faults")
    figure.savefig(path, dpi=110)
