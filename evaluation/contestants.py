"""Opens the models that the command line names, as classify.py would."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Callable, Mapping, Sequence

import models
from errors import UserError
from evaluation.clips import Clip, match
from evaluation.running import TOP, Contestant
from model_metadata import labels_of
from teaching.answer import names_shown
from teaching.taught import follow_teaching
from utils import read_labels
from video_classifier import VideoClassifier

_DEFAULT_FPS = 5.0  # for a model that the registry doesn't know; every published MoViNet was trained at it


def open_contestants(
    options: Namespace, clips: Mapping[str, Sequence[Clip]], say: Callable[[str], None]
) -> list[Contestant]:
    """Finds and tries each model; a published one that isn't here is fetched.

    Args:
        options: The command line's.
        clips: Those of each folder.
        say: Told what was done with a model, a line at a time.

    Raises:
        UserError: A model or its labels can't be used, or don't belong together.
    """
    paths = [models.find_model(name) for name in options.model]
    given = options.labels or [None]
    if len(given) not in (1, len(paths)):
        raise UserError(f"{len(given)} label files for {len(paths)} models; give one for all, or one for each")
    given = given * (len(paths) // len(given))
    contestants = []
    for name, path, labels in zip(_names(paths), paths, given):
        found = labels_of(path, labels)
        names = read_labels(found) if isinstance(found, Path) else found
        own = Namespace(**vars(options))
        taught = follow_teaching(own, path)
        if taught:
            say(f"{name}: run with {taught}, as it was taught")
        known = models.known_model(path)
        fps = options.sample_fps or (known.fps if known else _DEFAULT_FPS)
        load = partial(_load, path, names, fps, own)
        with load() as classifier:  # also leaves its compiled form in the cache, for those that run it
            for note in classifier.notes:
                say(f"{name}: {note}")
            memory = None if classifier.memory is None else own.memory
            facts = str(classifier.runtime), classifier.compiled, memory, own.fit
            shown = names_shown(names, classifier.unknown)
        truth = match([folder for folder in clips if clips[folder]], shown)
        contestants.append(Contestant(name, path, fps, shown, truth, load, *facts))
    return contestants


def _load(path: Path, labels: Sequence[str], fps: float, options: Namespace) -> VideoClassifier:
    return VideoClassifier(
        path,
        labels,
        threads=options.threads,
        runtime=options.runtime,
        top_k=TOP,
        memory=None if options.memory is None else max(1, round(options.memory * fps)),
        precision=options.precision if options.compile else "source",
        fit=options.fit,
        channel_order="bgr",
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns the files' names without their suffix; the whole paths where two are alike."""
    if len(set(paths)) < len(paths):
        raise UserError(f"--model {next(path for path in paths if paths.count(path) > 1)} is given twice")
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
