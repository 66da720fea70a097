"""For files: a pipeline through bounded queues."""

from __future__ import annotations

from typing import Any

from pipeline.base import POLL, Made, Pipeline, Update
from sources import Frame
from sources.handover import BoundedQueue

_QUEUED_FRAMES = 8  # between two threads: hides one step of 200 ms at 30 fps; 50 MB at 1080p


class FilePipeline(Pipeline):
    """For files: every frame, in order, each with the prediction made from it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._captured: BoundedQueue[Frame] = BoundedQueue(_QUEUED_FRAMES)
        self._results: BoundedQueue[tuple[Frame, list[Made]]] = BoundedQueue(_QUEUED_FRAMES)

    def next(self, timeout: float) -> Update | None:
        result = self._results.get(timeout)
        if result is None:
            return self._finish() if self._results.finished() else Update(None, [])
        frame, made = result
        return Update(frame, self._current(made))

    def _infer(self) -> None:
        while not self._stop.is_set() and not self._captured.finished():
            self._awake.wait()
            frame = self._captured.get(POLL)
            if frame is not None:
                self._results.put((frame, self._step_if_due(frame)))
            self._count_turn(frame)
