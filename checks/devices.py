"""Checks of what the program looks through and shows on. Each runs in a process of its own: a driver may hang."""

from __future__ import annotations

import time
from argparse import Namespace

from checks import Finding, ok, problem, warning
from checks.board import is_raspberry_pi
from errors import PackageError, UserError

_LONGEST_READ = 30.0  # seconds, whatever --read-timeout is: opening takes two reads, and a check may take 90 s


def check_picamera2() -> Finding | None:
    """Looks whether a Pi's camera library is seen in this environment; says nothing on other machines."""
    if not is_raspberry_pi():
        return None
    from sources.picamera import list_pi_cameras

    try:
        models = [model for _, model in list_pi_cameras()]
    except PackageError as error:
        return warning(str(error))
    return ok(f"sees {', '.join(models)}" if models else "works, but sees no camera on the ribbon cable")


def check_camera(options: Namespace) -> Finding:
    """Takes a frame of each source that the program would take, of an archive the first file's."""
    import archive
    from archive.patterns import expand
    from opening import open_once
    from sources import find_camera

    options = Namespace(**{**vars(options), "read_timeout": min(options.read_timeout, _LONGEST_READ)})
    found = []
    try:
        uris = options.source or [find_camera()]
        if archive.is_archive(options):
            files, unfit = expand(uris)
            if not files:
                return problem(f"{': '.join(unfit[0])}; give another --source")
            found.append(f"{len(files)} file{'s' * (len(files) > 1)}")
            uris = [files[0].path]
        for uri in uris:
            start = time.monotonic()
            source = open_once(archive.only_match(uri), None, options)
            try:
                frame = source.read()
            finally:
                source.close()
            if frame is None:
                return problem(f"{source.name} ends before its first picture; give another --source")
            height, width = frame.image.shape[:2]
            found.append(f"{source.name} gives {width}x{height} after {time.monotonic() - start:.1f} s")
    except UserError as error:
        return problem(str(error))
    return ok(", ".join(found))


def check_display() -> Finding:
    """Looks for a desktop or a console's screen."""
    from sinks.viewer import open_viewer

    viewer, note = open_viewer("auto", "Action recognition", fullscreen=False)
    if viewer is None:
        return warning(f"{note}; labels go to the terminal")
    viewer.close()
    return ok(note)
