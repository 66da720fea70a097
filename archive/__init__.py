"""A whole archive: many video files, classified in parallel, each exactly once."""

from __future__ import annotations

from archive.command import is_archive, run
from archive.patterns import only_match

__all__ = ["is_archive", "only_match", "run"]
