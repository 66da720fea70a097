"""A model file and its label file: where they may be written, and both or neither."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Sequence

from errors import ModelError, OutputError, UserError
from models import find_labels


def label_lines(labels: Sequence[str]) -> bytes:
    """Returns the content of a label file.

    Raises:
        UserError: A label can't be a line of a text file.
    """
    for label in labels:
        encoded = label.encode(errors="ignore")
        # What read_labels would not read back as it was.
        if label.splitlines() != [label.strip()] or label.startswith("\ufeff") or encoded.decode() != label:
            raise UserError(f"label {label!r} can't be a line of a text file; give it another name")
    return "".join(f"{label}\n" for label in labels).encode()


def check_model_path(path: Path, force: bool) -> None:
    """Checks that a model and its labels may be written.

    Raises:
        OutputError: They exist and `force` is not given, or other labels would be found for a model of that name.
    """
    if path.suffix != ".tflite":
        raise OutputError(f"{path} is no name for a model; let it end in .tflite")
    if not os.path.isdir(path.parent):
        raise OutputError(f"can't write {path}: there is no folder {path.parent}; make it first")
    beside = labels_beside(path)
    for file in (path, beside):
        if os.path.isdir(file):
            raise OutputError(f"{file} is a folder; choose another name")
        if os.path.lexists(file) and not force:
            raise OutputError(f"{file} exists; choose another name, or replace it with --force")
    try:
        found = find_labels(path)
    except ModelError:
        return  # None yet.
    if found.resolve() != beside.resolve():
        raise OutputError(f"a model {path.name} would be read with the labels {found}; choose another name")


def labels_beside(model: Path) -> Path:
    """Returns where the labels of a taught model stand."""
    return model.with_suffix(".txt")


def write_model_files(path: Path, model: bytes, labels: bytes) -> None:
    """Writes a model and its labels. Both are whole on the disk before either has its name.

    Raises:
        OutputError: The folder or a file can't be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            beside = labels_beside(path)
            for file, content in ((beside, labels), (path, model)):
                with open(Path(folder, file.name), "wb") as written:
                    written.write(content)
                    written.flush()
                    os.fsync(written.fileno())
            for file in (beside, path):
                os.replace(Path(folder, file.name), file)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; check the folder and the free space") from None
