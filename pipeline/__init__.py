"""The threads between a source and the main thread: capture and inference.

Live sources pass through a latest-frame slot: the newest frame wins, nothing queues up, and a slow model or a slow
window makes nobody else wait. Files pass through bounded queues: every frame arrives, in order, with its prediction.
"""

from __future__ import annotations

from classifier import Classifier
from pace import Pace
from pipeline.base import Pipeline
from pipeline.file import FilePipeline
from pipeline.live import InferenceWorker, LivePipeline
from sources import Source


def open_pipeline(
    source: Source,
    classifier: Classifier,
    pace: Pace,
    *,
    duration: float | None = None,
    max_frames: int | None = None,
    forget_after: float | None = None,
    worker: InferenceWorker | None = None,
) -> Pipeline:
    """Chooses the hand-over that suits the source. Leaving the pipeline's context closes the source.

    Args:
        source: An open source.
        classifier: Used by the inference thread alone while the pipeline runs.
        pace: Likewise.
        duration: Seconds of the source's time after which the stream ends.
        max_frames: Frames after which the stream ends.
        forget_after: Seconds without a frame after which the model starts from a fresh state; None for never.
        worker: The inference thread of several live sources; None for one of its own.
    """
    if source.live:
        return LivePipeline(source, classifier, pace, duration, max_frames, forget_after, worker=worker)
    return FilePipeline(source, classifier, pace, duration, max_frames, forget_after)
