"""Float or integer arithmetic: integers only where they are clearly faster on this machine and say the same.

Neither is always better. The official A0's median run on one x86-64 core, as benchmark.py measured it, ms: on
ai-edge-litert 2.3 1.09 float and 0.52 int8; on tflite-runtime 2.14, whose XNNPACK takes few of the integer operators,
1.23 and 10.3.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from compiler.verify import sampled_logits
from engine import Engine
from errors import ModelError
from runtime import Runtime, load_content
from signature import read_signature

_CLEARLY = 0.85  # of the time that float takes
_SAME_TOP = 0.75  # Share of the frames; on noise two classes can be nearly equal.
# Of the spread of the logits over the classes. On the frames of compiler/verify.py the official A0 is at .024 (.050 on
# a real video, where its label is always float's), and an SE file, whose activations were rounded too coarsely for its
# labels to be right, at .56. At .05, the log odds of two classes are off by .07 spreads: by .16, or 4 % of probability,
# where the spread is 2.3.
_TOLERANCE = 0.05
_WARM_UP, _BLOCK, _LEAST_BLOCKS = 3, 4, 3  # runs, runs, blocks
_SECONDS = 0.6


def choose_precision(real: bytes, integer: bytes, runtime: Runtime, threads: int = 1) -> str:
    """Returns "int8" if that is clearly faster here and agrees with float, else "float". Takes a second or a few.

    Args:
        real: The model compiled to float.
        integer: The same one compiled to int8.
        runtime: To run both with.
        threads: Likewise.

    Raises:
        ModelError: `real` can't be run.
    """
    engine = _engine(real, runtime, threads)
    try:
        if relative_time(_engine(integer, runtime, threads), engine) > _CLEARLY:
            return "float"
        return "int8" if agree(sampled_logits(integer, runtime), sampled_logits(real, runtime)) else "float"
    except ModelError:  # This runtime lacks some integer operator.
        return "float"


def relative_time(first: Engine, second: Engine) -> float:
    """Returns the median time of a run of one model, as a share of another one's. They take turns: noise hits both."""
    times: dict[Engine, list[float]] = {first: [], second: []}
    for engine in times:
        for _ in range(_WARM_UP):
            engine.invoke()
    end = time.perf_counter() + _SECONDS
    while len(times[second]) < _BLOCK * _LEAST_BLOCKS or time.perf_counter() < end:
        for engine, seconds in times.items():
            for _ in range(_BLOCK):
                start = time.perf_counter()
                engine.invoke()
                seconds.append(time.perf_counter() - start)
    return statistics.median(times[first]) / statistics.median(times[second])


def agree(logits: np.ndarray, expected: np.ndarray) -> bool:
    """Whether rounding has done no harm. Both are float [frames, classes]; a shift of all classes means nothing."""
    logits, expected = (each - each.mean(axis=1, keepdims=True) for each in (logits, expected))
    error = np.sqrt(np.square(logits - expected).mean() / max(np.square(expected).mean(), 1e-12))  # 0: one class
    same_top = (logits.argmax(axis=1) == expected.argmax(axis=1)).mean()
    return bool(error <= _TOLERANCE and same_top >= _SAME_TOP)


def _engine(content: bytes, runtime: Runtime, threads: int) -> Engine:
    interpreter = load_content("to be timed", content, runtime, threads)
    engine = Engine(interpreter, read_signature(interpreter, "to be timed"))
    engine.image[...] = engine.signature.image.from_real(np.full(engine.image.shape, 0.5, np.float32))
    return engine
