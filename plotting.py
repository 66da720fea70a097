"""matplotlib, which only the drawing of files needs."""

from __future__ import annotations

from typing import Any

from errors import PackageError


def import_figure(what: str) -> Any:
    """Returns matplotlib's Figure class, which draws into files and needs no screen.

    Args:
        what: What needs it, for the message: "--plot".

    Raises:
        PackageError: It isn't installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PackageError(f"{what} needs the package matplotlib; run ./setup.sh --extras timeline") from None
    return Figure
