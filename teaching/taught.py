"""The flags that a taught model brings along: what it is to recognize should be seen as its clips were."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from errors import ModelError
from teaching.description import read_teaching
from utils import FITS


def follow_teaching(options: Namespace, model: str | os.PathLike[str]) -> str:
    """Sets --memory and --fit to those that a model was taught with, where the user has left them open.

    Args:
        options: Of classify.py or evaluate.py; is changed.
        model: The model file.

    Returns:
        The flags that changed, for a line that says so; "" if none did.

    Raises:
        ModelError: The file can't be read, or what it says is damaged.
    """
    taught = taught_with(model)
    changed = [
        name for name in taught if name not in getattr(options, "given", ()) and getattr(options, name) != taught[name]
    ]
    for name in changed:
        setattr(options, name, taught[name])
    return " ".join(f"--{name} {as_given(taught[name])}" for name in changed)


def taught_with(model: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns "memory" (seconds, or None) and "fit" that a model was taught with; {} for one that wasn't taught here.

    Raises:
        ModelError: The file can't be read, or what it says is damaged.
    """
    taught = None if Path(model).suffix.lower() == ".onnx" else read_teaching(model)
    if taught is None or not {"memory", "fit"} <= taught.keys():  # taught before the file said so
        return {}
    memory, fit = taught["memory"], taught["fit"]
    if fit not in FITS or not (memory is None or isinstance(memory, (int, float)) and 0.1 <= memory <= 3600):
        raise ModelError(f"model {model}: what it says about its teaching is damaged; teach it again")
    return {"memory": memory, "fit": fit}


def as_given(value: float | str | None) -> str:
    """Returns a value as it is typed behind its flag."""
    return "off" if value is None else value if isinstance(value, str) else format(value, "g")
