"""How many clips are run at a time."""

from __future__ import annotations

from pathlib import Path

from tuning import available_cores

_MEMINFO = Path("/proc/meminfo")
# That a job takes for each model, in kB: both classifiers of an A0 in float took 62 MB, larger models take more.
_JOB_SIZE = 100_000


def default_jobs(models: int) -> int:
    """Returns one a core, but no more than half of the free memory has room for."""
    free = _free_memory()
    room = available_cores() if free is None else free // 2 // (_JOB_SIZE * models)
    return max(1, min(available_cores(), room))


def _free_memory() -> int | None:
    """Returns kB; None where the system doesn't say."""
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
