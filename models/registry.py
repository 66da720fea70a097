"""The published models, as models/registry.toml describes them."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

MODELS = Path(__file__).resolve().parent
LABELS = MODELS.parent / "labels"


@dataclass(frozen=True)
class Model:
    """One published model.

    Attributes:
        name: "movinet_a0_int8".
        alias: A shorter name, "a0".
        urls: Where it is published, to be tried in turn: the bare file, or a .tar.gz that holds it.
        input_size: Rows and columns of the image it takes, in pixels.
        fps: Frames a second it was trained on.
        labels: Its label file in labels/.
        licence: SPDX identifier.
        source: The page that describes it.
        bytes: Length of the file, where known.
        sha256: Of the file, where known.
        sha1: Likewise, of a file for which only that is published.
        mebibytes: Published, rounded length in 2**20 bytes, where only that is known.
        top1: Percent of the clips of its test set whose first label is right, where published.
        accuracy_source: Where `top1` was published.
        format: "tflite" or "onnx"; how its file name ends.
        clip: What a model of clips wants, by the names of clip_format.ClipSettings; None for a streaming model.
    """

    name: str
    alias: str
    urls: tuple[str, ...]
    input_size: int
    fps: float
    labels: str
    licence: str
    source: str
    bytes: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    mebibytes: float | None = None
    top1: float | None = None
    accuracy_source: str | None = None
    format: str = "tflite"
    clip: Mapping[str, Any] | None = None

    @property
    def file(self) -> str:
        """Its file name in models/."""
        return f"{self.name}.{self.format}"


@functools.cache
def registry() -> dict[str, Model]:
    """Returns the published models by name, in the order of the registry file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # not before `python -m models` has looked for the packages
    with open(MODELS / "registry.toml", "rb") as file:
        entries = tomllib.load(file)
    return {name: Model(name=name, **{**entry, "urls": tuple(entry["urls"])}) for name, entry in entries.items()}


def published(name: str) -> Model | None:
    """Returns the model of this name, alias or file name, else None."""
    return next((model for model in registry().values() if name in (model.name, model.alias, model.file)), None)


def known_model(path: str | os.PathLike[str]) -> Model | None:
    """Returns the published model whose file name this path ends with, else None."""
    return next((model for model in registry().values() if model.file == Path(path).name), None)


def table(folder: Path = MODELS) -> str:
    """Returns the published models as a table, with what is already in the folder. Fits 80 columns."""
    rows = [("model", "alias", "size", "input", "rate", "top-1", "here", "licence")]
    for model in registry().values():
        size = model.bytes or (model.mebibytes or 0) * 2**20
        rows.append((
            model.name,
            model.alias,
            f"{size / 1e6:.{0 if size > 1e8 else 1}f} MB" if size else "-",
            f"{model.input_size} px",
            f"{model.fps:g} fps",
            f"{model.top1:g} %" if model.top1 else "-",
            "yes" if (folder / model.file).is_file() else "no",
            model.licence,
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    files = [path for kind in ("tflite", "onnx") for path in folder.glob(f"*.{kind}")]
    own = sorted(path.name for path in files if not known_model(path))
    return "\n".join(lines + [f"\nalso in {folder.name}/: {', '.join(own)}"] * bool(own))
