"""One row of the table, in a process of its own, so that memory and load time are its own too.

`python -m measuring.row SPEC` prints a line of JSON; SPEC is JSON, see speed.Row.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any, Callable

import numpy as np

from measuring import MEMORY, PLAIN_LOOP, PRECISIONS

_BLOCK = 10  # Steps, then as many bare runs, in turns: what disturbs the machine for longer disturbs both.


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns seconds of each step, each bare invoke, loading, and until the first label; memory in bytes.

    Each frame is written into the same memory right before its step, as a camera does.

    Args:
        spec: variant, file, runtime, threads, classes, steps, and `start`, when the process was started
            (time.monotonic(), which all processes share).
    """
    from measuring.camera import draw_frame

    frames = [draw_frame(number) for number in range(8)]
    frame = np.empty_like(frames[0])
    start = time.perf_counter()
    model = _load(spec)
    load = time.perf_counter() - start
    model.step(frames[0])
    first_label = time.monotonic() - spec["start"]
    for each in frames:
        model.step(each)
    memory = _memory("VmRSS"), _memory("VmHWM")
    # The plain loop's own interpreter refuses a bare run while its signature runner exists.
    invoke = _load_interpreter(spec).invoke if spec["variant"] == PLAIN_LOOP else model.engine.invoke
    invoke()
    steps: list[float] = []
    invokes: list[float] = []
    while len(steps) < spec["steps"]:
        for number in range(_BLOCK):
            frame[...] = frames[number % len(frames)]
            steps.append(_time(model.step, frame))
        invokes += [_time(invoke) for _ in range(_BLOCK)]
    times = {"steps": steps, "invokes": invokes, "load": load, "first_label": first_label}
    return {**times, "memory": memory[0], "peak_memory": memory[1]}


def _load(spec: dict[str, Any]) -> Any:
    labels = [f"class {number}" for number in range(spec["classes"])]
    if spec["variant"] == PLAIN_LOOP:
        from measuring.plain_loop import PlainLoop

        return PlainLoop(_load_interpreter(spec), labels)
    from video_classifier import VideoClassifier

    return VideoClassifier(
        spec["file"],
        labels,
        runtime=spec["runtime"],
        threads=spec["threads"],
        precision=PRECISIONS.get(spec["variant"], "source"),
        memory=MEMORY if spec["variant"] in PRECISIONS else None,
        channel_order="bgr",
    )


def _load_interpreter(spec: dict[str, Any]) -> Any:
    from runtime import choose_runtime

    interpreter = choose_runtime(spec["runtime"]).interpreter(spec["file"], num_threads=spec["threads"])
    interpreter.allocate_tensors()
    return interpreter


def _time(work: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def _memory(field: str) -> int:
    """Returns "VmRSS", what the process has in memory, or "VmHWM", the most it had, in bytes."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))
    except (OSError, StopIteration):
        # Only the most, and that is inherited from the parent process.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    from errors import UserError

    try:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    except UserError as error:
        sys.exit(str(error))
