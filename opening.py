"""Opens what the command line asks for: models, sources, outputs."""

from __future__ import annotations

import contextlib
import threading
import time
from argparse import Namespace
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Iterator, Mapping, Sequence, TypeVar

from classifier import Classifier
from clip_classifier import ClipClassifier
from clip_format import clip_settings, is_clip_model
from errors import SourceError
from pace import Pace
from pipeline import open_pipeline
from pipeline.live import InferenceWorker
from sinks import Sink
from sinks.console import Console
from sinks.jsonl import JsonLines
from sinks.video_file import VideoFile
from sinks.viewer import Viewer
from sources import Source, find_camera, open_source
from sources.link import link_to
from sources.paced import Paced
from sources.reconnecting import keep_open
from thermal import Cooling
from utils import say
from video_classifier import VideoClassifier
from view import View

_LOOK_AGAIN = 2.0  # seconds between two looks for a camera that --retry waits for
_WAIT = 0.02  # seconds between two looks at what runs in a thread

_CLIP_FLAGS = ("stride", "clip_length", "clip_size", "layout", "mean", "scale")

T = TypeVar("T")


def load_classifier(model: Path, labels: Path | Sequence[str], memory: int | None, options: Namespace) -> Classifier:
    """Loads a model, streaming or of clips; `memory` in frames."""
    common: dict[str, Any] = {
        "threads": options.threads,
        "runtime": options.runtime,
        "top_k": options.top_k,
        "threshold": options.threshold,
        "allow": options.allow,
        "deny": options.deny,
        "fit": options.fit,
        "channel_order": "bgr",
    }
    if is_clip_model(model):
        return ClipClassifier(model, labels, clip=clip_settings(model, options), **common)
    precision = options.precision if options.compile else "source"
    classifier = VideoClassifier(model, labels, memory=memory, precision=precision, **common)
    idle = [f"--{name.replace('_', '-')}" for name in _CLIP_FLAGS if getattr(options, name) is not None]
    if idle:
        change = "changes" if len(idle) == 1 else "change"
        classifier.notes.append(f"is streaming, so {', '.join(idle)} {change} nothing")
    return classifier


def open_sources(
    uris: Sequence[str],
    lores: tuple[int, int] | None,
    options: Namespace,
    running: Mapping[int, Source] = MappingProxyType({}),
) -> list[Source]:
    """Opens all, or none. Files beside other sources play in real time.

    Args:
        uris: What to open.
        lores: (width, height) in pixels of the model's picture, for cameras that can scale one themselves; None for
            none.
        options: The command line's.
        running: Those that are open already, by their place among the URIs.
    """
    opened: dict[int, Source] = {}
    try:
        for place, uri in enumerate(uris):
            if place not in running:
                seed = options.demo_seed + list(uris[:place]).count("demo")  # each demo shows another film
                opened[place] = _open_source(uri, lores, seed, options)
    except BaseException:
        for source in opened.values():
            source.close()
        raise
    sources = [running[place] if place in running else opened[place] for place in range(len(uris))]
    return sources if len(sources) == 1 else [source if source.live else Paced(source) for source in sources]


def _open_source(uri: str, lores: tuple[int, int] | None, demo_seed: int, options: Namespace) -> Source:
    """Opens a source; a camera is opened again whenever it fails."""
    link = link_to(uri)
    if link is None:
        return open_once(uri, lores, options, demo_seed)
    again = partial(open_once, uri, lores, options)
    return keep_open(again, link, retries=options.retry, read_timeout=options.read_timeout)


def open_once(uri: str, lores: tuple[int, int] | None, options: Namespace, demo_seed: int = 0) -> Source:
    """Opens a source as the options say; a camera that fails is at its end."""
    return open_source(
        uri,
        loop=options.loop,
        width=options.width,
        height=options.height,
        fps=options.camera_fps,
        read_timeout=options.read_timeout,
        demo_seed=demo_seed,
        rotate=options.rotate,
        lores=lores,
        max_exposure=options.max_exposure,
    )


def open_pace(
    fps: float, source: Source, classifier: Classifier, sources: int, cooling: Cooling, options: Namespace
) -> Pace:
    """A file is seen whole, at the model's rate, however hot or busy the machine is."""
    return Pace(
        fps,
        idle=options.idle,
        max_cpu=options.max_cpu / sources if options.max_cpu and source.live else None,
        threads=classifier.threads,
        cooling=cooling if source.live else None,
    )


def open_view(
    source: Source,
    classifier: Classifier,
    pace: Pace,
    worker: InferenceWorker | None,
    options: Namespace,
    stack: contextlib.ExitStack,
) -> View:
    """Starts a source's threads, which end with the stack. The model starts from a fresh state."""
    pipeline = open_pipeline(
        source,
        classifier,
        pace,
        duration=options.duration,
        max_frames=options.max_frames,
        forget_after=options.memory if source.live else None,
        worker=worker,
    )
    pipeline.reset()  # the classifier may have seen another source
    return View(
        stack.enter_context(pipeline),
        fit=options.fit,
        wanted_fps=pace.fps,
        mirror=options.mirror,
        truth=truth_of(source, classifier),
        labels=classifier.labels,
        outage=getattr(source, "outage", None),
    )


def truth_of(source: Source, classifier: Classifier) -> Callable[[float], str] | None:
    """Returns what tells the true label at a timestamp, if the source knows it and the model has such labels."""
    truth = getattr(source, "truth", None)
    return truth if truth is not None and set(source.actions) <= set(classifier.labels) else None


def open_recorder(options: Namespace, fps: float | None) -> VideoFile | None:
    """Opens the recording, if one is wanted, at about this many frames a second."""
    return None if options.record is None else VideoFile(options.record, fps, options.record_limit)


def open_sinks(options: Namespace, source: str, window: Viewer | None, name: str) -> Iterator[Sink]:
    """Opens the outputs of one source; `name` is what lines on the terminal begin with."""
    if options.jsonl is not None:
        yield JsonLines(options.jsonl, source)
    if window is None and "-" not in (options.jsonl, *(options.events or ())):
        yield Console(name=name)


def await_camera(retries: int | None) -> str:
    """Finds the camera; looks again, every two seconds, as often as --retry says, and tells each reason once."""
    told: set[str] = set()
    for _ in range(retries or 0):
        try:
            return find_camera()
        except SourceError as error:
            if str(error) not in told:
                told.add(str(error))
                say(f"{error}; trying again")
        time.sleep(_LOOK_AGAIN)
    return find_camera()


def wait_for(work: Callable[[], T], meanwhile: Callable[[], object] = lambda: None) -> T:
    """Runs work that may block in a driver for seconds in a thread, so that signals are heard meanwhile."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="open", daemon=True).start()
    while not done.done():
        meanwhile()
        time.sleep(_WAIT)
    return done.result()
