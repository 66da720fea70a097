"""For cameras: a pipeline through latest-frame slots, and one inference thread for several of them."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

from pipeline.base import POLL, STOP_WITHIN, Made, Pipeline, Update
from sources.handover import BoundedQueue, LatestFrame

_TURN = 0.02  # seconds in which each of several pipelines is looked at, when none has a new frame
_OVERDUE_AFTER = 1.0  # seconds past a live source's duration in which its last frames may still come
_KEPT_PREDICTIONS = 64  # while the main thread is held up (a window being dragged)


class LivePipeline(Pipeline):
    """For cameras: the newest frame wins, for the model and for the window alike.

    Several of them can share one inference thread, see InferenceWorker.
    """

    def __init__(self, *args: Any, worker: InferenceWorker | None = None) -> None:
        super().__init__(*args)
        self._captured: LatestFrame = LatestFrame()
        self._results: BoundedQueue[Made] = BoundedQueue(_KEPT_PREDICTIONS)
        self._shown = -1
        self._seen = -1
        self._overdue = False
        self._worker = worker
        if worker is not None:
            worker.add(self)

    def _work(self) -> list[tuple[str, Callable[[], None], Any]]:
        return super()._work()[: 1 if self._worker is not None else 2]

    def infer_once(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for a new frame and makes its step, if it is due.

        Returns:
            Whether more may come.
        """
        if self._stop.is_set() or self._captured.finished(self._seen):
            return False
        frame = self._captured.get(self._seen, timeout) if self._awake.wait(timeout) else None
        if frame is not None:
            self._seen = frame.index
            for made in self._step_if_due(frame):
                self._results.put(made)
        self._count_turn(frame)
        return True

    def next(self, timeout: float) -> Update | None:
        self._end_if_overdue()
        frame = self._captured.get(self._shown, timeout)
        self._shown = self._shown if frame is None else frame.index
        camera_ended = self._captured.finished(self._shown)
        # Once the camera has ended, what is left to wait for is the last step.
        patience = timeout if camera_ended else 0.0
        made = list(iter(lambda: self._results.get(patience), None))
        model_ended = self._results.finished() and not made
        if model_ended and (frame is None or not camera_ended):
            return self._finish()
        return Update(frame, self._current(made))

    def _end_if_overdue(self) -> None:
        """Ends the capture if its duration is over and no frame came to show it: the camera is away, or very slow."""
        if self._duration is None or self._first_frame is None or self._overdue:
            return
        if time.monotonic() - self._first_frame >= self._duration + _OVERDUE_AFTER:
            self._overdue = True
            self._captured.close()
            self._interrupt()

    def infer_in_turn(self, timeout: float) -> bool:
        """Like infer_once, for a thread that serves others too: an error ends this pipeline alone."""
        try:
            more = self.infer_once(timeout)
        except BaseException as error:  # the main thread raises it
            self._error, more = error, False
        if not more:
            self._results.close()
        return more

    def _infer(self) -> None:
        while self.infer_once(POLL):
            pass


class InferenceWorker:
    """One inference thread for several live pipelines: each in turn is given a step on its newest frame.

    So a camera whose model is due waits for one step of each of the others at most, however fast they deliver. A
    context manager; the pipelines are to be entered inside it.
    """

    def __init__(self) -> None:
        self._pipelines: list[LivePipeline] = []
        self._changing = threading.Lock()  # guards that list, which is replaced as a whole
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def __enter__(self) -> InferenceWorker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STOP_WITHIN)

    def add(self, pipeline: LivePipeline) -> None:
        """Takes a pipeline into the round."""
        with self._changing:
            self._pipelines = [*self._pipelines, pipeline]

    def _run(self) -> None:
        while not self._stop.is_set():
            served = self._pipelines
            ended = [pipeline for pipeline in served if not pipeline.infer_in_turn(_TURN / len(served))]
            with self._changing:
                self._pipelines = [pipeline for pipeline in self._pipelines if pipeline not in ended]
            if not served:
                self._stop.wait(_TURN)
