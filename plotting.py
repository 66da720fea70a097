"""matplotlib, which only the drawing of files needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errors import OutputError, PackageError
from utils import check_writable


def import_figure(what: str) -> Any:
    """Returns matplotlib's Figure class, which draws into files and needs no screen.

    Args:
        what: What needs it, for the message: "--plot".

    Raises:
        PackageError: It isn't installed.
        OutputError: It has no folder to write its list of fonts to.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PackageError(f"{what} needs the package matplotlib; run ./setup.sh --extras timeline") from None
    except OSError:  # of several lines
        raise OutputError(
            f"{what}: matplotlib finds no folder that it may write to; free some space, or set MPLCONFIGDIR to a folder"
        ) from None
    return Figure


def check_drawable(path: Path, what: str) -> None:
    """Finds out before the work whether a picture can be drawn into a file.

    Args:
        path: The file.
        what: As for import_figure.

    Raises:
        PackageError: matplotlib isn't installed.
        OutputError: The file can't be written, or matplotlib draws no such format.
    """
    formats = import_figure(what)().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in formats:
        raise OutputError(
            f"can't draw {path}: {path.suffix} is no format for pictures; let it end in .png, .svg or .pdf"
        )
    check_writable(path)


def as_written(text: str) -> str:
    """Returns what matplotlib shows as this text, in one line: a $ would begin a formula."""
    return " ".join(text.splitlines()).replace("$", r"\$")
