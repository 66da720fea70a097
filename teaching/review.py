"""What there is to teach from, in words: how many clips, what is missing, and what to type next."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Mapping

from evaluation.grid import grid
from teaching.clips import one_line

BACKGROUND = "background"
"""The label of what is none of the actions."""

_MODEL = Path("models/mine.tflite")  # what hints call the model
_FEW = 5  # clips of a label, below which more are advised
# One clip of each, in turn: what a camera sees on most days.
_BACKGROUND_HINTS = (
    "nobody in the picture",
    "stand or sit still",
    "walk through the picture",
    "tidy up, take things, put them away",
    "drink, read, look at the phone",
)


def is_background(label: str) -> bool:
    """Says whether a label is BACKGROUND, in whatever case."""
    return label.casefold() == BACKGROUND


def hint(label: str, count: int) -> str:
    """Returns what to do for the next clip of a label that has `count`; "" where its name says it."""
    return _BACKGROUND_HINTS[count % len(_BACKGROUND_HINTS)] if is_background(label) else ""


def table(counts: Mapping[str, int], root: str, discarded: int) -> str:
    """Returns how many clips of each label there are, a line each."""
    if not counts:
        return f"{one_line(root)}: no clips"
    text = f"{one_line(root)}:\n"
    text += grid([[f"  {one_line(label)}", _clips(count, 3)] for label, count in counts.items()])
    if discarded:
        text += f"  and {_clips(discarded)} discarded, in .discarded\n"
    return text.rstrip()


def advice(counts: Mapping[str, int], root: str, background: bool) -> str:
    """Returns what is missing and the command to type next, a line each.

    Args:
        counts: Clips of each label.
        root: Their folder, as the user wrote it.
        background: Whether the label "background" is wanted.
    """
    data = shlex.quote(root)
    lines = []
    missing = background and not any(count for label, count in counts.items() if is_background(label))
    few = [label for label, count in counts.items() if count < _FEW and not (missing and is_background(label))]
    if few:
        lines.append(f"better record {_FEW} clips or more of: {', '.join(few)}")
    if missing:
        lines.append(
            f"no {BACKGROUND} yet (nobody there, nothing happening): without it everything is called one of your "
            f"actions; python train.py collect --label {BACKGROUND} --data {data}"
        )
    if sum(count > 0 for count in counts.values()) >= 2:
        again, force = (f" (replaces {_MODEL})", " --force") if os.path.exists(_MODEL) else ("", "")
        lines.append(f"next{again}: python train.py fit --data {data} --out {_MODEL}{force}")
    else:
        lines.append(f"next: clips of another label: python train.py collect --label LABEL --data {data}")
    return "\n".join(lines)


def _clips(count: int, width: int = 0) -> str:
    return f"{count:{width or 1}} clip{'' if count == 1 else 's'}"
