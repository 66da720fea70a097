"""Where the socket of a running program lies, and who is behind it: made by the program, found by --live."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
import tempfile
from pathlib import Path
from typing import Iterator

from errors import OutputError, UserError

SERVICE_FOLDER = Path("/run/movinet-pi/movinet-pi")  # of the service, whose unit sets XDG_RUNTIME_DIR
_USERS_FOLDERS = "/run/user"  # where logind makes a folder for each user that is logged in
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_SUFFIX = ".sock"
_LONGEST = 107  # bytes of a socket's path, says unix(7), without the zero at its end
_BACKLOG = 64  # clients that the system lets wait


def check_name(name: str) -> str:
    """Returns an instance's name, if it is one.

    Raises:
        UserError: It could lead to another folder, or be taken for a flag.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"--instance {name!r}: use up to 64 letters, digits, '-', '_' and '.', a letter or digit first")
    return name


def listen(name: str) -> tuple[socket.socket, Path]:
    """Makes an instance's socket, in a folder that no other user can enter.

    What is left of instances that were killed is removed from that folder.

    Args:
        name: Of the instance.

    Returns:
        The listening socket, which doesn't block, and its path.

    Raises:
        UserError: An instance of that name runs already, or it is no name.
        OutputError: The socket can't be made.
    """
    check_name(name)
    folder = _make_folder()
    path = folder / f"{name}{_SUFFIX}"
    length = len(os.fsencode(path))
    if length > _LONGEST:
        raise OutputError(
            f"can't make the socket {path}: its path has {length} bytes, {_LONGEST} is the most; set XDG_RUNTIME_DIR "
            "to a folder with a shorter path, or start with --no-control"
        )
    try:
        with _locked(folder):
            if any(_answers(place / path.name) for place in folders()):
                raise UserError(f"an instance called {name} runs already; give this one another name with --instance")
            for file in folder.glob(f"*{_SUFFIX}"):
                if file == path or (file.is_socket() and not _answers(file)):
                    file.unlink()
            return _bind(path), path
    except OSError as error:
        raise OutputError(f"can't make the socket {path}: {error.strerror}; start with --no-control") from None


def running() -> dict[str, Path]:
    """Returns the sockets by instance name of those that run: this user's; for root, the service's as well."""
    paths = [path for folder in folders() for path in sorted(folder.glob(f"*{_SUFFIX}")) if _answers(path)]
    return {path.stem: path for path in reversed(paths)}


def folders() -> list[Path]:
    """Returns the folders that hold sockets of this user, the preferred first; for root, the service's as well."""
    found = [folder for folder in _candidates() if _is_private(folder)]
    if os.geteuid() == 0 and SERVICE_FOLDER.is_dir():
        found.append(SERVICE_FOLDER)
    return found


def _candidates() -> list[Path]:
    """Returns the folders in which a socket may be made, the best first; they may not exist."""
    user = os.geteuid()
    # A relative path is to be ignored, says the XDG Base Directory Specification. After `sudo -E` it is another's.
    bases = [os.environ.get("XDG_RUNTIME_DIR", ""), f"{_USERS_FOLDERS}/{user}"]
    found = [Path(base, "movinet-pi") for base in bases if os.path.isabs(base) and _is_own(os.path.realpath(base))]
    with contextlib.suppress(OSError):  # there is no folder for temporary files
        found.append(Path(tempfile.gettempdir(), f"movinet-pi-{user}"))
    return list(dict.fromkeys(found))


def _make_folder() -> Path:
    """Returns the best folder that can be had."""
    candidates = _candidates()
    for folder in candidates:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
        if _is_private(folder):
            return folder
    raise OutputError(
        f"no folder for the socket of --live: {candidates[-1] if candidates else tempfile.gettempprefix()} can't be "
        "made, or others may write there; set XDG_RUNTIME_DIR to a folder of your own, or start with --no-control"
    )


def _is_own(folder: str) -> bool:
    """Returns whether only this user can make or rename what is in a folder."""
    return _is_closed(folder, stat.S_IWGRP | stat.S_IWOTH)


def _is_private(folder: Path) -> bool:
    """Returns whether only this user can reach what is in a folder."""
    return _is_closed(folder, stat.S_IRWXG | stat.S_IRWXO)


def _is_closed(folder: str | Path, rights: int) -> bool:
    try:
        status = os.lstat(folder)  # a link may lead anywhere
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & rights


def _answers(path: Path) -> bool:
    """Returns whether somebody listens on a socket. Never waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fsencode(path))
        except (BlockingIOError, PermissionError):  # so many wait there already; it is another user's
            return True
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps two programs that start at once from taking each other's new socket for a dead one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode that the socket has, so that no moment and no umask make it another's, too.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(os.fsencode(path))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
