"""Fetches a published model: each address in turn, verified, and in place under its name only when whole."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from errors import ModelError
from models.partial import open_partial
from models.registry import MODELS, Model
from models.transfer import Progress, TransferError, transfer
from models.unpack import WrongFileError, unpack, verify
from utils import write_whole

MIRROR = "MOVINET_MIRROR"
"""Environment variable: the address of a folder that has the models under their file names, to be used alone. It may
hold user:password@, which the folder's server alone is told."""


def fetch(
    model: Model, folder: Path = MODELS, progress: Progress = lambda received, total: None, timeout: float = 20.0
) -> Path:
    """Fetches a model unless it is in the folder already.

    An interrupted download leaves a .part file, from which the next call goes on. Of two calls for one model at the
    same time, in whatever processes, the second waits for the first.

    Args:
        model: What to fetch.
        folder: Where to put it; must exist.
        progress: Called with the bytes received and the bytes expected in all (None if unknown).
        timeout: Longest silence of a server, in seconds.

    Returns:
        The path of the file.

    Raises:
        ModelError: No address gave the right file, or the folder has another file of that name.
        OutputError: The folder can't be written to.
    """
    path = folder / model.file
    with open_partial(folder / f"{model.file}.part") as partial:
        if path.is_file():
            _check(path, model)
            return path
        hosts_by_reason: dict[str, list[str]] = {}
        for url in _urls(model):
            try:
                transfer(url, partial, progress, timeout)
                data = unpack(partial.read(), model.format)
                verify(model, data)
            except TransferError as error:
                hosts_by_reason.setdefault(str(error), []).append(_host(url))
            except WrongFileError as error:
                partial.clear()
                hosts_by_reason.setdefault(str(error), []).append(_host(url))
            else:
                write_whole(path, data)
                partial.clear()
                return path
    reasons = "; ".join(f"{', '.join(hosts)}: {reason}" for reason, hosts in hosts_by_reason.items())
    raise ModelError(
        f"can't fetch {model.name} ({reasons}); try again later, or download it from {model.source} and save its "
        f".{model.format} file as {path}"
    )


def _urls(model: Model) -> tuple[str, ...]:
    mirror = os.environ.get(MIRROR)
    return (f"{mirror.rstrip('/')}/{model.file}",) if mirror else model.urls


def _check(path: Path, model: Model) -> None:
    try:
        verify(model, path.read_bytes())
    except WrongFileError as error:
        raise ModelError(f"{path} is not the published file ({error}); remove it, then fetch it again") from None
    except OSError as error:
        raise ModelError(f"can't read {path}: {error.strerror}") from None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"
