"""Bounded memory: pools that accumulate over a stream are made to forget, so that it can run for weeks.

A streaming MoViNet averages features over all frames since the start (the cumulative pools of arXiv 2103.11511): a
buffer holds their sum, a count their number. The published classifier never resets them. A float model then grows
inert: after an hour of one action the next one needs an hour to win. An int8 model fades: its buffer saturates while
the count goes on rising. Here, before a frame that would be averaged with W or more others, the sum is scaled to stand
for W - 1 of them,

    buffer *= (W - 1) / count,  count = W - 1,

so that each mean is (1 - 1/W) of the last one and 1/W of the new frame: up to W frames the published average, beyond
them an exponential one over about W frames.

Which W? Measured on 40 private clips of 40 Kinetics-600 classes played one after another as one stream (50 frames each
at 5 fps; 4-D float graph of the official A0, centre crop): right labels of 40 at the clips' ends, and the median of
frames until a change shows (one or two clips are noise):

    W         int8, never reset   4+16   6     8     12    16    25
    right     0 to 4              31     28    30    31    31    31
    frames    > 50                8.5    8.5   9.5   13    15    22

4+16 is the head reading two horizons: one pool forgets quickly, the other slowly, and the logits are averaged
(compiler/horizons.py adds the second one to a graph). A `memory` of 12 frames therefore means horizons of 4 and 16
where a model has both, and 12 where it has one.

Tried for faster switching, some sixty settings, on the official A0's features of 24 views of four real clips and 16
drawn ones, six orders, against the label of each clip's own mean. Over all 40 clips, whose labels are mostly unsure,
slower was better; labels right at the clips' ends, and median frames to switch:

    W = 12: 22.7, 13    W = 16: 25.5, 16    4+16: 20.5, 12    4+8+16: 20.8, 12    4+16, long one weighing .7: 21.2, 12
    one head on the mean of both means: 19.2, 12    sliding window of 12: 17, 13; of 23: 28, 18

Over the 10 clips whose label has a probability above .35, a choice made after seeing that; median frames to switch, and
the share of right labels from a clip's 20th frame on:

    W = 12: 8, .974    W = 16: 10, .979    4+16: 6, .944    3+16: 5, .925    6+24: 7, .970
    sliding window of 12: 8, .876; of 23: 11, .939
    the long pool (of 4 and 16), given the short one's mean when their cosine was below c for two frames, read alone:
    c = .8: 9, .986    c = .85: 5, .987    c = .9: 6, .942

The last is the only one that was both faster and better, but within a narrow range of c that depends on the scene and
the model; resets by a like rule did harm on the private clips. So it isn't used: these clips prove too little against
those, where 4+16 took 8.5 frames at no loss.

On an int8 pool the decay can't be rounded to nearest: a sum of fewer than W/2 steps of its grid would be rounded back
to where it was, never decay, and fill up. There it is rounded at random, up or down in proportion to the distance, so
that it is right on average.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Iterable, Mapping

import numpy as np

METADATA = "pools"
"""Name of what a compiled file's metadata says of its pools, see write_pools."""

_SEED = 0


@dataclass(frozen=True)
class Pool:
    """A cumulative pool among a model's states.

    Attributes:
        buffer: Name of the state that holds the sum.
        count: Name of the state that holds the number of frames in it; pools may share one.
        short: Whether it is the quickly forgetting twin of another pool.
        scale: Step of the grid that the sum is quantized to as it enters the graph, in real units; 0 if it is float.
        zero_point: What stands for zero where the state itself is stored in integers.
    """

    buffer: str
    count: str
    short: bool = False
    scale: float = 0.0
    zero_point: int = 0


def write_pools(pools: Iterable[Pool]) -> bytes:
    """Returns what a .tflite file's metadata "pools" holds: JSON, one object a pool."""
    return json.dumps([asdict(pool) for pool in pools]).encode()


def read_pools(content: bytes) -> list[Pool]:
    """Reads what write_pools returned.

    Raises:
        ValueError: It is something else.
    """
    try:
        return [Pool(**entry) for entry in json.loads(content)]
    except TypeError as error:
        raise ValueError(f"not a list of pools: {error}") from None


def horizons(frames: int) -> tuple[int, int]:
    """Returns the W of short and long pools that together remember about as one W does: 4 and 16 for 12."""
    return max(1, round(frames / 3)), max(1, round(frames * 4 / 3))


class Memory:
    """Bounds the pools of one stream.

    Example:
        memory = Memory(pools, 12)
        while True:
            memory.bound(states)  # then run the model on them

    Args:
        pools: The model's pools.
        frames: About how many frames to remember, at least 1; split into two horizons where some pools are short ones.
    """

    def __init__(self, pools: Iterable[Pool], frames: int) -> None:
        if frames < 1:
            raise ValueError(f"memory is {frames} frames; it must be 1 or more")
        pools = list(pools)
        short, long = horizons(frames) if any(pool.short for pool in pools) else (frames, frames)
        self._by_count: dict[str, tuple[int, list[Pool]]] = {}
        for pool in pools:
            limit = short if pool.short else long
            self._by_count.setdefault(pool.count, (limit, []))[1].append(pool)
            if self._by_count[pool.count][0] != limit:
                raise ValueError(f"pools of both horizons share the count {pool.count}")
        self.reset()

    def reset(self) -> None:
        """Lets the random rounding start over: the same stream gives the same results again."""
        self._random = np.random.default_rng(_SEED)

    def bound(self, states: Mapping[str, np.ndarray]) -> None:
        """Bounds the pools among the states that the next step is to be given, in place.

        Args:
            states: Name to array, as the model takes it; counts int32 of one element. Others may be among them.
        """
        for name, (limit, pools) in self._by_count.items():
            count = states[name]
            frames = count.item()
            if frames >= limit:
                for pool in pools:
                    self._scale(states[pool.buffer], (limit - 1) / frames, pool)
                count[...] = limit - 1

    def _scale(self, buffer: np.ndarray, factor: float, pool: Pool) -> None:
        if buffer.dtype.kind == "i" or buffer.dtype.kind == "u":
            buffer[...] = self._round((buffer - np.float32(pool.zero_point)) * np.float32(factor)) + pool.zero_point
        elif pool.scale:
            buffer[...] = self._round(buffer * np.float32(factor / pool.scale)) * np.float32(pool.scale)
        else:
            buffer *= factor

    def _round(self, values: np.ndarray) -> np.ndarray:
        """Rounds to one of the two neighbouring whole numbers, so that the expected result is the value itself."""
        return np.floor(values + self._random.random(values.shape, np.float32))
