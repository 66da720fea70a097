#!/usr/bin/env python3
"""Measures models, runtimes and threads on this machine.

    python benchmark.py
        the models in models/, every way to run them, as a table
    python benchmark.py A.tflite --plot a.png
        one model, with a plot
    python benchmark.py --loop
        the whole program on a drawn camera for a minute
    python benchmark.py --loop --step-ms 300
        that a slow model doesn't slow the picture

The table has a block for each model and runtime. Its first row is the usual
way: the published file, a signature runner called with a dictionary of states,
and a sort of all classes in Python. The others are this program's
VideoClassifier: on the published file, and on the compiled ones as the program
runs them, with a memory of 12 frames and so two horizons. A step is
everything from a 640x480 frame, just written as by a camera, to labels; invoke
is the model's arithmetic alone. Each row runs in a process of its own, all rows
in turns, so that noise falls on all alike. Memory is what the process has while
it runs, and the most it had. Loading includes, for the published file, its
trial in another process; compiled files come from the cache, as from the
program's second start on. The first label is counted from the start of Python.
"""

from __future__ import annotations

import signal
import sys

from environment import use_venv

if __name__ == "__main__":
    # The imports below take a second on a Pi; Ctrl-C during them should end the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    use_venv()

import argparse
import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Iterator, Sequence

import models
from errors import UserError
from measuring import MEMORY, report, speed
from plotting import check_drawable
from runtime import RUNTIMES, choose_runtime
from signals import Signals
from sinks.display import find_display
from sinks.window import Window
from utils import check_writable

_ROOT = Path(__file__).resolve().parent
_TINY = _ROOT / "tests" / "data" / "tiny.tflite"


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status."""
    try:
        options = _parse(arguments)
        if options.json is not None:
            check_writable(options.json)
        paths = [models.find_model(name) for name in options.models] or sorted(_ROOT.glob("models/*.tflite")) or [_TINY]
        facts = report.machine()
        print(report.describe(facts))
        if not options.loop:
            _measure_speed(options, paths, facts)
        elif options.step_ms is not None:
            _measure_standstill(options)
        else:
            _measure_whole_program(options, paths, facts)
    except UserError as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        return error.status
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmark.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="a .tflite file or a published name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the steps as a .png (needs matplotlib)")
    parser.add_argument("--runtime", choices=RUNTIMES, help="only this one (default: each that is installed)")
    parser.add_argument("--threads", type=_count, nargs="+", metavar="N", help="(default: 1, 2 and 4 as cores allow)")
    parser.add_argument("--steps", type=_count, default=50, metavar="N", help="of a row in a round (default: 50)")
    parser.add_argument("--rounds", type=_count, metavar="N", help="(default: 3; with --step-ms 2)")
    parser.add_argument("--loop", action="store_true", help="the whole program instead")
    parser.add_argument("--seconds", type=float, metavar="S", help="of the loop (default: 60; with --step-ms 8)")
    parser.add_argument("--step-ms", type=float, metavar="MS", help="with --loop: a model whose steps last this long")
    parser.add_argument("--stall", type=float, default=3, metavar="S", help="with --step-ms: one step's (default: 3 s)")
    options = parser.parse_args(arguments)
    if options.step_ms is not None and not options.loop:
        parser.error("--step-ms belongs to --loop")
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _measure_speed(options: argparse.Namespace, paths: list[Path], facts: dict[str, Any]) -> None:
    if options.plot is not None:
        check_drawable(options.plot, "--plot")  # Better to know now than after ten minutes.
    runtimes = [choose_runtime(options.runtime)] if options.runtime else speed.installed_runtimes()
    threads = sorted(set(options.threads or speed.thread_counts()))
    rounds = options.rounds or 3
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # For this process and the rows': nothing from earlier runs is measured.
        rows = list(speed.plan(paths, runtimes, threads))
        speed.measure(rows, options.steps, rounds, _show_progress)
        _show_progress("")
        figures = list(report.compare([row.figures() for row in rows]))
    print(f"{rounds} rounds of {options.steps} steps a row, 640x480 frames")
    print(report.table(figures), end="")
    if options.json is not None:
        report.write_json(options.json, figures, facts, {"steps": options.steps, "rounds": rounds})
    if options.plot is not None:
        report.write_plot(options.plot, figures, facts)


def _measure_whole_program(options: argparse.Namespace, paths: list[Path], facts: dict[str, Any]) -> None:
    from measuring import whole_program  # classify.py and all that it needs

    seconds = options.seconds or 60.0
    rows = []
    with _window() as window:
        print(whole_program.HEAD, end="")
        for path in paths:
            with _open_classifier(path, options.runtime or "auto", (options.threads or ["auto"])[0]) as classifier:
                known = models.known_model(path)
                figures = whole_program.run_program(classifier, window, known.fps if known else 5.0, seconds)
                print(whole_program.line(path.name, figures))
                rows.append({"model": path.name, "runtime": str(classifier.runtime), **figures})
    if options.json is not None:
        report.write_json(options.json, rows, facts, {"seconds": seconds})


def _measure_standstill(options: argparse.Namespace) -> None:
    from measuring.standstill import compare_ways

    print(f"camera 640x480 at 30 fps, steps of {options.step_ms:g} ms, one of {options.stall:g} s,", end=" ")
    with _window() as window:
        step_time, seconds = options.step_ms / 1e3, options.seconds or 8.0
        print(compare_ways(window, step_time, options.stall, seconds, options.rounds or 2), end="")


def _open_classifier(path: Path, runtime: str, threads: int | str) -> Any:
    """Opens a model as classify.py does by default: compiled, and with 2.4 s of memory at 5 fps."""
    from video_classifier import VideoClassifier

    return VideoClassifier(
        path,
        models.find_labels(path, None),
        runtime=runtime,
        threads=threads,
        memory=MEMORY,
        precision="auto",
        channel_order="bgr",
    )


@contextlib.contextmanager
def _window() -> Iterator[Window | None]:
    """Opens a window where there is a display, and says so."""
    display = find_display()
    if not display.name:
        print(f"drawn but not shown ({display.reason})")
        yield None
        return
    print(f"window on {display.name}")
    window = Window("benchmark", screen=display.screen)
    try:
        yield window
    finally:
        window.close()


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:99]}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    Signals()
    sys.exit(main(sys.argv[1:]))
