"""Which clips aren't measured, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from errors import SourceError
from evaluation.clips import Clip
from evaluation.running import Contestant
from teaching.clips import one_line

Clips = Mapping[str, Sequence[Clip]]

_LISTED = 5  # folders that a line names


def choose_clips(data: Path, clips: Clips, contestants: Sequence[Contestant]) -> list[Clip]:
    """Returns the clips that at least one of the models has a label for.

    Raises:
        SourceError: There are none, or none for one of the models.
    """
    if not any(clips.values()):
        raise SourceError(f"the folders in {data} hold no clips; put videos, GIFs or folders of images into them")
    strangers = [contestant for contestant in contestants if not contestant.truth]
    if strangers:
        names = " and ".join(contestant.name for contestant in strangers)
        raise SourceError(
            f"no folder in {data} is named like a label of {names}: there are {_list(sorted(clips))}; "
            f"labels are {_list(strangers[0].labels)}"
        )
    known = {folder for contestant in contestants for folder in contestant.truth}
    return [clip for folder, found in clips.items() if folder in known for clip in found]


def describe(clips: Clips, contestants: Sequence[Contestant]) -> Iterator[str]:
    """Yields a line about each kind of folder that is left out."""
    empty = [folder for folder, found in clips.items() if not found]
    if empty:
        yield f"left out: {_count(len(empty), 'folder')} without clips: {_list(empty)}"
    unknown = _unknown(clips, contestants)
    if unknown:
        number = sum(len(clips[folder]) for folder in unknown)
        yield f"left out: {_count(number, 'clip')} in folders that are no label: {_list(unknown)}"
    measured = [folder for folder, found in clips.items() if found and folder not in unknown]
    for contestant in contestants:
        missing = [folder for folder in measured if folder not in contestant.truth]
        if missing:
            yield (
                f"{contestant.name} has no label for {_list(missing)}: its figures are of the other "
                f"{_count(len(measured) - len(missing), 'folder')}"
            )


def to_json(clips: Clips, contestants: Sequence[Contestant]) -> dict[str, Any]:
    """Returns the folders that no model has a label for, with their number of clips, and those without clips."""
    return {
        "folders_without_label": {one_line(folder): len(clips[folder]) for folder in _unknown(clips, contestants)},
        "folders_without_clips": [one_line(folder) for folder, found in clips.items() if not found],
    }


def _unknown(clips: Clips, contestants: Sequence[Contestant]) -> list[str]:
    return [
        folder for folder, found in clips.items() if found and all(folder not in each.truth for each in contestants)
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _list(names: Sequence[str]) -> str:
    text = one_line(", ".join(names[:_LISTED]))
    return text + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
