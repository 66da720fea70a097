#!/usr/bin/env python3
"""Measures how often models are right on clips in a folder for each label.

_evaluate() shows the whole run.
"""

from __future__ import annotations

import signal
import sys

from credentials import hide_credentials
from environment import use_venv

if __name__ == "__main__":
    hide_credentials()
    # The imports below take a second on a Pi; Ctrl-C during them should end the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    use_venv()

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Sequence

from errors import SourceError, UserError
from evaluation import left_out
from evaluation.clips import find_clips
from evaluation.contestants import open_contestants
from evaluation.jobs import default_jobs
from evaluation.left_out import choose_clips
from evaluation.results import write_json
from evaluation.running import Contestant, Outcome, Runner, places_of, run_all
from evaluation.scores import Scores, score
from evaluation.streams import STREAM_CLIPS, plan_streams
from evaluation.table import table
from flags import Formatter, Number, Parser
from options import build_parser
from plotting import check_drawable
from printing import printed_after
from progress import Progress
from signals import Signals
from teaching.clips import one_line
from utils import check_writable, say

_SHARED = ("memory", "fit", "sample_fps", "runtime", "precision", "compile")  # flags that are classify.py's

_EPILOG = """\
what counts as right: the most probable label after a clip's last frame, from a
fresh state on, as the published accuracies count it; those need --memory off
--no-compile, since they are the files' as they are.
examples:
  python evaluate.py --model models/mine.tflite --data clips/ --plot mine.png
      a model that was taught, on clips that it was not taught with
  python evaluate.py --model a0 --model a1 --model a2 --data kinetics600/val \\
      --memory off --no-compile --no-stream
      the published accuracies

exit status: 0 measured, 2 wrong flag, 3 model or labels, 4 nothing could be
measured, 5 output, 6 missing package, 130 Ctrl-C
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status; what a user can cause ends in one line on stderr."""
    try:
        _evaluate(_parse(arguments))
    except UserError as error:
        if error.status:  # 0: the reader of our output has had enough
            say(f"evaluate.py: {error}")
        return error.status
    except SystemExit as end:  # --help, or a signal
        return int(end.code or 0)
    return 0


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = Parser(
        prog="evaluate.py",
        usage="python evaluate.py --model FILE [...] --data FOLDER [flag ...]",
        description=__doc__.splitlines()[0],
        epilog=_EPILOG,
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="FILE",
        help="a .tflite file, or the name of a published model, which is fetched; several are compared",
    )
    parser.add_argument(
        "--labels",
        action="append",
        metavar="FILE",
        help="class names, one a line: one file for all models, or one for each in their order (default: those that "
        "belong to the model)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="a folder with a folder for each label, in it videos, GIFs or folders of images",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, those of each clip too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them as a .png (needs matplotlib)")
    parser.add_argument(
        "--limit",
        type=Number(int, 1, 10**9, "clips"),
        metavar="N",
        help="of each label only the first N clips by name (default: all)",
    )
    parser.add_argument(
        "--seed",
        type=Number(int, 0, 2**31 - 1, "(a seed)"),
        default=0,
        metavar="N",
        help="of the random order in which clips follow each other in a stream (default: %(default)s)",
    )
    shared = {action.dest: action for action in build_parser()._actions}
    parser.add_argument(
        "--stream",
        action=type(shared["compile"]),
        default=True,
        help="also run the clips one after another without a reset; --no-stream halves the time (default: yes)",
    )
    for name in _SHARED:
        parser._add_action(shared[name])
    parser.add_argument(
        "--threads",
        type=Number(int, 1, 64, "threads"),
        default=1,
        metavar="N",
        help="CPU threads of a step; several clips at a time use the cores better (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=Number(int, 1, 256, "jobs"),
        metavar="N",
        help="streams of clips that are run at a time (default: one a core, fewer where memory is scarce)",
    )
    return parser.parse_args(arguments)


def _evaluate(options: Namespace) -> None:
    if options.plot is not None:  # better to know now than after an hour
        check_drawable(options.plot, "--plot")
    if options.json is not None:
        check_writable(options.json)
    clips, skipped = find_clips(options.data, options.limit)
    for line in skipped:
        say(f"left out: {line}")
    contestants = open_contestants(options, clips, say)
    chosen = choose_clips(options.data, clips, contestants)
    for line in left_out.describe(clips, contestants):
        say(line)
    longest = STREAM_CLIPS if options.stream else 1
    streams = plan_streams(chosen, options.seed, longest, lambda folder: places_of(folder, contestants))
    jobs = min(options.jobs or default_jobs(len(contestants)), len(streams))
    runners = [Runner(contestants, options.stream) for _ in range(jobs)]
    with Progress("evaluation", len(chosen)) as progress:
        outcomes = run_all(runners, streams, partial(_tell, progress))
    _tell_unreadable(outcomes)
    scores = [score(number, contestant, outcomes) for number, contestant in enumerate(contestants)]
    title = f"{one_line(str(options.data))}: {_conditions(options, contestants)}"
    with printed_after(f"{title}; in brackets 95 % intervals\n\n{table(scores)}", end=""):
        _write(options, title, clips, scores, outcomes)


def _write(
    options: Namespace,
    title: str,
    clips: left_out.Clips,
    scores: Sequence[Scores],
    outcomes: Sequence[Sequence[Outcome]],
) -> None:
    """Writes the files that are wanted."""
    if options.json is not None:
        settings = {name: getattr(options, name) for name in (*_SHARED, "limit", "seed")}
        data = {
            "data": one_line(str(options.data)),
            "settings": settings,
            **left_out.to_json(clips, [each.contestant for each in scores]),
        }
        write_json(options.json, scores, outcomes, data)
    if options.plot is not None:
        from evaluation.plot import write_plot

        write_plot(options.plot, scores, title)


def _tell(progress: Progress, outcome: Outcome) -> None:
    if outcome.problem is not None:
        progress.tell(f"left out: {outcome.clip.name}: {outcome.problem}")
    progress.advance()


def _tell_unreadable(streams: Sequence[Sequence[Outcome]]) -> None:
    """Says how many clips were left out.

    Raises:
        SourceError: No clip could be read.
    """
    problems = [outcome.problem for stream in streams for outcome in stream]
    unreadable = sum(problem is not None for problem in problems)
    if unreadable == len(problems):
        raise SourceError(f"none of the {len(problems)} clips could be read")
    if unreadable:
        say(f"{unreadable} of {len(problems)} clips could not be read")


def _conditions(options: Namespace, contestants: Sequence[Contestant]) -> str:
    """Says how the models really ran, which for one or the other may not be as it was wanted."""
    forms = [f"compiled ({options.precision})" if each.compiled else "as published" for each in contestants]
    memories = ["all remembered" if each.memory is None else f"memory {each.memory:g} s" for each in contestants]
    fits = [f"frames fitted by {each.fit}" for each in contestants]
    parts = []
    for texts in (forms, memories, fits):
        for text in dict.fromkeys(texts):
            which = [each.name for each, own in zip(contestants, texts) if own == text]
            parts.append(text if len(which) == len(contestants) else f"{' and '.join(which)} {text}")
    return ", ".join(parts)


if __name__ == "__main__":
    Signals()
    sys.exit(main(sys.argv[1:]))
