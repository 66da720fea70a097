"""python train.py collect: records clips to teach from, with the camera."""

from __future__ import annotations

import contextlib
import math
import os
import time
from argparse import Namespace
from typing import Sequence

from errors import PackageError, SourceError, UserError
from languages import choose_language
from lettering import OPENCV, Lettering, open_lettering
from opening import await_camera, open_sources, wait_for
from printing import print_out
from signals import Signals
from sinks.awake import keep_awake
from sinks.video_file import find_encoder, import_av
from sinks.viewer import open_viewer
from sources import Source
from sources.paced import Paced
from teaching.camera_feed import Feed
from teaching.clip_store import ClipStore
from teaching.collect import Collector
from teaching.collect_loop import CollectLoop
from teaching.collect_options import PAUSE, parse_collect, wants_background
from teaching.review import BACKGROUND, advice, is_background, table
from utils import say

_REVIEW = 2.0  # seconds after each clip, where there is a window to look at it
_LINGER = 10.0  # seconds after the last one, likewise
_GAP = 1.0  # seconds without a frame after which a camera counts as away


def run(arguments: Sequence[str]) -> int:
    """Runs the subcommand and returns its exit status; what a user can cause ends in one line on stderr."""
    signals = Signals()
    try:
        options = parse_collect(arguments)
        store = ClipStore(options.data)
        if options.list:
            print_out(table(store.counts(), options.data, store.discarded()))
        elif options.discard:
            for path in options.discard:
                say(f"moved {path} to {store.discard(path)}")
        else:
            _collect(options, store, signals)
        return signals.status
    except UserError as error:
        if error.status:  # 0: the reader of our output has had enough
            say(f"train.py collect: {error}")
        return error.status
    except SystemExit as end:  # --help, or a signal before the loop
        return int(end.code or 0)


def _collect(options: Namespace, store: ClipStore, signals: Signals) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(store)
        counts = _choose_labels(options, store)
        find_encoder(import_av())  # fails now rather than at the first clip
        for line in store.open():
            say(line)
        counts.update((label, count) for label, count in store.counts().items() if label in counts)
        try:
            if all(count >= options.clips for count in counts.values()):
                say(f"each label has {options.clips} clips already; for more, give --clips {2 * options.clips}")
            else:
                _record(options, counts, store, signals, stack)
        finally:
            there = {**counts, **store.counts()}
            print_out(table(there, options.data, store.discarded()))
            print_out(advice(there, options.data, options.background is not False))


def _choose_labels(options: Namespace, store: ClipStore) -> dict[str, int]:
    """Returns the labels to collect, in order, with the clips that they have."""
    there = store.counts()
    labels = list(dict.fromkeys(options.label or (label for label in there if not is_background(label))))
    if not labels:
        raise UserError("what is to be seen in the clips? give --label waving, or several of them; see --help")
    if wants_background(options) and not any(map(is_background, labels)):
        labels.append(next(filter(is_background, there), BACKGROUND))
    store.check(labels)
    return {label: there.get(label, 0) for label in labels}


def _record(
    options: Namespace, counts: dict[str, int], store: ClipStore, signals: Signals, stack: contextlib.ExitStack
) -> None:
    window, found = open_viewer(options.display, "Collecting clips", options.fullscreen)
    if options.display != "none":
        say(f"display: {found}")
    if window is not None:
        stack.callback(window.close)
        stack.enter_context(keep_awake())
    source = wait_for(lambda: _open(options, shown=window is not None))
    say(f"source: {source.name}")
    feed = stack.enter_context(Feed(source))
    loop = CollectLoop(
        _collector(options, counts, source, shown=window is not None),
        store,
        feed,
        signals.stop,
        live=source.live,
        fps=source.fps,
        viewer=window,
        mirror=options.mirror,
        lettering=OPENCV if window is None else _open_lettering(list(counts)),
    )
    signals.deferred = True
    loop.run()
    if feed.ended:
        if not loop.kept:
            raise SourceError(f"{source.name} is too short for a clip; give fewer --seconds, or --countdown 0")
        say(f"{source.name} has ended")


def _open_lettering(labels: Sequence[str]) -> Lettering:
    try:
        return open_lettering(choose_language(None, os.environ), labels)
    except PackageError as error:
        say(f"{error}; until then the picture shows what it can of them")
        return OPENCV


def _open(options: Namespace, shown: bool) -> Source:
    uri = options.source if options.source is not None else await_camera(None)
    source = open_sources([uri], None, options)[0]
    return Paced(source) if shown and not source.live else source


def _collector(options: Namespace, counts: dict[str, int], source: Source, shown: bool) -> Collector:
    pause = options.pause
    if pause is None:
        pause = PAUSE if source.live else 0.0
    return Collector(
        counts,
        clips=options.clips,
        seconds=options.seconds,
        countdown=options.countdown,
        pause=pause,
        review=_REVIEW if shown else 0.0,
        linger=_LINGER if shown else 0.0,
        gap=max(_GAP, 3 / (source.fps or 30)) if source.live else math.inf,
        now=time.monotonic() if source.live else 0.0,
    )
