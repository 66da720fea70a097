"""python train.py fit: teaches a model the actions of a folder of clips."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import tempfile
from argparse import Namespace
from datetime import date
from pathlib import Path
from typing import Any, Sequence

import numpy as np

import models
from errors import ModelError, OutputError, UserError
from model_metadata import labels_of
from options import DEFAULT_MODEL
from plotting import import_figure
from printing import printed_after
from signals import Signals
from sources.sampler import Sampler
from startup import DEMO_MODEL
from teaching import plots, report
from teaching.clips import find_clips, read_clip
from teaching.features import LONGEST, Samples, extract
from teaching.files import check_model_path
from teaching.fit import Fitted, Old, fit
from teaching.fit_options import parse_fit
from teaching.network import Backbone, write_model
from teaching.regression import import_regression, one_thread
from teaching.unknown import find_background
from utils import check_writable, read_labels, say, write_whole
from video_classifier import VideoClassifier, softmax

_FPS = 5.0  # of a base that isn't a published model
_CHECKED = 6  # clips that the written file is tried on
_TOLERANCE = 0.02  # by which its probabilities may differ from those of the fit


def run(arguments: Sequence[str]) -> int:
    """Runs the subcommand and returns its exit status; what a user can cause ends in one line on stderr."""
    signals = Signals()
    try:
        _fit(parse_fit(arguments))
        return signals.status
    except UserError as error:
        if error.status:  # 0: the reader of our output has had enough
            say(f"train.py fit: {error}")
        return error.status
    except SystemExit as end:  # --help, or a signal
        return int(end.code or 0)


def _fit(options: Namespace) -> None:
    _check_before_work(options)
    dataset = find_clips(options.data)
    for line in dataset.skipped:
        say(f"skipped: {line}")
    find_background(dataset.labels, options.background)  # now rather than after minutes
    base, fps = _find_base(options.base)
    memory = None if options.memory is None else max(1, round(options.memory * fps))
    threads = min(4, os.cpu_count() or 1)
    backbone = Backbone(base, memory=memory, threads=threads, fit=options.fit, runtime=options.runtime)
    old = Old(*backbone.classifier, _old_labels(base, backbone)) if options.keep_labels else None
    samples = extract(
        backbone,
        dataset,
        augment=options.augment,
        cache=options.cache,
        mirror=options.mirror,
        seed=options.seed,
        fps=fps,
    )
    for line in samples.skipped:
        say(f"skipped: {line}")
    if old is not None and not old.without([samples.names[label] for label in np.unique(samples.labels)]).labels:
        say(f"--keep-labels: yours replace all {len(old.labels)} classes of {base.name}, so that none is left to keep")
        old = None
    with one_thread():
        fitted = fit(samples, old=old, background=options.background, seed=options.seed)
    wrote = ""
    try:
        with printed_after(report.text(fitted.report, options.data)):  # what took minutes first: the reader may be gone
            if not options.dry_run:
                wrote = _write_model(base, fitted, samples, memory, fps, options)
            if options.report is not None:
                _write_report(options.report, fitted.report)
    finally:
        if wrote:
            say(wrote)


def _check_before_work(options: Namespace) -> None:
    """Finds out now what would be a pity to find out after minutes of work."""
    import_regression()
    if options.report is not None:
        import_figure("--report")
    if not options.dry_run:
        check_model_path(options.out, options.force)
        check_writable(options.out)
    if options.report is not None:
        _make_folder(options.report)


def _find_base(name: str | None) -> tuple[Path, float]:
    """Returns the model to start from, and the frames a second it was trained on."""
    if name is None:
        fetched = [model.file for model in models.registry().values() if (models.MODELS / model.file).is_file()]
        name = DEFAULT_MODEL if DEFAULT_MODEL in fetched else next(iter(fetched), None)
        if name is None:
            name = DEMO_MODEL
            say(
                "base: the demo model, which has seen drawn figures only; "
                f"better: python -m models fetch {Path(DEFAULT_MODEL).stem}"
            )
    path = models.find_model(name)
    known = models.known_model(path)
    return path, known.fps if known else _FPS


def _old_labels(base: Path, backbone: Backbone) -> list[str]:
    """Returns the names of the classes that the model has, those that classify.py shows, but for a taught "unknown".

    Raises:
        ModelError: There are none, or they don't belong to it.
    """
    remedy = f"put one class name a line into {base.with_suffix('.txt')}, or leave --keep-labels out"
    try:
        found = labels_of(base)
    except ModelError:
        raise ModelError(f"no labels known for the model {base}; {remedy}") from None
    labels = read_labels(found) if isinstance(found, Path) else found
    classes = len(backbone.classifier[1]) + backbone.unknown
    if len(labels) != classes:
        where = found if isinstance(found, Path) else f"the label file inside {base}"
        raise ModelError(f"{where} has {len(labels)} names, but the model has {classes} classes; {remedy}")
    return labels[: classes - backbone.unknown]


def _make_folder(folder: Path) -> None:
    """Makes a folder that can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise OutputError(f"can't make the folder {folder}: {reason}; give another one") from None
    check_writable(folder / "report.json")


def _write_report(folder: Path, results: report.Report) -> None:
    _make_folder(folder)
    write_whole(folder / "report.json", (json.dumps(report.to_json(results), indent=1) + "\n").encode())
    if results.calibration is not None:
        plots.write_confusion(folder / "confusion.png", results)
        plots.write_reliability(folder / "reliability.png", results.calibration)
    say(f"report: {folder}")


def _write_model(
    base: Path, fitted: Fitted, samples: Samples, memory: int | None, fps: float, options: Namespace
) -> str:
    """Writes the model where nobody sees it, tries it, and then writes it where it belongs; returns what to say."""
    how: dict[str, Any] = {
        "precision": options.precision,
        "description": describe(base, fitted, options),
        "familiar": fitted.familiar,
        "runtime": options.runtime,
    }
    with tempfile.TemporaryDirectory() as folder:
        trial = write_model(
            base, fitted.weights, fitted.bias, fitted.labels, Path(folder) / options.out.name, force=True, **how
        )
        with VideoClassifier(
            trial,
            fitted.labels,
            memory=memory,
            precision="float",
            fit=options.fit,
            channel_order="bgr",
            runtime=options.runtime,
        ) as classifier:
            tried = check(classifier, fitted, samples, fps)
    write_model(base, fitted.weights, fitted.bias, fitted.labels, options.out, force=options.force, **how)
    run = f"python classify.py --model {shlex.quote(str(options.out))}"
    return f"wrote {options.out}, tried on {tried} of the clips; {run}"


def describe(base: Path, fitted: Fitted, options: Namespace) -> dict[str, Any]:
    """Returns what the file is to say about its teaching."""
    results = fitted.report
    unknown, calibration = results.unknown, results.calibration
    return {
        "base": base.name,
        "date": date.today().isoformat(),
        "clips": dict(zip(results.labels, results.clips)),
        "kept": results.kept.count if results.kept else 0,
        "accuracy": results.accuracy.to_json(),
        "temperature": calibration.temperature if calibration else 1.0,
        "unknown": {"label": unknown.label, "threshold": unknown.threshold} if unknown else None,
        "memory": options.memory,
        "fit": options.fit,
    }


def check(classifier: VideoClassifier, fitted: Fitted, samples: Samples, fps: float) -> int:
    """Runs a written model, as the program does, on one clip of each of the first labels.

    Returns:
        The number of clips.

    Raises:
        ModelError: It doesn't say what was fitted.
    """
    rows = [_last_row(samples, label) for label in np.unique(samples.labels)[:_CHECKED]]
    for row in rows:
        path = samples.paths[samples.clips[row]]
        said = _classify(classifier, path, fps)
        fit_says = softmax(fitted.logits(samples.features[row : row + 1])[0])
        difference = float(np.abs(said - fit_says).max())
        if not difference <= _TOLERANCE:
            raise ModelError(
                f"the new model doesn't say of {path} what was taught (probabilities differ by {difference:.2f}), so "
                "it isn't kept; please report this"
            )
    return len(rows)


def _last_row(samples: Samples, label: int) -> int:
    """Returns the row of the last moment of a label's first clip."""
    plain = np.flatnonzero((samples.labels == label) & ~samples.augmented)
    of_clip = plain[samples.clips[plain] == samples.clips[plain[0]]]
    return int(of_clip[samples.moments[of_clip].argmax()])


def _classify(classifier: VideoClassifier, path: Path, fps: float) -> np.ndarray:
    """Returns the probabilities at the end of a clip."""
    classifier.reset()
    sampler = Sampler(fps)
    probabilities = np.zeros(len(classifier.labels), np.float32)
    with contextlib.closing(read_clip(path)) as frames:
        for frame in frames:
            if frame.timestamp >= LONGEST:
                break
            if sampler.due(frame.timestamp):
                probabilities = classifier.step(frame.image).probabilities
    return probabilities
