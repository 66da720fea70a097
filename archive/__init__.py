"""A whole archive: many video files, classified in parallel, each exactly once."""

from __future__ import annotations

from argparse import Namespace

from archive.patterns import is_archive, only_match

__all__ = ["is_archive", "only_match", "run"]


def run(options: Namespace) -> int:
    """Analyses an archive; see command.run()."""
    from archive import command  # with SQLite and more, which nobody else needs

    return command.run(options)
