"""Checks of the packages and of the model. Each runs in a process of its own, since broken native code may crash."""

from __future__ import annotations

import hashlib
import importlib.util
from argparse import Namespace
from importlib import metadata
from pathlib import Path
from typing import Any

from checks import Finding, ok, problem, warning
from errors import UserError

_OPENCV_WHEELS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
_ANY_CAMERA = "csi"  # any source but the demo, which has a model of its own
_ANEW = "rm -rf .venv && ./setup.sh puts it right"


def check_numpy() -> Finding:
    """Looks whether the packages that are compiled against numpy get on with the one that is here."""
    import numpy

    version = numpy.__version__
    if int(version.split(".")[0]) >= 2 and _installed("tflite_runtime"):
        return warning(f"{version} is too new for tflite-runtime, which can't load a model; {_ANEW}")
    if _installed("simplejpeg"):  # the part of picamera2 that notices
        try:
            importlib.import_module("simplejpeg")
        except (ImportError, ValueError) as error:
            return warning(f"{version} is another than picamera2 was built for ({error}); {_ANEW}")
    return ok(version)


def check_opencv() -> Finding:
    """Looks which OpenCV is here and whether it can open windows."""
    try:
        import cv2
    except ImportError as error:
        return problem(f"{error}; run ./setup.sh")
    wheels = [name for name in _OPENCV_WHEELS if _distribution(name)]
    if len(wheels) > 1:
        uninstall = f".venv/bin/pip uninstall -y {' '.join(wheels)}"
        return warning(f"{' and '.join(wheels)} overwrite each other; {uninstall} && ./setup.sh puts it right")
    build = dict(line.split(":", 1) for line in cv2.getBuildInformation().splitlines() if ":" in line)
    windows = next((value.split()[0] for key, value in build.items() if key.strip() == "GUI" and value.split()), "NONE")
    if windows == "NONE":
        return warning(f"{cv2.__version__} without windows (headless); labels go to the terminal; {_ANEW}")
    return ok(f"{cv2.__version__}, windows by {windows}")


def check_pyav() -> Finding:
    """Looks for what writes recordings."""
    try:
        import cv2  # noqa: F401, I001  first, as in sinks/video_file.py
        import av
    except ImportError as error:
        return warning(f"{error}, so --record can't work; run ./setup.sh")
    return ok(av.__version__)


def check_model(options: Namespace) -> Finding:
    """Looks at the files of the model that would run: are they here, are they whole, do they belong together?"""
    import models
    from model_metadata import labels_of
    from utils import read_labels

    try:
        path = _local_model(options)
        if path is None:
            return warning(f"{_model_name(options)} isn't here yet; it is fetched at its first use, or now: ./setup.sh")
        known = models.known_model(path)
        labels = labels_of(path, options.labels)
        labels = read_labels(labels) if isinstance(labels, Path) else labels
        if known and known.sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != known.sha256:
            return warning(f"{path} differs from the published file; rm {path} && ./setup.sh fetches that")
    except UserError as error:
        return problem(str(error))
    return ok(f"{path.name}{', as published' * bool(known and known.sha256)}, {len(labels)} labels")


def check_runtime(options: Namespace) -> Finding:
    """Loads a model as the program does, on the runtime that it would take, and makes a step."""
    import numpy as np

    import models
    from model_metadata import labels_of
    from runtime import choose_runtime
    from startup import DEMO_MODEL

    try:
        model = _local_model(options) or models.MODELS / DEMO_MODEL
        if not model.is_file():
            return warning(f"{choose_runtime(options.runtime)}, but there is no model here to try it with")
        labels = labels_of(model, options.labels)
        with _open(model, labels, options.runtime) as classifier:
            classifier.step(np.zeros((*classifier.input_size, 3), np.uint8))
            return ok(f"{classifier.runtime} runs {model.name}")
    except UserError as error:
        return problem(str(error))


def _open(model: Path, labels: Any, runtime: str) -> Any:
    from clip_classifier import ClipClassifier
    from clip_format import is_clip_model, known_settings
    from video_classifier import VideoClassifier

    if is_clip_model(model):
        return ClipClassifier(model, labels, clip=known_settings(model), runtime=runtime)
    return VideoClassifier(model, labels, runtime=runtime)


def _model_name(options: Namespace) -> str:
    import startup
    from sources import find_camera

    return startup.choose(options.model, options.source or [_ANY_CAMERA], find_camera)[0]


def _local_model(options: Namespace) -> Path | None:
    """Returns the model file that the program would take; None if it would fetch it first.

    Raises:
        ModelError: There is neither such a file nor a published model of this name.
    """
    import models

    name = _model_name(options)
    published = models.published(name)
    if published and not Path(name).is_file() and not (models.MODELS / published.file).is_file():
        return None
    return models.find_model(name)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _distribution(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
