"""The data set to teach from: a folder with a folder for each label, and in it the clips.

clips/waving/1.mp4
clips/waving/2.gif
clips/background/evening/img001.jpg, img002.jpg, ...
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Generator, Iterator

from errors import SourceError, UserError
from sources import Frame, open_source
from sources.images import SUFFIXES
from teaching.label_folders import label_of

_BLOCK = 1 << 20  # bytes of a file that are hashed at a time
_EXAMPLE = "{0}/waving/1.mp4, {0}/background/1.mp4"


@dataclass(frozen=True)
class Clip:
    """A video, a GIF or a folder of images that shows one action.

    Attributes:
        path: The file or the folder.
        label: Index of what it shows in DataSet.labels.
    """

    path: Path
    label: int


@dataclass(frozen=True)
class DataSet:
    """Clips and what they show.

    Attributes:
        clips: All that can be opened, by label and name.
        labels: Names of the labels that have clips, sorted.
        skipped: One line for each thing that was left out, with the reason.
    """

    clips: list[Clip]
    labels: list[str]
    skipped: list[str]


def find_clips(folder: str | os.PathLike[str]) -> DataSet:
    """Lists the clips of a folder. Hidden files and *.part, a clip that is being recorded, don't count.

    Raises:
        SourceError: The folder can't be read.
        UserError: There are clips of fewer than two labels, or a label can't be one.
    """
    root = Path(folder).expanduser()
    skipped: list[str] = []
    found: dict[str, list[Path]] = {}
    for path in _folders(root, skipped):
        label = _label(path, found)
        clips = list(_clips(path, skipped))
        if clips:
            found[label] = clips
        else:
            skipped.append(one_line(f"{path} holds no clips"))
    if len(found) < 2:
        has = f"has clips of one label only, {min(found)!r}" if found else "holds no clips"
        reasons = f" ({len(skipped)} skipped; first: {skipped[0]})" if skipped else ""
        example = _EXAMPLE.format(folder)
        raise UserError(one_line(f"{folder} {has}{reasons}; it needs two folders with clips or more, as {example}"))
    labels = sorted(found)
    return DataSet([Clip(path, index) for index, label in enumerate(labels) for path in found[label]], labels, skipped)


def list_folder(folder: Path) -> list[Path]:
    """Returns what is in a folder, by name.

    Raises:
        OSError: It can't be listed or entered.
    """
    os.stat(os.path.join(folder, "."))  # after chmod -R 644 its names could be listed, and nothing behind them read
    return sorted(folder.iterdir())


def list_clips(folder: Path, skipped: list[str]) -> list[Path]:
    """Returns what in a label's folder is meant as a clip, by name: all but hidden files, *.part and single images.

    Whether it can be read shows when it is opened: names say little, and there are many kinds of videos.

    Args:
        folder: The label's.
        skipped: Given a line for each thing that is left out but might have been meant.
    """
    try:
        entries = list_folder(folder)
    except OSError as error:
        skipped.append(one_line(f"{folder}: {error.strerror}"))
        return []
    images, clips = [], []
    for path in entries:
        if path.name.startswith(".") or path.name.endswith(".part"):
            continue
        if os.path.isdir(path):
            clips.append(path)
        elif path.suffix.lower() in SUFFIXES:
            images.append(path)
        elif os.path.isfile(path):
            clips.append(path)
        else:  # a pipe would keep whoever opens it waiting
            skipped.append(one_line(f"{path} is neither a file nor a folder"))
    if images:
        skipped.append(
            one_line(f"{images[0]}{', ...' * (len(images) > 1)}: the images of a clip need a folder of their own")
        )
    return clips


def read_clip(path: Path) -> Generator[Frame, None, None]:
    """Yields a clip's frames; their timestamps begin at 0. Closing the iterator closes the clip.

    Raises:
        SourceError: It can't be read.
    """
    for file in [path, *(_images(path) if path.is_dir() else ())]:
        if any("\ud800" <= letter <= "\udfff" for letter in os.path.abspath(file)):  # OpenCV would crash
            raise SourceError(f"{file}: there is a byte in its path that is not UTF-8; rename it")
    source = open_source(os.path.abspath(path))  # which no URI looks like
    try:
        yield from iter(source.read, None)
    finally:
        source.close()


def hash_clip(path: Path) -> bytes:
    """Returns the SHA-256 of what a clip consists of: the file; of a folder, the images and their names.

    Raises:
        OSError: It can't be read.
    """
    if not path.is_dir():
        return _hash_file(path)
    parts = [hashlib.sha256(os.fsencode(file.name)).digest() + _hash_file(file) for file in _images(path)]
    return hashlib.sha256(b"".join(parts)).digest()


def one_line(text: str) -> str:
    """Returns a message as one line that can do nothing to a terminal: a name in it may have bytes of any kind."""
    line = " ".join(text.encode("utf-8", "backslashreplace").decode().splitlines())
    return "".join("?" if unicodedata.category(letter) == "Cc" else letter for letter in line)


def _images(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and os.path.isfile(file))


def _hash_file(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            digest.update(block)
    return digest.digest()


def _folders(root: Path, skipped: list[str]) -> Iterator[Path]:
    """Yields the folders of labels. A link to the root, or to a folder around it, would lead in a circle."""
    try:
        entries = list_folder(root)
    except OSError as error:
        raise SourceError(
            one_line(f"{root}: {error.strerror}; give the folder that the labels' folders are in")
        ) from None
    real_root = os.path.realpath(root)
    for path in entries:
        if path.name.startswith(".") or not os.path.isdir(path):
            continue
        if os.path.commonpath([real_root, os.path.realpath(path)]) == os.path.realpath(path):
            skipped.append(one_line(f"{path} is a link to a folder that it is in itself"))
        else:
            yield path


def _clips(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """Yields what can be opened in a label's folder."""
    for path in list_clips(folder, skipped):
        problem = _problem(path)
        if problem is None:
            yield path
        else:
            skipped.append(one_line(problem))


def _problem(path: Path) -> str | None:
    """Returns why something can't be read as a clip; None if it can."""
    try:
        with contextlib.closing(read_clip(path)) as frames:
            next(frames)
    except (SourceError, OSError) as error:
        return str(error)
    return None


def _label(path: Path, others: dict[str, list[Path]]) -> str:
    """Returns the label that a folder's name is. Systems write one letter with its accent in different ways.

    Raises:
        UserError: It can't be a line of a label file, or differs from another one only in upper and lower case.
    """
    label = unicodedata.normalize("NFC", label_of(path.name))
    if label != label.strip() or any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in label):
        raise UserError(
            f"the folder {path.name!r} can't be a label: it begins or ends with a space, or has a line break, a "
            "control character or a byte that is not UTF-8 in it; rename it"
        )
    for other in others:
        if other.casefold() == label.casefold():
            raise UserError(f"the folders {other!r} and {path.name!r} would be one label; join them, or rename one")
    return label
