"""The features of clips that were read before, one file a clip. Deleting them costs only time."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from errors import OutputError
from user_cache import cache_folder, mark_used, prune
from utils import write_whole

_SUFFIX = ".features"
_DIGEST = 32  # bytes of a SHA-256


@dataclass(frozen=True, eq=False)
class Rows:
    """The features of one clip at some moments of some views.

    Attributes:
        features: float32 [n, features].
        moments: int64 [n], frames at the model's rate since the clip's start.
        augmented: bool [n], False for what the program sees of the clip if it is started with it.
        cut: Whether the clip is so long that its end was left out.
    """

    features: np.ndarray
    moments: np.ndarray
    augmented: np.ndarray
    cut: bool


class FeatureCache:
    """Keeps Rows by a key that says all they depend on.

    Args:
        folder: Where; made when it is needed. None for the user's cache folder, where no failure is an error.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder or cache_folder() / "features"
        self._wanted = folder is not None

    def get(self, key: str) -> Rows | None:
        """Returns what was put there; None if there is nothing, or it is damaged."""
        path = self._path(key)
        try:
            sealed = path.read_bytes()
        except OSError:
            return None
        mark_used(path)
        content = sealed[_DIGEST:]
        if hashlib.sha256(content).digest() != sealed[:_DIGEST]:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Rows(arrays["features"], arrays["moments"], arrays["augmented"], bool(arrays["cut"]))

    def put(self, key: str, rows: Rows) -> None:
        """Keeps rows, so that even after a loss of power there are all of them or none.

        Raises:
            OutputError: The folder that the user gave can't be written to.
        """
        buffer = io.BytesIO()
        np.savez(buffer, features=rows.features, moments=rows.moments, augmented=rows.augmented, cut=rows.cut)
        content = buffer.getvalue()
        try:
            self._make_folder()
            write_whole(self._path(key), hashlib.sha256(content).digest() + content)
        except OutputError:
            if self._wanted:
                raise

    def prune(self) -> None:
        """Removes what nobody has asked for in long: other flags, another base or another clip make it useless."""
        prune(self._folder, f"*{_SUFFIX}")

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"can't make the folder {self._folder}: {error.strerror}; give another one") from None
