"""The features of clips, as the model's backbone gives them in the running program: what a classifier is taught with.

Each clip is decoded once. What its views (teaching/augment.py) take of it at the model's frame rate is kept in the
model's small size, 89 KB a picture for A0, and run through the backbone view by view. So the memory it takes is that of
one clip, of at most 30 s.

The running program never resets the model: an action begins while the one before is still remembered. So some views of
a clip follow the last two seconds of one with another label. Which one depends on the contents only, so that a new clip
leaves most of the others as they are in the cache.

What the views are worth: 5 drawn actions in one room, 10 clips of 3 s each, ridge regression on the demo model's
features, 5-fold by clip; right labels of 50 clips 1, 2 and 3 s after another action's end (one clip is 2 %):

    plain views             68, 88, 94 %
    those after a clip too  86, 92, 98 %
    and four augmented      88, 98, 98 %

With four augmented views a clip takes 0.24 CPU-seconds (x86-64), from the cache 0.001; all in all 150 MB of memory.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterable, Sequence

import numpy as np

from errors import SourceError, UserError
from progress import track
from sources import Frame
from sources.sampler import Sampler
from teaching.augment import View, make_views, may_mirror
from teaching.clips import Clip, DataSet, hash_clip, one_line, read_clip
from teaching.feature_cache import FeatureCache, Rows
from utils import fit_frame

if TYPE_CHECKING:
    from teaching.network import Backbone

LONGEST = 30.0
"""Seconds of a clip that are used."""

_SHORTEST = 1.0  # seconds
_PERIOD = 1.0  # seconds from one moment that is learnt to the next
_BEFORE = 2.0  # seconds of another clip before a warm view
_VERSION = 1  # to be raised when the same clip would give other rows


@dataclass(frozen=True, eq=False)
class Samples:
    """Features and what they show, n rows.

    Attributes:
        features: float32 [n, features].
        labels: intp [n], indices into names.
        clips: intp [n], indices into paths: which clip each row is of. What is tested with must be of other clips.
        moments: int64 [n], frames at the model's rate since the clip's start; the frame itself counts, so 1 or more.
        augmented: bool [n], False for what the program sees of a clip if it is started with it.
        names: Names of the labels. One may have no row, since its clips can't be used.
        paths: Of the clips.
        skipped: One line for each clip that isn't used, or not to its end, with the reason.
    """

    features: np.ndarray
    labels: np.ndarray
    clips: np.ndarray
    moments: np.ndarray
    augmented: np.ndarray
    names: list[str]
    paths: list[Path]
    skipped: list[str]


@dataclass(frozen=True)
class _Job:
    """A clip that is to be read.

    Attributes:
        number: Its index in the data set.
        clip: It.
        before: A clip of another label, which it follows in warm views.
        views: How it is looked at.
        key: What all this depends on.
    """

    number: int
    clip: Clip
    before: Path | None
    views: list[View]
    key: str


def extract(
    backbone: Backbone,
    dataset: DataSet,
    *,
    augment: int,
    cache: Path | None = None,
    mirror: bool | None = None,
    seed: int = 0,
    fps: float = 5.0,
    progress: Callable[[Sequence[_Job]], Iterable[_Job]] = track,
) -> Samples:
    """Reads the features of all clips, from the cache where they are in it; what was read stays there if interrupted.

    Args:
        backbone: What gives the features.
        dataset: The clips.
        augment: How many augmented views of each clip there are, besides the plain one and the one after another clip.
        cache: Folder of the cache; None for the user's.
        mirror: Whether clips may be mirrored; None unless a label speaks of a side.
        seed: Of the augmentation.
        fps: Frames a second that the model is to see.
        progress: Goes through the clips and tells how far it has come.

    Raises:
        UserError: Fewer than two labels have a clip that can be used.
        OutputError: The cache folder that was given can't be written to.
    """
    store = FeatureCache(cache)
    mirror = may_mirror(dataset.labels) if mirror is None else mirror
    skipped: list[str] = []
    found: list[tuple[_Job, Rows]] = []
    for job in progress(_plan(backbone, dataset, augment, mirror, seed, fps, skipped)):
        try:
            rows = store.get(job.key)
            if rows is None:
                rows = extract_clip(backbone, job.clip.path, job.views, before=job.before, fps=fps)
                store.put(job.key, rows)
        except SourceError as error:
            skipped.append(one_line(str(error)))
            continue
        if rows.moments[~rows.augmented].max() < round(_SHORTEST * fps):
            skipped.append(one_line(f"{job.clip.path} is shorter than {_SHORTEST:g} s, or of too few frames; left out"))
            continue
        if rows.cut:
            skipped.append(one_line(f"{job.clip.path} is longer than {LONGEST:g} s; what comes later is left out"))
        found.append((job, rows))
    store.prune()
    if len({job.clip.label for job, _ in found}) < 2:
        reasons = f" ({len(skipped)} left out; first: {skipped[0]})" if skipped else ""
        raise UserError(f"there are clips that can be used of fewer than two labels{reasons}; add more")
    return _join(found, dataset, skipped)


def extract_clip(
    backbone: Backbone, path: Path, views: Sequence[View], *, before: Path | None = None, fps: float = 5.0
) -> Rows:
    """Reads the features of one clip: in each view once a second, and at its end.

    Args:
        backbone: What gives the features; is reset before each view.
        path: The clip.
        views: How it is looked at; a warm one needs `before`.
        before: The clip whose last seconds go before a warm view.
        fps: Frames a second that the model is to see.

    Raises:
        SourceError: A clip can't be read.
    """
    takes = [_Take(view, backbone, fps) for view in views]
    cut = _play(path, takes)
    ending = _Take(View(), backbone, fps, most=round(_BEFORE * fps))
    if before is not None and any(view.warm for view in views):
        _play(before, [ending])
    features: list[np.ndarray] = []
    moments: list[int] = []
    augmented: list[bool] = []
    for take in takes:
        backbone.reset()
        for picture in ending.pictures if take.view.warm else ():
            backbone.step(picture)
        learnt = _moments(len(take.pictures), fps)
        for moment, picture in enumerate(take.pictures, 1):
            row = backbone.step(picture)
            if moment in learnt:
                features.append(row.copy())
                moments.append(moment)
                augmented.append(not take.view.plain)
    rows = np.array(features, np.float32).reshape(-1, backbone.features)
    return Rows(rows, np.array(moments, np.int64), np.array(augmented, bool), cut)


class _Take:
    """What one view takes of a clip.

    Args:
        view: The view.
        backbone: Whose size the pictures get.
        fps: Pictures a second.
        most: How many of the last ones are kept; None for all.

    Attributes:
        view: As given.
        pictures: uint8 [height, width, 3] each.
    """

    def __init__(self, view: View, backbone: Backbone, fps: float, most: int | None = None) -> None:
        self.view = view
        self.pictures: deque[np.ndarray] = deque(maxlen=most)
        self._size = backbone.input_size
        self._fit = backbone.fit
        self._sampler = Sampler(fps)

    def offer(self, frame: Frame) -> None:
        """Takes a frame if it is the view's next one."""
        if frame.timestamp >= self.view.start and self._sampler.due(frame.timestamp / self.view.speed):
            self.pictures.append(fit_frame(self.view.picture(frame.image), *self._size, self._fit))


def _play(path: Path, takes: Sequence[_Take]) -> bool:
    """Lets the takes see a clip; returns whether its end was left out, since it is too long."""
    with contextlib.closing(read_clip(path)) as frames:
        for frame in frames:
            if frame.timestamp >= LONGEST:
                return True
            for take in takes:
                take.offer(frame)
    return False


def _moments(frames: int, fps: float) -> set[int]:
    """Returns the numbers of the frames that are learnt, of a view of so many."""
    period = max(1, round(_PERIOD * fps))
    return {*range(period, frames + 1, period), frames}


def _plan(
    backbone: Backbone, dataset: DataSet, augment: int, mirror: bool, seed: int, fps: float, skipped: list[str]
) -> list[_Job]:
    """Lists what is to be read: each clip once, even if there are copies of it, which a test would recognize."""
    different: dict[bytes, int] = {}
    for number, clip in enumerate(dataset.clips):
        try:
            digest = hash_clip(clip.path)
        except OSError as error:
            skipped.append(one_line(f"{clip.path}: {error.strerror}"))
            continue
        if digest in different:
            original = dataset.clips[different[digest]].path
            skipped.append(one_line(f"{clip.path} is the same clip as {original}; left out"))
        else:
            different[digest] = number
    jobs = []
    for digest, number in different.items():
        clip = dataset.clips[number]
        before = _before(digest, [key for key, other in different.items() if dataset.clips[other].label != clip.label])
        views = make_views(augment, mirror=mirror, seed=digest + bytes(f"/{seed}", "ascii"))
        key = hashlib.sha256(repr((_VERSION, digest, before, backbone.key, views, fps)).encode()).hexdigest()
        path = dataset.clips[different[before]].path if before else None
        jobs.append(_Job(number, clip, path, views, key))
    return jobs


def _before(digest: bytes, others: Sequence[bytes]) -> bytes:
    """Chooses what a clip follows: the first in an order of its own, so that a new clip changes few clips' choices."""
    return min(others, key=lambda other: hashlib.sha256(digest + other).digest(), default=b"")


def _join(found: list[tuple[_Job, Rows]], dataset: DataSet, skipped: list[str]) -> Samples:
    counts = [len(rows.features) for _, rows in found]
    return Samples(
        np.concatenate([rows.features for _, rows in found]),
        np.repeat([job.clip.label for job, _ in found], counts).astype(np.intp),
        np.repeat([job.number for job, _ in found], counts).astype(np.intp),
        np.concatenate([rows.moments for _, rows in found]),
        np.concatenate([rows.augmented for _, rows in found]),
        dataset.labels,
        [clip.path for clip in dataset.clips],
        skipped,
    )
