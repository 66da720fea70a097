"""What a taught file says about itself, in its metadata: what it was taught, and what it should call unknown."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from errors import ModelError
from metadata import read_metadata
from runtime import read_model

METADATA = "teaching"
"""Name of the entry in the file's metadata."""


def write_description(description: Mapping[str, Any]) -> bytes:
    """Returns what the entry holds: JSON.

    Raises:
        ValueError: JSON can't hold it; it may have a number that isn't finite.
    """
    return json.dumps(dict(description), allow_nan=False).encode()


def read_teaching(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Returns what was written into a taught model file; None for a model that wasn't taught here.

    Needs neither the compiler nor its packages.

    Raises:
        ModelError: The file can't be read, or is damaged.
    """
    content = read_model(path)
    try:
        entry = read_metadata(content).get(METADATA)
        if entry is None:
            return None
        description = json.loads(entry)
        if not isinstance(description, dict):
            raise ValueError("not a JSON object")
        return description
    except ValueError as error:
        raise ModelError(f"model {path}: what it says about its teaching is damaged: {error}; teach it again") from None
