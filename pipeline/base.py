"""What both kinds of pipeline share: the threads, their end, and a step on a frame that is due."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, NamedTuple

from classifier import Classifier
from pace import Pace
from sources import Frame, Source
from utils import RateMeter
from video_classifier import Prediction

POLL = 0.1  # seconds between looks at the stop flag
STOP_WITHIN = 1.0  # seconds for all threads; the program as a whole has 2


@dataclass(frozen=True)
class Update:
    """What is new for the main thread.

    Attributes:
        frame: The frame to show, or None if none came in time.
        predictions: Those made since the last update, oldest first.
    """

    frame: Frame | None
    predictions: list[Prediction]


class Made(NamedTuple):
    """A prediction on its way to the main thread, and which classifier made it: another one may be in force by then."""

    by: Classifier
    prediction: Prediction


class Pipeline:
    """Runs capture and inference in threads of their own; a context manager, opened by `open_pipeline`.

    Attributes:
        camera_fps: Frames a second that the source delivers, by their timestamps. Written by the capture thread.
        sample_fps: Steps a second that the model achieves, by their timestamps. Written by the inference thread.
        turns: How often the inference thread was free for a frame, from the model's first step on. It stands still
            while a step hangs, and only then: neither a pace of one step a minute nor a camera that is away stops it.
        pace: As given to `open_pipeline`; may be replaced by any thread.
        forget_after: Likewise.
        note: Why the model is given fewer frames than it wants, "hot: 3 fps"; "" if it isn't.
        stuck: True after the context if a thread didn't stop in time (a driver that never returns).
    """

    def __init__(
        self,
        source: Source,
        classifier: Classifier,
        pace: Pace,
        duration: float | None,
        max_frames: int | None,
        forget_after: float | None,
    ) -> None:
        self.camera_fps = 0.0
        self.sample_fps = 0.0
        self.turns = 0
        self.stuck = False
        self._source = source
        self._classifier = classifier
        self._newest = classifier  # for the main thread: the inference thread may not have come to it yet
        self.pace = pace
        self.forget_after = forget_after
        self._replacing = threading.Lock()  # guards the next one
        self._replacement: Classifier | None = None  # which the inference thread hasn't come to yet
        self._duration = duration
        self._max_frames = max_frames
        self._camera_meter = RateMeter()
        self._sample_meter = RateMeter()
        self._stop = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._reset_wanted = threading.Event()
        self._first_frame: float | None = None  # their timestamps, in the capture thread
        self._last_frame: float | None = None
        self._stop_by = 0.0  # seconds of the monotonic clock until which threads that were told to stop are waited for
        self._error: BaseException | None = None
        self._captured: Any = None  # hand-overs of the subclass
        self._results: Any = None

    def __enter__(self) -> Pipeline:
        self._threads = [
            threading.Thread(target=self._run, args=(work, output), name=name, daemon=True)
            for name, work, output in self._work()
        ]
        for thread in self._threads:
            thread.start()
        return self

    def _work(self) -> list[tuple[str, Callable[[], None], Any]]:
        """Returns what is to run in threads: a name, the work, and the hand-over to close when it ends."""
        return [("capture", self._capture, self._captured), ("inference", self._infer, self._results)]

    def __exit__(self, *_: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join(max(0.0, self._stop_by - time.monotonic()))
        self.stuck = any(thread.is_alive() for thread in self._threads)
        if not self.stuck:
            self._source.close()

    def stop(self) -> None:
        """Tells the threads to stop and returns at once, so that several pipelines can stop at the same time.

        Leaving the context does so, too, and waits for them; it may have been done before.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        self._stop_by = time.monotonic() + STOP_WITHIN
        self._awake.set()
        self._captured.close()
        self._results.close()
        self._interrupt()

    def next(self, timeout: float) -> Update | None:
        """Waits up to `timeout` seconds for the next frame; None at the end of the stream.

        Raises:
            SourceError: The source broke.
        """
        raise NotImplementedError

    @property
    def note(self) -> str:
        return self.pace.note

    def outage(self, now: float) -> float:
        """Returns for how many seconds a camera has been away; 0 for a source that doesn't come back by itself."""
        tell = getattr(self._source, "outage", None)
        return tell(now) if tell is not None else 0.0

    def pause(self, paused: bool) -> None:
        """Stops or resumes inference; a camera is read on all the while."""
        if paused:
            self._awake.clear()
        else:
            self._awake.set()

    def reset(self) -> None:
        """Lets the model start from a fresh state at its next step."""
        self._reset_wanted.set()

    def replace(self, classifier: Classifier) -> None:
        """Lets another classifier go on from the next step on; the old one is closed, as is one that had no step.

        From now on next() gives no prediction that isn't in terms of its labels: one that the old one is making, or
        that waits to be taken, is left out if theirs differ.
        """
        self._newest = classifier
        with self._replacing:
            superseded, self._replacement = self._replacement, classifier
        if superseded is not None:  # while the camera is away there is no step, and more may follow
            superseded.close()

    def _capture(self) -> None:
        for frame in self._frames():
            self._captured.put(frame)

    def _infer(self) -> None:
        raise NotImplementedError

    def _interrupt(self) -> None:
        interrupt = getattr(self._source, "interrupt", None)
        if interrupt is not None:  # Its read blocks until the next frame, or for as long as the camera is away.
            interrupt()

    def _run(self, work: Callable[[], None], output: Any) -> None:
        try:
            work()
        except BaseException as error:  # the main thread raises it, after whatever was made before it
            self._error = error
        finally:
            output.close()

    def _frames(self) -> Iterator[Frame]:
        """Reads the source within the bounds of the run."""
        while not self._stop.is_set():
            frame = self._source.read()
            if frame is None:
                return
            if self._first_frame is None:
                self._first_frame = frame.timestamp
            if self._duration is not None and frame.timestamp - self._first_frame >= self._duration:
                return
            if self._is_gap(frame.timestamp):
                self._reset_wanted.set()
            self._camera_meter.tick(frame.timestamp)
            self.camera_fps = self._camera_meter.rate(frame.timestamp)
            yield frame
            if self._max_frames is not None and frame.index + 1 >= self._max_frames:
                return

    def _step_if_due(self, frame: Frame) -> list[Made]:
        """Returns the frame's prediction, in a list that is empty if the model skips the frame."""
        pace = self.pace
        if not pace.due(frame):
            return []
        with self._replacing:
            replacement, self._replacement = self._replacement, None
        if replacement is not None:
            before, self._classifier = self._classifier, replacement
            self._classifier.resume(before)
            before.close()
        if self._reset_wanted.is_set():
            self._reset_wanted.clear()
            self._classifier.reset()
        with pace.measured():
            image = frame.image if frame.lores is None else frame.lores
            prediction = self._classifier.step(image, frame.timestamp)  # None within a window of a clip model
        self._sample_meter.tick(frame.timestamp)
        self.sample_fps = self._sample_meter.rate(frame.timestamp)
        return [] if prediction is None else [Made(self._classifier, prediction)]

    def _current(self, made: Iterable[Made]) -> list[Prediction]:
        """Returns the predictions, without those of a model that was replaced by one with other labels."""
        newest = self._newest
        return [each.prediction for each in made if each.by is newest or each.by.labels == newest.labels]

    def _count_turn(self, frame: Frame | None) -> None:
        """Counts a turn of the inference thread, in which it was given a frame or none came in time."""
        self.turns += frame is not None or self.turns > 0

    def _is_gap(self, timestamp: float) -> bool:
        """Says whether nothing came for so long that what the model remembers is of another time."""
        last, self._last_frame = self._last_frame, timestamp
        forget_after = self.forget_after
        return forget_after is not None and last is not None and timestamp - last > forget_after

    def _finish(self) -> None:
        if self._error is not None:
            raise self._error
