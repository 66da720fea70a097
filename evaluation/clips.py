"""The labelled clips in a folder, and which of a model's labels each belongs to."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Sequence

from errors import SourceError
from teaching.clips import list_clips, list_folder, one_line
from teaching.label_folders import label_of

_SEPARATORS = re.compile(r"[\s_\-/]+")


@dataclass(frozen=True)
class Clip:
    """One recording of one action.

    Attributes:
        path: A video file, a GIF, or a folder of images.
        folder: Name of the folder that it lies in, which is its label.
    """

    path: Path
    folder: str

    @property
    def name(self) -> str:
        """Its place in the data, such as "waving/01.mp4"."""
        return one_line(f"{self.folder}/{self.path.name}")


def find_clips(data: Path, limit: int | None = None) -> tuple[dict[str, list[Clip]], list[str]]:
    """Returns the clips of each label folder, by the folder's name, and a line for each thing that is left out.

    A folder may have no clip; what counts as one is what `train.py fit` takes for one, see teaching.clips.list_clips.

    Args:
        data: A folder with a folder for each label.
        limit: How many clips of a folder at most, the first by name.

    Raises:
        SourceError: It can't be listed, or holds no folder.
    """
    folders = [entry for entry in _list(data) if os.path.isdir(entry)]
    if not folders:
        raise SourceError(f"{data} has no folders; it needs one for each label, with the label's clips in it")
    skipped: list[str] = []
    found = {
        folder.name: [Clip(path, folder.name) for path in list_clips(folder, skipped)][:limit] for folder in folders
    }
    return found, skipped


def match(folders: Iterable[str], labels: Sequence[str]) -> dict[str, int]:
    """Returns each folder's place among the labels; folders without one are missing.

    Case doesn't count, and spaces, underscores, hyphens and slashes are alike, unless a label is written just like the
    folder; escapes that `train.py collect` writes into names of folders are read.
    """
    exact: dict[str, int] = {}
    alike: dict[str, int] = {}
    for place, label in enumerate(labels):
        exact.setdefault(unicodedata.normalize("NFC", label), place)
        alike.setdefault(key_of(label), place)
    found = {}
    for folder in folders:
        label = unicodedata.normalize("NFC", label_of(folder))
        place = exact.get(label, alike.get(key_of(label)))
        if place is not None:
            found[folder] = place
    return found


def key_of(label: str) -> str:
    """Returns what two spellings of a label have in common."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFC", label).casefold()).strip()


def _list(folder: Path) -> list[Path]:
    try:
        return [entry for entry in list_folder(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}; give a folder with a folder for each label") from None
