"""How many frames a second the model sees now: fewer on a hot board, within a CPU bound, and in an empty room."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Iterator

from motion import Motion
from sources import Frame
from sources.sampler import Sampler
from thermal import Cooling

IDLE_FPS = 1.0
"""Frames a second that the model sees while nothing changes."""
IDLE_AFTER = 5.0
"""Seconds without a change until then."""

_COSTS = 10  # steps whose mean CPU time counts: slow enough for one stray step, quick enough for a throttled processor


class Pace:
    """Chooses the frames that the model sees, as a Sampler does, at a rate that follows the circumstances.

    All its methods are for one thread, the one that runs the model; others may read the attributes.

    A model's state needs nothing when the rate changes. Its memory counts frames: at half the rate it lasts twice as
    long. Of a still picture one frame a second says as much as five, so a woken model is in the state that it would be
    in had it never slept (measured: experiment_idle.py).

    Args:
        wanted_fps: Frames a second that the model was made for.
        idle: Whether to sample once a second while nothing changes.
        max_cpu: CPU time that steps may take, in percent of one core, as `top` shows it; None for no bound. Kept as a
            mean over some seconds.
        threads: Of the model, for measuring that.
        cooling: Says whether the board is hot; None not to care.

    Attributes:
        fps: Frames a second now.
        reason: Why they are fewer than wanted: "idle", "hot", "weak power" or "cpu"; "" if they are not.
    """

    def __init__(
        self,
        wanted_fps: float,
        *,
        idle: bool = False,
        max_cpu: float | None = None,
        threads: int = 1,
        cooling: Cooling | None = None,
    ) -> None:
        self.fps = wanted_fps
        self.reason = ""
        self._wanted_fps = wanted_fps
        self._sampler = Sampler(wanted_fps)
        self._motion = Motion() if idle else None
        self._changed_at = float("-inf")  # timestamp of the last frame that showed something new
        self._max_cpu = max_cpu
        self._threads = threads
        self._costs: deque[float] = deque(maxlen=_COSTS)
        self._cooling = cooling

    @property
    def note(self) -> str:
        """What the user is told: "hot: 3 fps"; "" at the wanted rate."""
        return f"{self.reason}: {self.fps:.2g} fps" if self.reason else ""

    def due(self, frame: Frame) -> bool:
        """Says whether the model is to see this frame. Wants to be asked about every one, so as to see it move."""
        was_idle = self.reason == "idle"
        self.fps, self.reason = min(self._limits(frame), key=lambda limit: limit[0])
        if was_idle and self.reason != "idle":
            self._sampler = Sampler(self.fps)  # takes this frame
        self._sampler.fps = self.fps
        return self._sampler.due(frame.timestamp)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Measures the CPU time of a step, which is to be run within.

        Nobody tells what a runtime's own threads take. Two figures bound it: what the whole process takes meanwhile,
        and what this thread takes, times the model's threads, which wait for each other. The smaller one counts.
        """
        process, thread = time.process_time(), time.thread_time()
        yield
        self.spent(min(time.process_time() - process, self._threads * (time.thread_time() - thread)))

    def spent(self, seconds: float) -> None:
        """Takes note of the CPU time of a step, in seconds summed over the cores."""
        self._costs.append(seconds)

    def _limits(self, frame: Frame) -> Iterator[tuple[float, str]]:
        """Yields rates and the reasons for them; of two equal ones the first is told."""
        yield self._wanted_fps, ""
        if self._motion is not None and self._is_still(self._motion, frame):
            yield IDLE_FPS, "idle"
        if self._cooling is not None:
            self._cooling.update()
            if self._cooling.reason:
                yield self._cooling.share * self._wanted_fps, self._cooling.reason
        if self._max_cpu is not None and self._costs:
            mean = sum(self._costs) / len(self._costs)
            yield self._max_cpu / 100 / max(mean, 1e-9), "cpu"

    def _is_still(self, motion: Motion, frame: Frame) -> bool:
        image = frame.image if frame.lores is None else frame.lores
        went_back = frame.timestamp < self._changed_at  # a film that starts again
        if motion.changed(image, frame.timestamp) or went_back:
            self._changed_at = frame.timestamp
        return frame.timestamp - self._changed_at >= IDLE_AFTER
