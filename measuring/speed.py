"""The rows of the table: which there are, and their figures, measured in turns so that noise falls on all alike."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from compiled import prepare
from errors import PackageError
from measuring import PLAIN_LOOP, PRECISIONS, PUBLISHED
from runtime import RUNTIMES, Runtime, choose_runtime, load_interpreter, read_model
from signature import read_signature
from tuning import available_cores

_ROOT = Path(__file__).resolve().parent.parent
_ROW_SECONDS = 300.0


@dataclass
class Row:
    """One way to run one model.

    Attributes:
        model: The published file.
        runtime: What runs it.
        threads: For the kernels.
        variant: One of the names in measuring/__init__.py.
        classes: How many the model tells apart.
        problem: Why there are no figures, or "".
        samples: What measuring.row returned, round by round.
    """

    model: Path
    runtime: Runtime
    threads: int
    variant: str
    classes: int
    problem: str = ""
    samples: list[dict[str, Any]] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Returns the row as it stands in the JSON file: milliseconds, megabytes (1e6 bytes)."""
        row: dict[str, Any] = {
            "model": self.model.name,
            "runtime": str(self.runtime),
            "threads": self.threads,
            "variant": self.variant,
        }
        if self.problem:
            return {**row, "problem": self.problem}
        steps = np.concatenate([sample["steps"] for sample in self.samples]) * 1e3
        invokes = np.concatenate([sample["invokes"] for sample in self.samples]) * 1e3
        row.update(
            steps=len(steps),
            step_p50_ms=float(np.median(steps)),
            step_p95_ms=float(np.percentile(steps, 95)),
            invoke_p50_ms=float(np.median(invokes)),
            memory_mb=max(sample["memory"] for sample in self.samples) / 1e6,
            peak_memory_mb=max(sample["peak_memory"] for sample in self.samples) / 1e6,
            load_ms=float(np.median([sample["load"] for sample in self.samples])) * 1e3,
            first_label_ms=float(np.median([sample["first_label"] for sample in self.samples])) * 1e3,
        )
        return row


def installed_runtimes() -> list[Runtime]:
    """Returns the runtimes that work here."""
    found = []
    for name in RUNTIMES[1:]:
        try:
            found.append(choose_runtime(name))
        except PackageError:
            continue
    return found


def thread_counts() -> list[int]:
    """Returns 1, 2 and 4, where there are as many cores."""
    return [number for number in (1, 2, 4) if number <= available_cores()]


def plan(models: Sequence[Path], runtimes: Sequence[Runtime], threads: Sequence[int]) -> Iterator[Row]:
    """Yields the rows, a model's and runtime's first one being the plain loop with the fewest threads.

    Compiled forms are made here, so that the rows find them in the cache.

    Args:
        models: .tflite files.
        runtimes: What runs them.
        threads: Numbers of threads, ascending.

    Raises:
        ModelError: A file can't be used.
    """
    for model in (path.resolve() for path in models):
        interpreter = load_interpreter(model, runtimes[0], 1)
        classes = read_signature(interpreter, model).logits.shape[1]
        for runtime in runtimes:
            problems = {variant: _compile(model, runtime, precision) for variant, precision in PRECISIONS.items()}
            for number in threads:
                for variant in (PLAIN_LOOP, PUBLISHED, *problems):
                    yield Row(model, runtime, number, variant, classes, problems.get(variant, ""))


def measure(rows: Sequence[Row], steps: int, rounds: int, progress: Callable[[str], None]) -> None:
    """Fills in the rows: each in a fresh process, once a round."""
    work = [row for _ in range(rounds) for row in rows]
    for number, row in enumerate(work, 1):
        if not row.problem:
            progress(f"{number} of {len(work)}: {row.model.name}, {row.runtime}, {row.variant}, {row.threads} threads")
            _measure_once(row, steps)


def _measure_once(row: Row, steps: int) -> None:
    spec = {
        "variant": row.variant,
        "file": str(row.model),
        "runtime": row.runtime.name,
        "threads": row.threads,
        "classes": row.classes,
        "steps": steps,
        "start": time.monotonic(),
    }
    command = [sys.executable, "-m", "measuring.row", json.dumps(spec)]
    try:
        child = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=_ROW_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        row.problem = f"took more than {_ROW_SECONDS:.0f} s"
    except subprocess.CalledProcessError as error:
        row.problem = error.stderr.strip().rpartition("\n")[2] or f"ended with status {error.returncode}"
    else:
        row.samples.append(json.loads(child.stdout.splitlines()[-1]))


def _compile(model: Path, runtime: Runtime, precision: str) -> str:
    """Compiles a model as the program does at its first use; returns why it can't be, or ""."""
    prepared = prepare(model, read_model(model), runtime, precision, horizons=True, for_engine=True)
    return "" if prepared.compiled else str(prepared.note).partition(": ")[2]
