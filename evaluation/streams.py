"""Joins clips to streams: one after another, each followed by one of another label."""

from __future__ import annotations

import math
import random
from typing import Callable, Hashable, Iterable

from evaluation.clips import Clip

STREAM_CLIPS = 40
"""Clips in a stream, at most: with Kinetics' ten seconds over six minutes, many times what a model should remember."""


def plan_streams(
    clips: Iterable[Clip], seed: int, longest: int = STREAM_CLIPS, label: Callable[[str], Hashable] = str
) -> list[list[Clip]]:
    """Returns the clips as streams of about equal length, in an order that only the seed decides.

    Neighbours have different labels as long as there are such clips left.

    Args:
        clips: All that are to be in one of them.
        seed: Of the random order.
        longest: Clips in a stream, at most.
        label: What a folder's name stands for: the same for two spellings of a label.
    """
    generator = random.Random(seed)
    left: dict[Hashable, list[Clip]] = {}
    for clip in clips:
        left.setdefault(label(clip.folder), []).append(clip)
    for queue in left.values():
        generator.shuffle(queue)
    order: list[Clip] = []
    last: Hashable = None
    for remaining in range(sum(map(len, left.values())), 0, -1):
        last = _draw(left, last, remaining, generator)
        order.append(left[last].pop())
        if not left[last]:
            del left[last]
    streams = math.ceil(len(order) / longest)
    ends = [len(order) * place // max(1, streams) for place in range(streams + 1)]
    return [order[start:end] for start, end in zip(ends, ends[1:])]


def _draw(left: dict[Hashable, list[Clip]], last: Hashable, remaining: int, generator: random.Random) -> Hashable:
    """Draws the next label: in proportion to its clips, but other than the last."""
    others = [label for label in left if label != last] or [last]
    heaviest = max(others, key=lambda label: len(left[label]))
    if 2 * len(left[heaviest]) > remaining:  # else its clips would be left over at the end
        return heaviest
    return generator.choices(others, [len(left[label]) for label in others])[0]
