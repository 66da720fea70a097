"""What a .tflite file says of itself: TFLite metadata, with the labels inside and the range that the image should have.

A flatbuffer "TFLITE_METADATA" among the file's metadata describes its tensors; the files that it names stand in a ZIP
behind the model. Format: https://ai.google.dev/edge/litert/conversion/tensorflow/metadata; schema:
https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/metadata/metadata_schema.fbs
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import models
from errors import ModelError
from flatbuffer import Table
from metadata import read_metadata
from runtime import read_model
from utils import printable

METADATA = "TFLITE_METADATA"

_LARGEST_LABELS = 2**20  # bytes
# What a ZIP raises that is none, damaged, or encrypted.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, OSError, EOFError)
# Numbers in the schema: of fields, and the members of its unions and enumerations that are read here.
_NAME, _DESCRIPTION, _VERSION, _SUBGRAPHS, _AUTHOR, _LICENCE = 0, 1, 2, 3, 4, 5  # ModelMetadata
_INPUTS, _OUTPUTS = 2, 3  # SubGraphMetadata
_CONTENT, _UNITS, _FILES = 3, 4, 6  # TensorMetadata
_KIND, _VALUE = 0, 1  # Content, ProcessUnit
_MEAN, _STD = 0, 1  # NormalizationOptions
_FILE_NAME, _FILE_KIND, _LOCALE = 0, 2, 3  # AssociatedFile
_IMAGE, _NORMALIZATION, _AXIS_LABELS = 2, 1, 2


@dataclass(frozen=True)
class Normalization:
    """How a pixel of 0..255 becomes what the model wants: (pixel - mean) / std.

    Attributes:
        mean: One number a channel, or one for all.
        std: Likewise.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """What the metadata says; "" and None where it says nothing.

    Attributes:
        name: Of the model.
        description: For people.
        version: Of the model.
        author: Who made it.
        licence: As given, often a name with an address, or the whole text.
        normalization: What the image input wants.
        labels: The name of the label file inside.
    """

    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    licence: str = ""
    normalization: Normalization | None = None
    labels: str | None = None


def read_model_metadata(content: bytes) -> ModelMetadata:
    """Returns what a .tflite file's metadata says.

    Raises:
        ValueError: The file or its metadata is damaged.
    """
    written = read_metadata(content).get(METADATA)
    if not written:
        return ModelMetadata()
    try:
        model = Table.root(written)
        graphs = model.tables(_SUBGRAPHS)[:1]
        inputs = [tensor for graph in graphs for tensor in graph.tables(_INPUTS)]
        outputs = [tensor for graph in graphs for tensor in graph.tables(_OUTPUTS)]
        return ModelMetadata(
            name=model.text(_NAME).strip(),
            description=model.text(_DESCRIPTION).strip(),
            version=model.text(_VERSION).strip(),
            author=model.text(_AUTHOR).strip(),
            licence=model.text(_LICENCE).strip(),
            normalization=_normalization(inputs),
            labels=_label_file(outputs),
        )
    except (struct.error, IndexError) as error:
        raise ValueError(f"not sound TFLite metadata: {error}") from None


def inner_labels(content: bytes) -> list[str] | None:
    """Returns the class names inside a .tflite file; None if it has none.

    Raises:
        ValueError: They, or the file, are damaged.
    """
    name = read_model_metadata(content).labels
    if name is None:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(name) as file:
            text = file.read(_LARGEST_LABELS + 1)
    except _UNREADABLE as error:
        raise ValueError(f"the label file {name} inside can't be read: {error}") from None
    try:
        labels = [line.strip() for line in text.decode("utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"the label file {name} inside: byte {error.start} is not UTF-8") from None
    if len(text) > _LARGEST_LABELS or not labels or "" in labels:
        raise ValueError(f"the label file {name} inside is not one class name a line")
    return [printable(label) for label in labels]


def copy_files(source: bytes, target: bytes) -> bytes:
    """Returns the .tflite file `target` with the files, such as labels, that stand in a ZIP behind `source`, if any."""
    whole = io.BytesIO(target)
    try:
        with zipfile.ZipFile(io.BytesIO(source)) as archive:
            files = [(entry, archive.read(entry)) for entry in archive.infolist()]
    except _UNREADABLE:  # Nor would they have been read there.
        return target
    with zipfile.ZipFile(whole, "a") as archive:
        for entry, content in files:
            archive.writestr(entry, content)
    return whole.getvalue()


def labels_of(model: str | os.PathLike[str], labels: str | None = None) -> Union[Path, list[str]]:
    """Returns the label file that belongs to a model, see models.find_labels; where there is none, the names inside it.

    Raises:
        ModelError: There are neither.
    """
    try:
        return models.find_labels(model, labels)
    except ModelError:
        if labels is None and Path(model).suffix.lower() != ".onnx":
            inside = _inside(model)
            if inside is not None:
                return inside
        raise


def _inside(model: str | os.PathLike[str]) -> list[str] | None:
    """Returns the labels inside a model.

    Raises:
        ModelError: They are damaged.
    """
    content = read_model(model)
    try:
        return inner_labels(content)
    except ValueError as error:
        raise ModelError(f"model {model}: {error}; give its labels with --labels FILE") from None


def _normalization(inputs: list[Table]) -> Normalization | None:
    for tensor in inputs:
        content = tensor.table(_CONTENT)
        if len(inputs) > 1 and (content is None or content.number(_KIND, "B") != _IMAGE):
            continue
        for unit in tensor.tables(_UNITS):
            options = unit.table(_VALUE)
            if unit.number(_KIND, "B") == _NORMALIZATION and options is not None:
                found = Normalization(tuple(options.array(_MEAN, "f")), tuple(options.array(_STD, "f")))
                # The only numbers of channels that can be meant; a deviation of 0 is no deviation.
                if {len(found.mean), len(found.std)} <= {1, 3} and all(found.std):
                    return found
    return None


def _label_file(outputs: list[Table]) -> str | None:
    """Returns the file of class names; of several, the one of no language, of English, or the first."""
    files = [
        file for tensor in outputs for file in tensor.tables(_FILES) if file.number(_FILE_KIND, "B") == _AXIS_LABELS
    ]
    files.sort(key=lambda file: {"": 0, "en": 1}.get(file.text(_LOCALE), 2))
    return files[0].text(_FILE_NAME) if files else None
