#!/usr/bin/env python3
"""Shows what bounded memory is for: a stream that is never reset, as published and with pools that forget.

    python experiment_memory.py                                  the tests' tiny model on drawn frames, and the plot
    python experiment_memory.py --model movinet_a0_int8.tflite --source clip.mp4 [--before other.mp4]

Three experiments, one panel each:

1. A day: the arithmetic of the head's pool alone, one action all day long, in float32 and in the int8 of the published
   files (saturating sum, step 0.587), a million steps of it.
2. Ten minutes: the model itself on the source, looped, 3,000 steps.
3. After ten minutes of another action: how many frames until the source's label leads.

Needs matplotlib (./setup.sh --extras timeline).
"""

from __future__ import annotations

from environment import use_venv

if __name__ == "__main__":
    use_venv()

import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

import cv2
import numpy as np

import models
from compiler.graph import save
from compiler.horizons import add_horizons
from compiler.pools import find_pools
from compiler.rewrite import compile_graph
from compiler.shapes import load_resolved
from errors import UserError
from flags import Number, Parser
from memory import Memory, Pool
from plotting import check_drawable, import_figure
from runtime import choose_runtime, load_interpreter, read_model
from signature import read_signature
from sources.sampler import Sampler
from teaching.clips import read_clip
from utils import fit_frame
from video_classifier import softmax

_TINY = Path(__file__).resolve().parent / "tests" / "data" / "tiny.tflite"
_RATE = 5  # Frames a second.
_WINDOW = 12  # Frames of memory.
_TEN_MINUTES = 600 * _RATE
_INT8_STEP = 0.587  # Of the head's pool in the published A0.

# Okabe and Ito's colours, which the colour-blind can tell apart too, with a dash and a width of their own.
_STYLES: dict[str, dict[str, Any]] = {
    "int8, as published": {"color": "#D55E00", "linestyle": "--", "linewidth": 2},
    "int8, decay rounded to nearest": {"color": "#CC79A7", "linestyle": (0, (5, 1, 1, 1)), "linewidth": 2},
    "int8, bounded": {"color": "#E69F00", "linestyle": "-", "linewidth": 5, "alpha": 0.6},
    "float, as published": {"color": "#0072B2", "linestyle": "-.", "linewidth": 2},
    "float, bounded": {"color": "#009E73", "linestyle": "-", "linewidth": 2.5},
    "float, two horizons": {"color": "#000000", "linestyle": ":", "linewidth": 2.5},
}

Curves = Dict[str, Tuple[np.ndarray, np.ndarray]]  # What is shown along and up, by kind.


class PoolArithmetic:
    """A head's pool and classifier alone: 8 actions, each with 32 features of its own.

    Args:
        step: Grid of the int8 sum; 0 for float32.
        memory: Bounds the state called "sum" with the count "frames".
    """

    def __init__(self, step: float, memory: Memory) -> None:
        random = np.random.default_rng(1)
        self._actions = random.gamma(1.0, 1.0, (8, 32)).astype(np.float32)
        # Noise of a frame is as large as what tells the actions apart; the same block of it over and over.
        self._noise = random.normal(0, 1, (4096, 32)).astype(np.float32)
        self._weights = (self._actions - self._actions.mean(0)) / 6
        self._step, self._memory = step, memory
        self._states = {"sum": np.zeros(32, np.float32), "frames": np.zeros(1, np.int32)}
        self._taken = 0

    def step(self, action: int) -> np.ndarray:
        """Takes a frame of an action; returns the features' mean."""
        states = self._states
        self._memory.bound(states)
        total = states["sum"] + np.maximum(self._actions[action] + self._noise[self._taken % 4096], 0)
        if self._step:
            total = np.clip(np.rint(total / self._step), -128, 127) * np.float32(self._step)
        self._states = {"sum": total, "frames": states["frames"] + np.int32(1)}
        self._taken += 1
        return total / self._states["frames"]

    def probability(self, mean: np.ndarray, action: int) -> float:
        """Returns an action's probability by such a mean."""
        return float(softmax(self._weights @ mean)[action])


def simulate_day(steps: int) -> Curves:
    """Returns seconds and the probability of the one action there is, by kind of pool."""
    moments = set(np.unique(np.geomspace(1, steps, 300).astype(int)))
    curves = {}
    for kind, memory, step in (
        ("int8, as published", Memory([], _WINDOW), _INT8_STEP),
        ("float, as published", Memory([], _WINDOW), 0.0),
        ("int8, bounded", Memory([Pool("sum", "frames", scale=_INT8_STEP)], _WINDOW), _INT8_STEP),
        ("float, bounded", Memory([Pool("sum", "frames")], _WINDOW), 0.0),
    ):
        pool, seconds, probabilities = PoolArithmetic(step, memory), [], []
        for frame in range(1, steps + 1):
            mean = pool.step(0)
            if frame in moments:
                seconds.append(frame / _RATE)
                probabilities.append(pool.probability(mean, 0))
        curves[kind] = np.array(seconds), np.array(probabilities)
    return curves


class Stream:
    """A model on one stream, its pools bounded or not.

    Args:
        content: The .tflite file.
        memory: Bounds its pools.
    """

    def __init__(self, content: bytes, memory: Memory) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.tflite")
            path.write_bytes(content)
            self._interpreter = load_interpreter(path, choose_runtime(), min(4, os.cpu_count() or 1))
            self._signature = read_signature(self._interpreter, path)
        self.size: tuple[int, int] = (self._signature.image.shape[2], self._signature.image.shape[3])
        self._memory = memory
        self.reset()

    def reset(self) -> None:
        """Makes the next frame the first one."""
        self._states: dict[str, np.ndarray] = {
            given.name: np.full(given.shape, given.zero, given.dtype) for given, _ in self._signature.states
        }

    def step(self, frame: np.ndarray) -> np.ndarray:
        """Takes a float32 [height, width, 3] frame, RGB, 0..1; returns the probabilities, float32 [classes]."""
        interpreter, signature = self._interpreter, self._signature
        self._memory.bound(self._states)
        interpreter.set_tensor(signature.image.index, signature.image.from_real(frame[np.newaxis, np.newaxis]))
        for given, _ in signature.states:
            interpreter.set_tensor(given.index, self._states[given.name])
        interpreter.invoke()
        for given, left in signature.states:
            raw = interpreter.get_tensor(left.index)
            same = given.storage == left.storage
            self._states[given.name] = raw if same else given.from_real(left.to_real(raw))
        return softmax(signature.logits.to_real(interpreter.get_tensor(signature.logits.index)[0]))


def streams(model: Path) -> dict[str, Stream]:
    """Returns the ways to run a model, by kind: the file as it is and, in float and forgetting, compiled."""
    content = read_model(model)
    pools = find_pools(load_resolved(content))
    if not pools:
        raise UserError(f"model {model} has no pools that accumulate; there is nothing to bound")
    if any(pool.scale for pool in pools):
        blind = [Pool(pool.buffer, pool.count) for pool in pools]
        ways = {
            "int8, as published": Stream(content, Memory([], _WINDOW)),
            "int8, decay rounded to nearest": Stream(content, Memory(blind, _WINDOW)),
            "int8, bounded": Stream(content, Memory(pools, _WINDOW)),
        }
    else:
        ways = {"float, as published": Stream(content, Memory([], _WINDOW))}
    graph = compile_graph(load_resolved(content))
    ways["float, bounded"] = Stream(save(graph), Memory(find_pools(graph), _WINDOW))
    add_horizons(graph)
    ways["float, two horizons"] = Stream(save(graph), Memory(find_pools(graph), _WINDOW))
    return ways


def stay_and_switch(
    ways: dict[str, Stream], action: Sequence[np.ndarray], other: Sequence[np.ndarray], steps: int
) -> tuple[Curves, Curves, dict[str, int | None]]:
    """Shows each stream an action's frames, looped; and, on a fresh stream, the same after as many of another one.

    The right label is what leads after 200 frames on a fresh stream in float.

    Returns:
        Frames and the right label's probability; frames after the change and its probability; frames after the change
        until it leads, None if it doesn't. All by kind.
    """
    reference = ways["float, bounded"]
    right = int([reference.step(frame) for frame in _looped(action, 200)][-1].argmax())
    stays, switches, delays = {}, {}, {}
    for kind, stream in ways.items():
        stream.reset()
        alone = np.array([stream.step(frame) for frame in _looped(action, steps)])
        stream.reset()
        before = [stream.step(frame) for frame in _looped(other, steps)]
        if before[-1].argmax() == right:
            raise UserError("both actions show the same label; give another one with --before")
        after = np.array([stream.step(frame) for frame in _looped(action, steps + 300)])
        leads = np.flatnonzero(after.argmax(axis=1) == right)
        delays[kind] = int(leads[0]) + 1 if len(leads) else None
        stays[kind] = np.arange(1, len(alone) + 1), alone[:, right]
        switches[kind] = np.arange(1, len(after) + 1), after[:, right]
    return stays, switches, delays


def drawn(colour: tuple[float, float, float]) -> Callable[[tuple[int, int]], list[np.ndarray]]:
    """Returns what draws one still frame of a colour, given its size."""
    return lambda size: [np.full((*size, 3), colour, np.float32)]


def filmed(path: str) -> Callable[[tuple[int, int]], list[np.ndarray]]:
    """Returns what reads a video file at 5 frames a second, centre-cropped to a size."""

    def read(size: tuple[int, int]) -> list[np.ndarray]:
        sampler = Sampler(_RATE)
        frames = []
        for frame in read_clip(Path(path)):
            if sampler.due(frame.timestamp):
                picture = cv2.cvtColor(fit_frame(frame.image, *size, "crop"), cv2.COLOR_BGR2RGB)
                frames.append(picture.astype(np.float32) / 255)
        return frames

    return read


def plot(path: Path, day: Curves, stays: Curves, switches: Curves, name: str) -> None:
    """Draws the three experiments into a PNG file."""
    figure = import_figure("the plot")(figsize=(15, 5.2), layout="constrained")
    axes = figure.subplots(1, 3)
    panels = (
        (day, "The pool alone: one action, never reset", "time, at 5 frames a second", "right class"),
        (stays, f"{name}: one action, never reset", "frames", "right class"),
        (switches, f"{name}: after another action", "frames after the change", "right class"),
    )
    for axis, (curves, title, across, which) in zip(axes, panels):
        for kind, curve in curves.items():
            axis.plot(*_smoothed(*curve), label=kind, **_STYLES[kind])
        axis.set(title=title, xlabel=across, ylabel=f"probability of the {which}", xscale="log", ylim=(-0.02, 1.02))
        axis.grid(alpha=0.3)
    axes[0].set_xticks([1, 60, 3600, 86400], ["1 s", "1 min", "1 h", "1 day"])
    kinds = {kind: line for axis in axes for line, kind in zip(*axis.get_legend_handles_labels())}
    ordered = [kind for kind in _STYLES if kind in kinds]
    figure.legend([kinds[kind] for kind in ordered], ordered, loc="outside lower center", ncols=3, handlelength=4)
    figure.savefig(path, dpi=110)


def _smoothed(places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages both over the points that lie close together on a logarithmic axis, such as the loops of a clip."""
    groups = np.rint(12 * np.log10(places / places[0])).astype(int)
    each = [groups == group for group in np.unique(groups)]
    return np.array([places[group].mean() for group in each]), np.array([values[group].mean() for group in each])


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status."""
    steps = Number(int, 10, 10**9, "steps")
    parser = Parser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default=str(_TINY), help="a streaming .tflite file (default: a tiny one)")
    parser.add_argument("--source", help="a video of one action (default: a blue picture)")
    parser.add_argument("--before", help="a video of another action (default: a red picture)")
    parser.add_argument("--day-steps", type=steps, default=1_000_000, help="of the pool alone (default: %(default)s)")
    parser.add_argument("--steps", type=steps, default=_TEN_MINUTES, help="of the model (default: %(default)s)")
    parser.add_argument("--plot", type=Path, default=Path("memory.png"), help="PNG file (default: %(default)s)")
    try:
        options = parser.parse_args(arguments)
        check_drawable(options.plot, "experiment_memory.py")  # better to know now than after minutes
        model = models.find_model(options.model)
        action = filmed(options.source) if options.source else drawn((0, 0, 1))
        other = filmed(options.before) if options.before else drawn((1, 0, 0))
        ways = streams(model)
        size = next(iter(ways.values())).size
        stays, switches, delays = stay_and_switch(ways, action(size), other(size), options.steps)
        day = simulate_day(options.day_steps)
        _report(day, stays, switches, delays)
        plot(options.plot, day, stays, switches, model.stem)
        print(f"plot: {options.plot}")
    except UserError as error:
        print(f"experiment_memory.py: {error}", file=sys.stderr)
        return error.status
    return 0


def _report(day: Curves, stays: Curves, switches: Curves, delays: dict[str, int | None]) -> None:
    print(f"{'':32}{'pool alone, end':>17}{'model, end':>12}{'frames to switch':>18}")
    for kind in _STYLES:
        ends = [f"{curves[kind][1][-1]:.3f}" if kind in curves else "" for curves in (day, stays)]
        delay = str(delays[kind] or f"> {len(switches[kind][0])}") if kind in delays else ""
        if any(ends):
            print(f"{kind:32}{ends[0]:>17}{ends[1]:>12}{delay:>18}")


def _looped(frames: Sequence[np.ndarray], count: int) -> Iterator[np.ndarray]:
    return itertools.islice(itertools.cycle(frames), count)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
