"""How many threads a model should run with: measured once on each machine, then remembered.

More threads aren't always faster: handing out a small model's short operators can cost more than a further core gives,
and two of a Pi's four cores may be busy with the camera and the window.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from pathlib import Path
from typing import Callable

import numpy as np

from runtime import Runtime
from user_cache import recall, remember

MOST_THREADS = 4
_TIE = 0.1  # A further thread must save this share of the time: what it saves less isn't worth its heat.
_ROUNDS = 2  # of all numbers of threads: what else the machine does for a second must not decide for good
_WARM_UP = 2  # runs
_LEAST_RUNS, _MOST_RUNS = 3, 50
_RUN_SECONDS = 0.25  # for one number of threads in a round, unless the least runs take longer


def choose_threads(content: bytes | memoryview, runtime: Runtime, measure: Callable[[int], float]) -> int:
    """Returns the number of threads that is fastest for a model here; a tie goes to the smaller number.

    Args:
        content: Of a .tflite file. What was measured is remembered for it, the runtime and this machine.
        runtime: What runs it.
        measure: Number of threads to seconds; called for each number of cores up to MOST_THREADS, in each round.
    """
    most = min(MOST_THREADS, available_cores())
    if most == 1:
        return 1
    machine = f"{platform.machine()}, {cpu_name()}, {available_cores()} cores"
    key = hashlib.sha256(content)
    key.update(f"{runtime}, {machine}".encode())
    name = f"threads/{key.hexdigest()[:32]}.json"
    known = _read_times(recall(name), most)
    if known is not None:
        return fastest(known)
    rounds = [[measure(threads) for threads in range(1, most + 1)] for _ in range(_ROUNDS)]
    times = dict(enumerate(map(min, *rounds), 1))
    record = {"runtime": str(runtime), "machine": machine, "seconds": times}
    remember(name, json.dumps(record, indent=1).encode())
    return fastest(times)


def fastest(times: dict[int, float]) -> int:
    """Returns the number of threads to take, given the seconds that each takes, for 1, 2, ... threads."""
    best = 1
    for threads, seconds in sorted(times.items()):
        if seconds < times[best] * (1 - _TIE):
            best = threads
    return best


def time_runs(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Returns the median seconds of a run, from enough of them to tell but in a quarter of a second."""
    for _ in range(_WARM_UP):
        run()
    times: list[float] = []
    while len(times) < _LEAST_RUNS or (sum(times) < _RUN_SECONDS and len(times) < _MOST_RUNS):
        start = clock()
        run()
        times.append(clock() - start)
    return float(np.median(times))  # The module statistics would take 1 MB of memory.


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def cpu_name() -> str:
    """Returns the board's or the processor's name, such as "Raspberry Pi 5 Model B Rev 1.0"."""
    for path, key in (("/proc/device-tree/model", None), ("/proc/cpuinfo", "model name")):
        try:
            text = Path(path).read_text(errors="replace")
        except OSError:
            continue
        if key is None:
            return text.strip("\0\n ")
        for line in text.splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read_times(record: bytes | None, most: int) -> dict[int, float] | None:
    """Returns the seconds of 1 to `most` threads from a remembered record; None if it is missing or damaged."""
    if record is None:
        return None
    try:
        times = {int(threads): float(seconds) for threads, seconds in json.loads(record)["seconds"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return times if sorted(times) == list(range(1, most + 1)) and all(t > 0 for t in times.values()) else None
