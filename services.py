"""What the outside world is told through."""

from __future__ import annotations

from argparse import Namespace

from sinks import Sink
from video_classifier import VideoClassifier


class Services:
    def __init__(self, options, instance): ...
    def __enter__(self): return self
    def __exit__(self, *_): ...
    ended = 0
    def sinks(self, source: str) -> list[Sink]:
        return []

    def adapt(self, source: str, classifier: VideoClassifier, options: Namespace) -> None:
        pass
