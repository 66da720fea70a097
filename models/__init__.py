"""Finds a model and its labels by path or by name, and fetches a published model that is not here yet."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from errors import ModelError
from models.registry import LABELS, MODELS, Model, known_model, published, registry, table

__all__ = ["LABELS", "MODELS", "Model", "find_labels", "find_model", "known_model", "published", "registry", "table"]


def find_model(name: str) -> Path:
    """Returns the path of a model file.

    Args:
        name: A path; or the name of a file in models/, with or without ".tflite" or ".onnx"; or the name or alias of a
            published model, which is fetched, with its progress on stderr, if it is not in models/ yet.

    Raises:
        ModelError: There is no such file or published model, or the model could not be fetched.
        OutputError: The model could not be written to models/.
    """
    path = _expand(name)
    if os.path.isfile(path):
        return path
    if path.parent == Path(".") or os.path.abspath(path.parent) == str(MODELS):
        model = published(path.name)
        for file in [path.name, f"{path.name}.tflite", f"{path.name}.onnx"] + ([model.file] if model else []):
            if os.path.isfile(MODELS / file):
                return MODELS / file
        if model:
            return _fetch(model)
    if os.path.isdir(path):
        raise ModelError(f"model {name!r} is a folder; give a .tflite or .onnx file in it")
    names = [text for model in registry().values() for text in (model.name, model.alias, model.file)]
    raise ModelError(
        f"no model {name!r}: neither a file nor a published model{_nearest(path.name, names)}; "
        "see python classify.py --list-models"
    )


def find_labels(model_path: str | os.PathLike[str], labels: str | None = None) -> Path:
    """Returns the path of the label file that belongs to a model file.

    Args:
        model_path: The model file.
        labels: A path, or the name of a file in labels/, with or without ".txt". None to go by the model's file name:
            the published model's labels, else that name with ".txt" in labels/, else beside the model.

    Raises:
        ModelError: There is no such label file.
    """
    if labels is not None:
        path = _expand(labels)
        bare = path.parent == Path(".")
        candidates = [path] + [LABELS / path.name, LABELS / f"{path.name}.txt"] * bare
        names = [file.name for file in LABELS.glob("*.txt")]
        message = f"no label file {labels!r}{_nearest(path.name, names)}; give one class name a line with --labels FILE"
    else:
        path = Path(model_path)
        model = known_model(path)
        candidates = [LABELS / model.labels] if model else []
        candidates += [LABELS / f"{path.stem}.txt", path.with_suffix(".txt")]
        message = f"no labels known for the model {path.name}; give one class name a line with --labels FILE"
    found = next((file for file in candidates if os.path.isfile(file)), None)
    if found is None:
        raise ModelError(message)
    return found


def _fetch(model: Model) -> Path:
    # Imported here: only fetching needs file locks, which some platforms lack, and the network modules.
    from models.fetch import fetch
    from models.progress import ProgressLine

    with ProgressLine(model.name) as progress:
        return fetch(model, MODELS, progress)


def _expand(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # no such user's home
        return Path(name)


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name.lower(), names, n=1)
    return f"; the nearest is {close[0]}" if close else ""
