"""What classify.py runs when the command line leaves the model or the source open."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import models
from errors import SourceError
from options import DEFAULT_MODEL

DEMO_MODEL = "movinet_a0_demo.tflite"
DEMO_SOURCE = "demo"

_NOT_FETCHED = f"demo: a drawn figure; for real actions fetch a model: python classify.py --model {DEFAULT_MODEL}"


def choose(
    model: str | None, sources: Sequence[str] | None, find_camera: Callable[[], str]
) -> tuple[str, list[str], str]:
    """Returns the model's name, the sources' URIs, and a line for the user, or "" where there is nothing to tell.

    The camera with the published model; the drawn demo with its own model where the user named neither and one of them
    is missing, so that the first command shows something on any machine.

    Args:
        model: As the user named it, else None.
        sources: As the user named them, else None.
        find_camera: Returns the URI of the camera; raises SourceError where there is none.

    Raises:
        SourceError: The user named the model, and there is no camera.
    """
    if sources is None:
        if model is not None:
            return model, [DEMO_SOURCE if _is_demo(model) else find_camera()], ""
        fetched = _fetched()
        if fetched is None:
            return DEMO_MODEL, [DEMO_SOURCE], _NOT_FETCHED
        try:
            return fetched, [find_camera()], ""
        except SourceError as error:
            return DEMO_MODEL, [DEMO_SOURCE], f"demo: a drawn figure, since {error}"
    if set(sources) == {DEMO_SOURCE}:
        return model or DEMO_MODEL, list(sources), ""
    model = model or _fetched() or DEFAULT_MODEL
    return model, list(sources), "demo model: it knows drawn figures only, nothing real" if _is_demo(model) else ""


def _is_demo(model: str) -> bool:
    return Path(model).stem == Path(DEMO_MODEL).stem


def _fetched() -> str | None:
    """Returns the file name of the published model to take of those in models/: the default one, else the first."""
    here = [model.file for model in models.registry().values() if (models.MODELS / model.file).is_file()]
    return DEFAULT_MODEL if DEFAULT_MODEL in here else next(iter(here), None)
