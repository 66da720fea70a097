"""The folder that clips are collected in: each appears whole, under a name of its own, and none is ever deleted.

clips/waving/20261121-141530.123.mp4
clips/waving/.20261121-141541.456.part.mp4     being recorded; what a crash leaves is kept at the next start
clips/.discarded/waving/...                what the user didn't want
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import unicodedata
from pathlib import Path
from typing import Iterable, Iterator

from errors import OutputError, SourceError, UserError
from teaching.clip_recording import PART, Recording, rename, settle
from teaching.clips import list_clips, list_folder, one_line
from teaching.collect import LEAST
from teaching.label_folders import folder_name, label_of

DISCARDED = ".discarded"


class ClipStore:
    """Clips by label. While it is open, no other process takes what is being recorded here for a crash's leftovers.

    A context manager.

    Args:
        root: The folder; made when it is needed.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser()
        self._lock: int | None = None

    def __enter__(self) -> ClipStore:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def open(self) -> list[str]:
        """Makes the folder ready to record in, and settles what a crash has left there.

        Returns:
            A line for each thing that was left.

        Raises:
            OutputError: The folder can't be made or written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise PermissionError(0, "you may not write there")
            alone = _lock_alone(self._lock)
            lines = list(self._settle_leftovers()) if alone else []
            _share(self._lock)
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
            raise OutputError(
                one_line(f"can't keep clips in {self.root}: {reason}; give another folder with --data")
            ) from None
        return lines

    def counts(self) -> dict[str, int]:
        """Returns how many clips each label has, in the labels' order.

        Raises:
            SourceError: The folder can't be read.
        """
        return {label: len(list_clips(folder, [])) for label, folder in sorted(self._folders().items())}

    def discarded(self) -> int:
        """Returns how many clips lie in .discarded."""
        try:
            return sum(len(list_clips(folder, [])) for folder in (self.root / DISCARDED).iterdir() if folder.is_dir())
        except OSError:
            return 0

    def check(self, labels: Iterable[str]) -> None:
        """Makes sure that labels' clips can lie beside each other, and beside those that are there.

        Raises:
            UserError: Two labels differ in upper and lower case only, which `train.py fit` would refuse.
        """
        known = {other.casefold(): other for other in self._folders()}
        for label in labels:
            other = known.setdefault(label.casefold(), label)
            if other != label:
                raise UserError(f"{other!r} and {label!r} would be one label; write it as {other!r} only")

    def begin(self, label: str, fps: float | None) -> Recording:
        """Begins a clip.

        Args:
            label: What it shows.
            fps: The camera's usual rate.

        Raises:
            OutputError: The folder can't be written to, or the disk is full.
        """
        folder = self._folders().get(label, self.root / folder_name(label))
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(one_line(f"can't make the folder {folder}: {error.strerror}")) from None
        return Recording(folder, fps)

    def discard(self, path: str | os.PathLike[str]) -> Path:
        """Moves a clip to where no clip is looked for; returns its new place.

        Raises:
            UserError: It is no clip of this folder.
            OutputError: It can't be moved.
        """
        path = Path(path).expanduser()
        folder = path.parent
        root = os.path.realpath(self.root)
        if path.name.startswith(".") or folder.name.startswith(".") or os.path.realpath(folder.parent) != root:
            raise UserError(one_line(f"{path} is no clip in {self.root}; name one as {self.root}/LABEL/CLIP.mp4"))
        if not os.path.lexists(path):
            raise UserError(one_line(f"there is no clip {path}; --list shows where they are"))
        target = self.root / DISCARDED / folder.name
        try:
            target.mkdir(parents=True, exist_ok=True)
            return rename(path, target / path.name)
        except OSError as error:
            raise OutputError(one_line(f"can't move {path} to {target}: {error.strerror}")) from None

    def _folders(self) -> dict[str, Path]:
        try:
            entries = list_folder(self.root)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SourceError(one_line(f"{self.root}: {error.strerror}; give the clips' folder with --data")) from None
        folders = [path for path in entries if not path.name.startswith(".") and os.path.isdir(path)]
        return {unicodedata.normalize("NFC", label_of(path.name)): path for path in folders}

    def _settle_leftovers(self) -> Iterator[str]:
        for folder in self._folders().values():
            for path in sorted(folder.iterdir()):
                if not PART.fullmatch(path.name) or path.is_symlink() or not path.is_file():
                    continue
                if path.stat().st_nlink > 1:  # it has its name already
                    path.unlink()
                else:
                    kept = settle(path)
                    if kept is None:
                        yield one_line(f"removed what a crash left of a clip: {path}, less than {LEAST:g} s")
                    else:
                        yield one_line(f"kept what a crash left of a clip: {kept}; look at it, or --discard it")


def _lock_alone(descriptor: int) -> bool:
    """Locks a folder if no other process uses it; returns whether none does."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _share(descriptor: int) -> None:
    """Locks a folder together with others; waits for one that has it alone, which takes a moment.

    What was locked alone is free for an instant in between, so that another process may come first.
    """
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
