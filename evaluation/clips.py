"""The labelled clips in a folder, and which of a model's labels each belongs to."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Sequence

from errors import SourceError
from sources.images import SUFFIXES as IMAGES
from teaching.clips import one_line
from teaching.label_folders import label_of

_VIDEOS = frozenset(".3gp .avi .flv .gif .h264 .m4v .mjpg .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split())
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


def find_clips(data: Path, limit: int | None = None) -> dict[str, list[Clip]]:
    """Returns the clips of each label folder, by the folder's name; a folder may have none.

    Files and folders whose names begin with a dot are left out, and files that are no videos by their suffix.

    Args:
        data: A folder with a folder for each label.
        limit: How many clips of a folder at most, the first by name.

    Raises:
        SourceError: It can't be listed, or holds no folder.
    """
    folders = [entry for entry in _list(data) if entry.is_dir()]
    if not folders:
        raise SourceError(f"{data} has no folders; it needs one for each label, with the label's clips in it")
    return {
        folder.name: [Clip(path, folder.name) for path in _list(folder) if _is_clip(path)][:limit] for folder in folders
    }


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
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}; give a folder with a folder for each label") from None


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(entry.suffix.lower() in IMAGES for entry in _list(path))
    return path.suffix.lower() in _VIDEOS and path.is_file()  # a pipe would keep whoever opens it waiting
