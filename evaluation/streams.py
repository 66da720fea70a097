"""Joins clips to streams: one after another, each followed by one of another label."""

from __future__ import annotations

import math
import random
from typing import Iterable

from evaluation.clips import Clip, key_of

STREAM_CLIPS = 40
"""Clips in a stream, at most: with Kinetics' ten seconds over six minutes, many times what a model should remember."""


def plan_streams(clips: Iterable[Clip], seed: int, longest: int = STREAM_CLIPS) -> list[list[Clip]]:
    """Returns the clips as streams of about equal length, in an order that only the seed decides.

    Neighbours have different labels as long as there are such clips left.

    Args:
        clips: All that are to be in one of them.
        seed: Of the random order.
        longest: Clips in a stream, at most.
    """
    generator = random.Random(seed)
    left: dict[str, list[Clip]] = {}
    for clip in clips:
        left.setdefault(key_of(clip.folder), []).append(clip)
    for queue in left.values():
        generator.shuffle(queue)
    order, last = [], ""
    for remaining in range(sum(map(len, left.values())), 0, -1):
        last = _draw(left, last, remaining, generator)
        order.append(left[last].pop())
        if not left[last]:
            del left[last]
    streams = math.ceil(len(order) / longest)
    ends = [len(order) * place // max(1, streams) for place in range(streams + 1)]
    return [order[start:end] for start, end in zip(ends, ends[1:])]


def _draw(left: dict[str, list[Clip]], last: str, remaining: int, generator: random.Random) -> str:
    """Draws the next label: in proportion to its clips, but other than the last."""
    others = [label for label in left if label != last] or [last]
    heaviest = max(others, key=lambda label: len(left[label]))
    if 2 * len(left[heaviest]) > remaining:  # else its clips would be left over at the end
        return heaviest
    return generator.choices(others, [len(left[label]) for label in others])[0]
