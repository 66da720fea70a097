"""Finds the files that a pattern such as videos/**/*.mp4, a folder or a name stands for."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from argparse import Namespace
from dataclasses import dataclass
from typing import Sequence

from errors import SourceError

# What is taken of a folder; a pattern may match any file.
VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()
)

_MAGIC = re.compile(r"[*?[]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CAMERA = re.compile(r"csi(:\d+)?|usb(:\d+)?|demo")
_FOLDER = ("**",)  # the end of a pattern that stands for all videos below


@dataclass(frozen=True)
class File:
    """A file of an archive.

    Attributes:
        path: Absolute, without symbolic links: what tells files apart.
        name: Below the root of the pattern, as users know it; unlike that of any other file of the run.
        size: Bytes.
        modified: When, in nanoseconds since 1970.
    """

    path: str
    name: str
    size: int
    modified: int


def is_pattern(source: str) -> bool:
    """Says whether a source is a pattern; not if a file has just this name."""
    return bool(_MAGIC.search(source)) and not _SCHEME.match(source) and not os.path.lexists(os.path.expanduser(source))


def only_match(source: str) -> str:
    """Returns the one file that a pattern stands for; what is no pattern, or matches another number, as it is."""
    found = _find(source)[0] if is_pattern(source) else []
    return found[0][0] if len(found) == 1 else source


def matches_several(sources: Sequence[str]) -> bool:
    """Says whether there is a pattern among the sources that stands for more than one file."""
    return any(is_pattern(source) and len(_find(source)[0]) > 1 for source in sources)


def expand(sources: Sequence[str]) -> tuple[list[File], list[tuple[str, str]]]:
    """Finds the files that sources stand for.

    Names come from whoever filled the folders: only regular files are taken, no file twice (by whichever links it is
    reached), and links that lead in circles are followed once.

    Args:
        sources: Patterns with *, ?, [...] and ** for any number of folders; folders, of which all videos below are
            taken; names of files. Hidden files and folders are only matched by what begins with a dot.

    Returns:
        The files in the order of the sources, sorted by name within each; and what can't be taken, as name and reason.

    Raises:
        SourceError: A source is no file or folder, or stands for no file.
    """
    files: dict[str, File] = {}
    problems: list[tuple[str, str]] = []
    names: set[str] = set()
    for source in sources:
        found, closed = _find(source)
        problems += closed
        if not found and not closed:
            kind = "matches no file" if is_pattern(source) else "holds no video"
            raise SourceError(f"{source} {kind}; check the path, and quote a pattern")
        for path, name in found:
            try:
                status = os.stat(path)
            except OSError as error:
                problems.append((name, str(error.strerror)))
                continue
            if not stat.S_ISREG(status.st_mode):
                problems.append((name, "it is no regular file"))
                continue
            path = os.path.realpath(path)
            if path not in files:
                name = path if name in names else name
                names.add(name)
                files[path] = File(path, name, status.st_size, status.st_mtime_ns)
    return list(files.values()), problems


def _find(source: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns the paths that a source stands for, with their names below its root, sorted; and what can't be entered.

    Raises:
        SourceError: It is no file or folder.
    """
    if _SCHEME.match(source) or _CAMERA.fullmatch(source):
        kind = "a camera or stream" if not source.startswith("file:") else "a URL"
        raise SourceError(f"an archive is made of files, and {source.partition('://')[0]} is {kind}; give paths")
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        return _walk(path, _FOLDER)
    if not is_pattern(source):
        if not os.path.lexists(path):
            raise SourceError(f"{source}: No such file or directory; check the path")
        return [(path, os.path.basename(path))], []
    parts = path.split("/")
    first = next(place for place, part in enumerate(parts) if _MAGIC.search(part))
    root = "/".join(parts[:first]) or ("/" if first else ".")
    return _walk(root, tuple(part for part in parts[first:] if part not in ("", ".")))


def _walk(root: str, pattern: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns what lies below a folder and matches the parts of a pattern, and the folders that can't be entered.

    Not recursive: folders can lie deep.
    """
    found, closed = {}, {}
    seen = set()
    left = [(root, "", pattern)]
    while left:
        path, name, parts = left.pop()
        if not parts and not os.path.isdir(path):
            found[path] = name
            continue
        parts = parts or _FOLDER
        try:
            status = os.stat(os.path.join(path, "."))  # fails where what is in it can be listed, but not read
            key = status.st_dev, status.st_ino, parts
            entries = sorted(os.listdir(path), reverse=True) if key not in seen else []
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            closed[path] = f"{name or root.rstrip('/')}/", str(error.strerror)
            continue
        seen.add(key)
        for entry, rest in _match(path, entries, parts):
            left.append((os.path.join(path, entry), f"{name}/{entry}" if name else entry, rest))
        if parts[0] == "**" and len(parts) > 1:
            left.append((path, name, parts[1:]))
    return sorted(found.items(), key=lambda each: each[1].split("/")), sorted(closed.values())


def _match(path: str, entries: Sequence[str], parts: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Returns the entries of a folder that go on matching, with the parts that are left for each."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        shown = [entry for entry in entries if not entry.startswith(".")]
        folders = [(entry, parts) for entry in shown if os.path.isdir(os.path.join(path, entry))]
        videos = [(entry, rest) for entry in shown if os.path.splitext(entry)[1].lower() in VIDEO_SUFFIXES]
        return folders if rest else folders + [(entry, rest) for entry, rest in videos if (entry, parts) not in folders]
    if not _MAGIC.search(part):
        return [(part, rest)] if os.path.lexists(os.path.join(path, part)) else []
    hidden = part.startswith(".")
    return [
        (entry, rest) for entry in entries if fnmatch.fnmatchcase(entry, part) and (hidden or not entry.startswith("."))
    ]


def is_archive(options: Namespace) -> bool:
    """Says whether a command line asks for an archive: by --jobs, --cluster, or a pattern that matches several files.

    Args:
        options: Of options.parse_options.
    """
    return options.jobs is not None or options.cluster is not None or matches_several(options.source or ())
